"""tspbench list"""

from __future__ import annotations

import json
from typing import Any, cast

import click

from tspbench import catalogue


@click.command("list")
@click.argument("kind", type=click.Choice(["systems", "tasks", "metrics", "dialects"]))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(kind: str, as_json: bool) -> None:
    """List systems, tasks, metrics or dialects."""
    rows = catalogue.rows(cast(catalogue.Kind, kind))
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.table import Table

    from tspbench.cli.console import make_console

    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, no_wrap=column in ("name", "id"))
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    make_console().print(table)


def _shown(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text.replace("[", "\\[")
