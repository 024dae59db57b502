"""A dialect's figures beside our metrics, as a rich table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text


def figure_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Label and id, its formula, our metric and its formula, what differs and how much."""
    table = Table(title="What it prints, beside ours", title_justify="left", show_lines=True)
    for name, ratio in (("label, id", 2), ("its definition", 4), ("ours", 2), ("our definition", 4), ("difference", 5)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for label, figure in figures.items():
        verdict = "same value" if figure["same_as"] else "another value"
        rest = ". ".join(filter(None, (figure["differs"], figure["measured_effect"])))
        cells = (
            f"{label}\n{figure['id']}",
            figure["formula"],
            figure["ours"],
            figure["our_formula"],
            f"{verdict}: {rest}",
        )
        table.add_row(*map(Text, cells))
    return table
