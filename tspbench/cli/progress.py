"""The progress bars of a run."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tspbench.runner.orders import Progress as Standing
from tspbench.runner.run import Observer


class Bars(Observer):
    """One bar per run: phase, trials done, rate, failures, time left."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            TextColumn("[dim]{task.fields[phase]:<9}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("[red]{task.fields[failures]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=False,
        )
        self._ids: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def checking(self, done: int, total: int) -> None:
        self._show("audio files", "checking", done, total, 0)

    def running(self, label: str, progress: Standing) -> None:
        self._show(label, progress.phase, progress.scored, progress.total, progress.failed)

    def _show(self, label: str, phase: str, done: int, total: int, failed: int) -> None:
        if label not in self._ids:
            self._ids[label] = self._bars.add_task(label, total=total, phase=phase, rate="", failures="")
        bar = self._bars.tasks[list(self._ids).index(label)]
        rate = f"{bar.speed:.1f}/s" if bar.speed else ""
        failures = f"{failed} failed" if failed else ""
        self._bars.update(self._ids[label], completed=done, phase=phase, rate=rate, failures=failures)
