"""tspbench leaderboard"""

from __future__ import annotations

import sys
from pathlib import Path

import click

ROOT = Path("leaderboards")
root_option = click.option(
    "--root", type=click.Path(path_type=Path), default=ROOT, show_default=True, help="The folder of the leaderboards."
)


@click.group("leaderboard")
def command() -> None:
    """Put finished runs on leaderboards and build their pages."""


@command.command("add")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@root_option
@click.option("--name", metavar="LABEL", help="How the row is called; default: the system's name. One run only.")
@click.option("--allow-dirty", is_flag=True, help="Take runs of uncommitted code; their rows say so.")
def add_command(runs: tuple[Path, ...], root: Path, name: str | None, allow_dirty: bool) -> None:
    """Seal finished runs into ROOT/results.

    Partial and failed runs, parts of a trial list and random weights are refused.
    """
    from tspbench.errors import TspbenchError, UsageError
    from tspbench.leaderboard import add

    if name is not None and len(runs) > 1:
        raise UsageError("--name goes with one run.")
    refused = 0
    for run in runs:
        try:
            added = add(run, root, name=name, allow_dirty=allow_dirty)
        except TspbenchError as error:
            refused = max(refused, error.exit_code)
            click.secho("Error: ", fg="red", err=True, nl=False)
            click.echo(str(error), err=True)
            continue
        click.echo(f"{'replaced' if added.replaced else 'added'} {added.label} on {added.task}: {added.path}")
    sys.exit(refused)


@command.command("build")
@root_option
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the pages are not up to date.")
def build_command(root: Path, check: bool) -> None:
    """Build the pages from ROOT/results and ROOT/reported."""
    from tspbench.leaderboard import build

    built = build(root, check=check)
    click.echo(f"{built.tables} tables measured here, {built.reported} numbers as reported: {root / 'index.html'}")
    if check and not built.current:
        for name in built.changed:
            click.echo(f"not up to date: {root / name}", err=True)
        for name in built.stale:
            click.echo(f"no longer built: {root / name}", err=True)
        click.echo(f"Bring them up to date: tspbench leaderboard build --root {root}", err=True)
        sys.exit(1)
