"""What a training reports: numbers in CSV files, and a progress bar."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Log:
    """A CSV file with a row per step, the step in its first column.

    Parameters
    ----------
    after
        A training that goes on from this step drops the rows that lie behind it.
    """

    def __init__(self, path: Path, columns: Sequence[str], after: int) -> None:
        kept = _rows_up_to(path, after)
        self._file = path.open("w", encoding="utf-8", newline="", buffering=1)
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerows([["step", *columns], *kept])

    def write(self, step: int, *values: float) -> None:
        """One row; a value that is no finite number stays empty."""
        self._writer.writerow([step, *(f"{value:.8g}" if math.isfinite(value) else "" for value in values)])

    def close(self) -> None:
        self._file.close()


def _rows_up_to(path: Path, step: int) -> list[list[str]]:
    """The rows of a log that belong to steps up to this one; a last line that broke off is none."""
    if step == 0 or not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return [row for row in rows[1:] if len(row) == len(rows[0]) and row[0].isdigit() and int(row[0]) <= step]


class Bar:
    """Steps done, the latest loss and validation, and the time that is left; nothing without a console."""

    def __init__(self, name: str, done: int, steps: int, console: Console | None) -> None:
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=console is None)
        self._task = self._bar.add_task(name, total=steps, completed=done, said="")
        self._validation = ""

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, loss: float) -> None:
        self._bar.update(self._task, advance=1, said=f"loss {loss:.3f}{self._validation}")

    def to(self, done: int) -> None:
        """So much is done."""
        self._bar.update(self._task, completed=done)

    def validated(self, value: float) -> None:
        self._validation = f", validation {value:.3f}"
