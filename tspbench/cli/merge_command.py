"""tspbench merge"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge")
@click.argument("parts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PART [PART…]")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The run folder to make.")
def command(parts: tuple[Path, ...], out: Path) -> None:
    """Put the parts of a run together that were made with run --shard K/N.

    PART is a run folder. All N must be there and finished; they stay as they are.
    """
    from tspbench.cli.outcome import show_outcomes
    from tspbench.runner.merge import merge
    from tspbench.runner.run import outcome_of

    show_outcomes([outcome_of(merge(parts, out))])
