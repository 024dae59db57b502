"""The recordings of a training: a corpus, and which of them are for what."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tspbench.corpus import Progress, Recording, read_corpus
from tspbench.errors import UsageError, nearest
from tspbench.types import TaskKind


@dataclass(frozen=True)
class Where:
    """Rows of a CSV whose column has one of some values: ``fold=1,2``."""

    column: str
    values: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Where:
        """``COLUMN=VALUE,VALUE``; UsageError when it is not that."""
        column, equals, values = text.partition("=")
        found = frozenset(value.strip() for value in values.split(",") if value.strip())
        if not equals or not column.strip() or not found:
            raise UsageError(f"{text!r}: write COLUMN=VALUE or COLUMN=VALUE,VALUE, such as fold=4.")
        return cls(column.strip(), found)


@dataclass(frozen=True)
class Part:
    """Some recordings of a corpus."""

    root: Path
    recordings: tuple[Recording, ...]

    @property
    def paths(self) -> list[Path]:
        return [self.root / recording.path for recording in self.recordings]

    @property
    def labels(self) -> list[str]:
        return [recording.group for recording in self.recordings]

    @property
    def captions(self) -> list[str]:
        """Of every recording: its own, or, where it has none, "the sound of" its label."""
        return [recording.caption or f"the sound of {recording.group}" for recording in self.recordings]


def split(path: Path, wheres: Sequence[Where], progress: Progress | None = None) -> tuple[Part, list[Part]]:
    """A corpus, and the parts of it that some columns of its CSV choose.

    Raises
    ------
    UsageError
        A column does not exist, or nothing has one of its values.
    """
    whole = read_corpus(path, TaskKind.LASS, progress)
    parts = []
    for where in wheres:
        chosen = _files(path, where)
        part = tuple(recording for recording in whole.recordings if recording.path in chosen)
        if not part:
            raise UsageError(f"{path}: no row has {where.column}={','.join(sorted(where.values))}.")
        parts.append(Part(whole.root, part))
    return Part(whole.root, whole.recordings), parts


def without(whole: Part, other: Part) -> Part:
    """What is left of a corpus.

    Raises
    ------
    UsageError
        Nothing is.
    """
    taken = {recording.sha256 for recording in other.recordings}
    left = tuple(recording for recording in whole.recordings if recording.sha256 not in taken)
    if not left:
        raise UsageError("Every recording is for the test, none is left to train on.")
    return Part(whole.root, left)


def _files(path: Path, where: Where) -> set[str]:
    """The files of a CSV's rows, as the corpus spells them, relative to its folder."""
    if not path.is_file():
        raise UsageError(f"{path} is not a CSV file, so it has no column {where.column!r}.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    if where.column not in columns:
        raise UsageError(f"{path} has no column {where.column!r}. {nearest(where.column, columns)}")
    return {Path(row["file"].strip()).as_posix() for row in rows if (row[where.column] or "").strip() in where.values}
