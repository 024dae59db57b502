"""tspbench show"""

from __future__ import annotations

import json
from typing import Any, Literal, cast

import click

from tspbench import catalogue


@click.command("show")
@click.argument("kind", type=click.Choice(["system", "task", "metric", "dialect", "run"]))
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(kind: str, name: str, as_json: bool) -> None:
    """Show everything about one system, task, metric or dialect, or the summary of a run folder."""
    if kind == "run":
        _show_run(name, as_json)
        return
    page = catalogue.page(cast(Literal["system", "task", "metric", "dialect"], kind), name)
    if as_json:
        click.echo(json.dumps(page, indent=1, ensure_ascii=False))
        return
    from rich.table import Table
    from rich.text import Text

    from tspbench.cli.console import make_console
    from tspbench.cli.dialect_table import figure_table

    figures = page.pop("figures", {}) if kind == "dialect" else {}
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in page.items():
        if value not in ("", None, [], {}):
            table.add_row(key.replace("_", " "), Text(_shown(value)))
    console = make_console()
    console.print(table)
    if figures:
        console.print(figure_table(figures))


def _show_run(path: str, as_json: bool) -> None:
    from tspbench.cli.console import make_console
    from tspbench.cli.outcome import run_title
    from tspbench.results import load_run
    from tspbench.tables import summary_parts

    run = load_run(path)
    summary = run.summary
    if as_json:
        click.echo(json.dumps(summary, indent=1, ensure_ascii=False))
        return
    console = make_console()
    console.print(run_title(run.record), markup=False, style="bold")
    for part in summary_parts(summary):
        console.print(part)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ("\n\n" if any(isinstance(item, dict) for item in value) else ", ").join(map(_shown, value))
    return str(value)
