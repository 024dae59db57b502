"""tspbench cpwer"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from tspbench.sessions import Figure, Permuted


@click.command("cpwer")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN…]")
@click.option("--task", metavar="TASK", help="The task of the runs, where its name alone does not lead there.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where prepared tasks lie.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(runs: tuple[Path, ...], task: str | None, data_root: Path | None, as_json: bool) -> None:
    """cpWER of target-speaker transcripts, beside their word error rate.

    RUN is a run folder whose task asks for every speaker of a mixture. cpWER
    forgives answers that are somebody else's: the difference is what confused
    targets cost.
    """
    from tspbench.cli.console import make_console
    from tspbench.results import load_run
    from tspbench.sessions import permuted

    found = [permuted(load_run(path), task, data_root) for path in runs]
    if as_json:
        click.echo(json.dumps([each.as_dict() for each in found], indent=1, ensure_ascii=False, allow_nan=False))
        return
    console = make_console()
    console.print(_table(found))
    for each in found:
        for count, what in ((each.left_out, "in no such mixture"), (each.unanswered, "without an answer: no words")):
            if count:
                console.print(f"{each.system}: {count} trials {what}", markup=False, style="yellow")


def _table(found: list[Permuted]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("system", no_wrap=True)
    for name in ("wer ↓", "cpWER ↓", "wer - cpWER ↓", "better swapped", "mixtures", "words"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        figures = map(_cell, (each.wer, each.cpwer, each.confusion))
        counts = map(str, (each.swapped, each.sessions, each.words))
        table.add_row(Text(each.system), *figures, *counts)
    return table


def _cell(figure: Figure) -> str:
    spread = figure.interval
    return f"{figure.value:.3f}" + (f" ±{(spread.high - spread.low) / 2:.3f}" if spread else "")
