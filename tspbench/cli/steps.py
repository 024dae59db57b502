"""Progress bars of work that goes step by step."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Steps:
    """Called with a step's name, how much is done and how much there is; one bar per step."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bars = Progress(*columns, console=console, transient=True)
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> Steps:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._ids:
            self._ids[step] = self._bars.add_task(step, total=total)
        self._bars.update(self._ids[step], completed=done)
