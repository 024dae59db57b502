"""ESC-50 mixtures, as CLAPSep and AudioSep list them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tspbench.prepared.material import Material
from tspbench.tasks import lass_lists
from tspbench.tasks.lass_lists import Labels, Pair
from tspbench.types import Condition, Trial

ROOT = "esc50"
NAME = re.compile(r"(?P<fold>[1-5])-(?P<recording>\d+)-(?P<take>[A-Z])-(?P<number>\d+)")


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    if material.protocol == "clapsep":
        return lass_lists.clapsep(material, ROOT, lambda pair: _described(pair, lass_lists.class_of(pair.negative)))
    rows = lass_lists.read_csv(material.lists["trials"], ("src_wav", "caption"))
    classes = dict(row for _, row in rows)
    return lass_lists.audiosep(material, ROOT, lambda pair: _described(pair, classes.get(pair.noise)))


def stems(path: str) -> tuple[str, ...]:
    """A clip's own stem; and, as ESC-10's ports have it, the stem less the number of its class."""
    stem = PurePosixPath(path).stem
    return (stem, stem.rpartition("-")[0]) if NAME.fullmatch(stem) else (stem,)


def _described(pair: Pair, negative: str | None) -> tuple[Labels, dict[str, Condition]]:
    wanted = lass_lists.class_of(pair.caption)
    return (wanted, negative), {
        "class": wanted,
        "negative_class": negative,
        "shared_labels": None if negative is None else wanted == negative,
        "same_fold": _same_fold(pair),
    }


def _same_fold(pair: Pair) -> bool | None:
    names = [NAME.fullmatch(lass_lists.stem(name)) for name in (pair.source, pair.noise)]
    return names[0]["fold"] == names[1]["fold"] if names[0] and names[1] else None
