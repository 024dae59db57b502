"""tspbench compare"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click

from tspbench.cli.options import names, numbers


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN RUN…")
@click.option("--metric", "metrics", default="", metavar="M[,M…]", help="Metric ids; default: all that they share.")
@click.option("--by", default="", metavar="C[,C…]|all", help="Break down by these conditions as well.")
@click.option("--margin", "margins", multiple=True, metavar="M=D", help="Differences of M below D do not matter.")
@click.option("--allow-different", is_flag=True, help="Compare other trials, protocols or definitions; says so.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.option("--csv", "as_csv", is_flag=True, help="A line for each comparison.")
def command(
    runs: tuple[Path, ...],
    metrics: str,
    by: str,
    margins: tuple[str, ...],
    allow_different: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Say which of some runs is better: every pair, trial by trial.

    RUN is a run folder or a sealed file. The difference of the means of each
    metric comes with its 95 % interval over clusters of trials, and with p
    corrected (Holm) for everything that is printed. Undefined and failed scores
    count as the metric's penalty.
    """
    from tspbench import sealed
    from tspbench.compare import compare

    report = compare(
        [sealed.read(path) for path in runs], names(metrics), names(by), numbers("--margin", margins), allow_different
    )
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    elif as_csv:
        rows = [comparison.row() for comparison in report.comparisons]
        writer = csv.DictWriter(sys.stdout, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        from tspbench.cli.console import make_console
        from tspbench.tables import comparison_table

        console = make_console()
        console.print(comparison_table(report))
        for line in report.notes():
            console.print(line, markup=False, style="red" if report.different else "dim")
