"""tspbench gate"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click


@click.command("gate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--baseline", type=click.Path(path_type=Path), metavar="RUN|FILE", help="A run folder or a sealed file.")
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="'si_sdr_i > baseline - 0.2'; may be repeated.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the one-sided bounds.")
@click.option("--save-baseline", type=click.Path(path_type=Path), metavar="FILE", help="Write RUN as a sealed file.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(
    run: Path,
    baseline: Path | None,
    rules: tuple[str, ...],
    confidence: float,
    save_baseline: Path | None,
    as_json: bool,
) -> None:
    """Hold a finished run against rules: exit code 0 passed, 1 regressed, 3 could not be told.

    A rule names a metric or a figure of the profile: 'si_sdr_i > baseline - 0.2',
    'wer < 0.2', 'latency_p50_s < baseline * 1.10'. It passes when it is shown at
    the confidence, and has regressed when the contrary is.
    """
    from tspbench import sealed
    from tspbench.errors import UsageError
    from tspbench.gate import gate

    if not rules and save_baseline is None:
        raise UsageError("Give a --rule such as 'si_sdr_i > baseline - 0.2', or --save-baseline FILE.")
    result = sealed.read(run)
    held = None
    if rules:
        held = gate(result, sealed.read(baseline) if baseline else None, rules, confidence)
    if save_baseline is not None:
        sealed.write(save_baseline, result)
        click.echo(f"baseline of {result.label}: {save_baseline}", err=as_json)
    if held is None:
        return
    if as_json:
        click.echo(json.dumps(held.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        from tspbench.cli.console import make_console
        from tspbench.tables import gate_table

        console = make_console()
        console.print(gate_table(held))
        for line in held.remarks:
            console.print(f"differs: {line}", markup=False, style="dim")
    sys.exit(held.exit_code)
