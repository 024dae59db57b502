"""Did a system learn from what it is tested on? Its card's training sets against ``corpora.csv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tspbench.errors import UsageError

COLUMNS = ("test", "training", "relation")


@dataclass(frozen=True)
class Relation:
    """A task family (the name before ``:``), a corpus that systems train on, and how the two relate."""

    test: str
    training: str
    relation: str


def read_relations(root: Path) -> list[Relation]:
    """The rows of ``root/corpora.csv``; none where there is no such file.

    Raises
    ------
    UsageError
        Naming the line that is wrong.
    """
    path = root / "corpora.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise UsageError(f"{path}: the columns must be {', '.join(COLUMNS)}.")
        rows = []
        for raw in reader:
            if not all(raw.get(name) for name in COLUMNS):
                raise UsageError(f"{path}, line {reader.line_num}: {', '.join(COLUMNS)} must all be given.")
            rows.append(Relation(*(raw[name].strip() for name in COLUMNS)))
    return rows


def overlaps(task: str, training_sets: Sequence[str], relations: Sequence[Relation]) -> list[str]:
    """What of the training sets overlaps with a task's test, in words.

    A training set is recognised by a corpus name among its words, whatever
    the case and the punctuation: ``AudioCaps train`` is of ``audiocaps``.
    """
    family = _words(re.split(r"[:\[]", task)[0])
    return [
        f"{training} ({relation.relation})"
        for training in training_sets
        for relation in relations
        if _words(relation.test) == family and f" {_words(relation.training)} " in f" {_words(training)} "
    ]


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))
