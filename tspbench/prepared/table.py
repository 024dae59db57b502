"""The table of every protocol in docs/tasks.md, from what the tasks declare.

``python -m tspbench.prepared.table docs/tasks.md`` makes it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tspbench.prepared.declaration import Protocol
from tspbench.task import TaskInfo

HEAD = ("task", "rows", "rate", "span", "level rule", "queries", "used by", "dialect", "options", "digest")
START, END = "<!-- protocols -->", "<!-- end of protocols -->"
DIGITS = 12
"""How much of a digest the table shows; task.toml has all of it."""


def protocol_table(tasks: Iterable[TaskInfo]) -> str:
    """One row per protocol, as Markdown."""
    rows = [_row(task, protocol) for task in tasks for protocol in task.protocols]
    return "\n".join(_line(cells) for cells in [HEAD, ["---"] * len(HEAD), *rows]) + "\n"


def _row(task: TaskInfo, protocol: Protocol) -> list[str]:
    default = " (default)" if protocol.name == task.default_protocol else ""
    return [
        f"`{task.name}:{protocol.name}`{default}",
        f"{protocol.rows:,}",
        _rates(task, protocol),
        protocol.span,
        protocol.level,
        protocol.queries,
        protocol.used_by,
        f"`{protocol.dialect}`" if protocol.dialect else "",
        "; ".join(f"`{o.name}={o.default}` of {', '.join(o.choices)}" for o in protocol.options if len(o.choices) > 1),
        f"`{protocol.digest[:DIGITS]}`" if protocol.digest else "",
    ]


def _rates(task: TaskInfo, protocol: Protocol) -> str:
    choices = next((option.choices for option in protocol.options if option.name == "rate"), ())
    return " or ".join(choices) or f"{task.sample_rate / 1000:g}k"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def renewed(page: str, tasks: Iterable[TaskInfo]) -> str:
    """A page with the table between its two markers made anew."""
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{protocol_table(tasks)}{END}{after}"


if __name__ == "__main__":
    import sys
    from pathlib import Path

    from tspbench.task import known_tasks

    path = Path(sys.argv[1])
    path.write_text(renewed(path.read_text(encoding="utf-8"), known_tasks().values()), encoding="utf-8")
