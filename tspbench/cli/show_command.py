"""tspbench show"""

from __future__ import annotations

import json
from typing import Any, Literal, cast

import click

from tspbench import catalogue


@click.command("show")
@click.argument("kind", type=click.Choice(["system", "task", "metric"]))
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(kind: str, name: str, as_json: bool) -> None:
    """Show everything about one system, task or metric."""
    page = catalogue.page(cast(Literal["system", "task", "metric"], kind), name)
    if as_json:
        click.echo(json.dumps(page, indent=1, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    from tspbench.cli.console import make_console

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in page.items():
        if value not in ("", None, [], {}):
            table.add_row(key.replace("_", " "), Text(_shown(value)))
    make_console().print(table)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_shown(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
