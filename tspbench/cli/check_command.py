"""tspbench check"""

from __future__ import annotations

import sys

import click


@click.command("check")
@click.argument("system")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the system.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def command(system: str, options: tuple[str, ...], device: str) -> None:
    """Check that SYSTEM (a name, or path/to/file.py:ClassName) keeps the contract."""
    from rich.table import Table
    from rich.text import Text

    from tspbench.cli.console import make_console
    from tspbench.conformance import CHECKS, check_system

    console = make_console()
    with console.status(f"{len(CHECKS)} checks"):
        verdicts = check_system(system, dict(option.partition("=")[::2] for option in options), device)
    table = Table(box=None, pad_edge=False)
    for column in ("check", "verdict", "finding"):
        table.add_column(column)
    colours = {"passed": "green", "failed": "red", "skipped": "yellow"}
    for verdict in verdicts:
        table.add_row(verdict.name, Text(verdict.outcome, colours[verdict.outcome]), Text(verdict.message))
    console.print(table)
    failed = sum(verdict.outcome == "failed" for verdict in verdicts)
    console.print(f"{system}: {'conforms' if not failed else f'{failed} of {len(verdicts)} checks failed'}")
    sys.exit(int(failed > 0))
