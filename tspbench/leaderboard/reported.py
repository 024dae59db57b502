"""Published numbers: ``reported/*.csv``, one row for each number, each with its source and how sure it is."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from tspbench.errors import UnknownName, UsageError, nearest
from tspbench.metrics import resolve

UNKNOWN = "unknown"
UNITS = ("dB", "%", "", "million")
PROTOCOL = re.compile(r"unknown|[a-z0-9-]+(:[a-z0-9-]+)?")


class Certainty(StrEnum):
    """How a number came to be known, surest first."""

    MEASURED = "measured"
    REPOSITORY = "read in repository"
    PAPER = "read in the paper"
    SECOND_HAND = "second-hand"
    WEAK = "weak"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True)
class Reported:
    """One published number. ``metric`` and ``task`` are as the source names them.

    ``protocol`` is the task of tspbench whose trial list and rule the number
    is certain to belong to, else ``unknown``; ``metric_id`` the metric of
    tspbench whose definition is certain to be the source's, else empty.
    """

    task: str
    protocol: str
    system: str
    value: str
    unit: str
    metric: str
    metric_id: str
    dialect: str
    conditions: str
    training_data: str
    source: str
    certainty: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Reported))
REQUIRED = ("task", "protocol", "system", "value", "metric", "source", "certainty")


def read_reported(root: Path) -> dict[str, list[Reported]]:
    """The rows of every file of ``root/reported``, by file name without suffix, in the order of the file.

    Raises
    ------
    UsageError
        A row breaks the rules; the message names the file and the line.
    """
    return {path.stem: list(_rows(path)) for path in sorted((root / "reported").glob("*.csv"))}


def _rows(path: Path) -> Iterator[Reported]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UsageError(f"{path}: the columns must be {', '.join(COLUMNS)}.")
            seen: dict[Reported, int] = {}
            for raw in reader:
                row = _checked(raw, f"{path}, line {reader.line_num}")
                if row in seen:
                    raise UsageError(f"{path}, line {reader.line_num} repeats line {seen[row]}.")
                seen[row] = reader.line_num
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is no table of published numbers: {error}.") from error


def _checked(raw: dict[str, str], where: str) -> Reported:
    if None in raw or None in raw.values():
        raise UsageError(f"{where}: the row must have {len(COLUMNS)} cells.")
    row = Reported(**{name: value.strip() for name, value in raw.items()})
    missing = [name for name in REQUIRED if not getattr(row, name)]
    if missing:
        raise UsageError(f"{where}: {' and '.join(missing)} must be given.")
    if not _finite(row.value):
        raise UsageError(f"{where}: value must be a finite number, got {row.value!r}.")
    if row.certainty not in list(Certainty):
        raise UsageError(f"{where}: certainty {row.certainty!r}. {nearest(row.certainty, list(Certainty))}")
    if row.unit not in UNITS:
        raise UsageError(f"{where}: unit must be dB, %, million or empty, got {row.unit!r}.")
    if not PROTOCOL.fullmatch(row.protocol):
        raise UsageError(
            f"{where}: protocol must be a task such as audiocaps:clapsep, or unknown, got {row.protocol!r}."
        )
    if row.metric_id:
        _known_metric(row.metric_id, where)
    return row


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _known_metric(metric_id: str, where: str) -> None:
    try:
        resolve(metric_id)
    except UnknownName as error:
        raise UsageError(f"{where}: metric_id: {error}") from error
