"""The table of protocols in docs/tasks.md is what the tasks declare."""

from __future__ import annotations

from pathlib import Path

from tspbench.prepared.table import DIGITS, protocol_table, renewed
from tspbench.task import known_tasks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"


def test_the_page_holds_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page, known_tasks().values()), "run: python -m tspbench.prepared.table docs/tasks.md"


def test_a_row_says_what_a_protocol_is() -> None:
    esc50 = known_tasks()["esc50"]
    table = protocol_table([esc50])
    lines = table.splitlines()
    assert len(lines) == 2 + len(esc50.protocols)
    columns = [cell.strip() for cell in lines[0].strip("|").split("|")]
    first = dict(zip(columns, (cell.strip() for cell in lines[2].strip("|").split("|")), strict=True))
    protocol = esc50.protocols[0]
    assert first["task"] == "`esc50:clapsep` (default)"
    assert (first["rows"], first["rate"], first["dialect"]) == ("7,500", "32k", "`clapsep`")
    assert (first["span"], first["level rule"], first["used by"]) == (protocol.span, protocol.level, protocol.used_by)
    assert "`shots=1` of 1, 2, 3" in first["options"]
    assert first["digest"] == f"`{protocol.digest[:DIGITS]}`"
    assert len(first["digest"]) == DIGITS + 2


def test_demo_tasks_have_no_row() -> None:
    assert "demo" not in protocol_table(known_tasks().values())
