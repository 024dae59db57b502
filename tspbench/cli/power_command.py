"""tspbench power"""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("power")
@click.option("--run", "runs", multiple=True, required=True, type=click.Path(path_type=Path), metavar="RUN",
              help="A run folder or sealed file; give a second one for the spread of their difference.")  # fmt: skip
@click.option("--delta", type=float, required=True, metavar="D", help="The difference to be seen.")
@click.option("--metric", metavar="M", help="Default: the run's first.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Probability of seeing it.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Probability of seeing what is not there.")
@click.option("--correlation", type=float, default=0.5, show_default=True, help="Of two systems, if one run is given.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(
    runs: tuple[Path, ...],
    delta: float,
    metric: str | None,
    power: float,
    alpha: float,
    correlation: float,
    as_json: bool,
) -> None:
    """Say how many trials it takes to see a difference of D between two systems."""
    from tspbench import sealed
    from tspbench.errors import UsageError
    from tspbench.power import need

    if len(runs) > 2:
        raise UsageError("--run: one run, or two on the same trials.")
    first, second = (*map(sealed.read, runs), None)[:2]
    assert first is not None
    found = need(first, second, delta, metric, power, alpha, correlation)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False))
        return
    click.echo(f"to see a difference of {found.delta:g} {found.unit} in {found.metric}".rstrip())
    click.echo(f"  with probability {found.power:g} at p < {found.alpha:g}:")
    click.echo(f"  {found.trials} trials in {found.clusters} clusters are needed")
    click.echo(f"  {found.present_trials} trials in {found.present_clusters} clusters are here:")
    shown = "no difference" if found.detectable is None else f"a difference of {found.detectable:.3g} {found.unit}"
    click.echo(f"  they show {shown}".rstrip())
    click.echo(f"assumed: {found.assumption}")
