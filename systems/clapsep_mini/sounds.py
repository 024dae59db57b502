"""What is trained on: recordings of ESC-10 and sounds of lass-demo's recipes, kept in memory-mapped files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.systems.clapsep_mini.captions import class_of
from tspbench.systems.clapsep_mini.model import RATE
from tspbench.tasks.lass_demo import FIRST_TEST_SEED
from tspbench.tasks.lass_demo.sounds import SOUNDS, kind_of, synthesise
from tspbench.types import Audio

SECONDS = 5
FULL = 32767
Advance = Callable[[str, int, int], None]
"""Told what is going on, how much is done and of how much."""


@dataclass(frozen=True)
class Library:
    """Sounds of :data:`SECONDS` at the networks' rate: int16 (n, T), the class of each, its kind where known.

    ``real`` tells recordings from synthetic sounds.
    """

    samples: npt.NDArray[np.int16]
    names: tuple[str, ...]
    kinds: tuple[str | None, ...]
    real: bool

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Audio:
        return self.samples[index].astype(np.float32) / FULL

    def like(self, index: int) -> npt.NDArray[np.intp]:
        """The other sounds of its class and kind; itself where it is the only one."""
        own = (self.names[index], self.kinds[index])
        found = [i for i, other in enumerate(zip(self.names, self.kinds, strict=True)) if other == own and i != index]
        return np.array(found or [index])


def synthetic(
    per_class: int, first_seed: int, cache: Path, advance: Advance | None = None, names: Sequence[str] = tuple(SOUNDS)
) -> Library:
    """``per_class`` sounds of every class, their seeds counted from ``first_seed``.

    Raises
    ------
    UsageError
        A seed would be one of the test's.
    """
    if first_seed + per_class > FIRST_TEST_SEED:
        raise UsageError(f"Seeds from {FIRST_TEST_SEED} on are the test's: ask for fewer sounds, or for lower seeds.")
    wanted = [(name, first_seed + i) for name in names for i in range(per_class)]
    made = (synthesise(name, seed, SECONDS, RATE) for name, seed in wanted)
    samples = _kept(cache, f"synthetic {wanted}", made, len(wanted), "synthesising", advance)
    kinds = tuple(kind_of(name, seed) for name, seed in wanted)
    return Library(samples, tuple(name for name, _ in wanted), kinds, real=False)


def recordings(table: Path, folds: Sequence[int], cache: Path, advance: Advance | None = None) -> Library:
    """ESC-10's recordings of some folds: a CSV with the columns file (relative to it), label and fold.

    Raises
    ------
    UsageError
        The CSV lacks a column or a file, has no row of these folds, or a label that no captions are known for.
    """
    rows = _rows(table, folds)
    made = (_decoded(table.parent / row["file"]) for row in rows)
    listing = [(row["file"], row.get("sha256") or (table.parent / row["file"]).stat().st_size) for row in rows]
    samples = _kept(cache, f"recordings {listing}", made, len(rows), "decoding", advance)
    names = tuple(class_of(row["label"]) or "" for row in rows)
    return Library(samples, names, (None,) * len(rows), real=True)


def _rows(table: Path, folds: Sequence[int]) -> list[dict[str, str]]:
    if not table.is_file():
        raise UsageError(f"--esc10 {table}: there is no such file. Name a CSV with the columns file, label and fold.")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lacking = {"file", "label", "fold"} - set(rows[0] if rows else ())
    if lacking:
        raise UsageError(f"{table} lacks the column {', '.join(sorted(lacking))}.")
    rows = [row for row in rows if row["fold"] in map(str, folds)]
    for row in rows:
        if class_of(row["label"]) is None:
            raise UsageError(f"{table}: no captions are known for the label {row['label']!r}.")
        if not (table.parent / row["file"]).is_file():
            raise UsageError(f"{table}: there is no file {table.parent / row['file']}.")
    if not rows:
        raise UsageError(f"{table} has no rows of fold {', '.join(map(str, folds))}.")
    return rows


def _decoded(path: Path) -> Audio:
    samples, rate = audio.read(path)
    return audio.fit(audio.resample(samples, rate, RATE), SECONDS * RATE)


def _kept(
    cache: Path, what: str, made: Iterator[Audio], count: int, doing: str, advance: Advance | None
) -> npt.NDArray[np.int16]:
    """Sounds from the file that an earlier call left for the same contents, or made and left there."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        part = path.with_suffix(".part")
        shape = (count, SECONDS * RATE)
        kept = np.lib.format.open_memmap(part, mode="w+", dtype=np.int16, shape=shape)
        for i, samples in enumerate(made):
            kept[i] = np.round(np.clip(samples, -1, 1) * FULL)
            if advance:
                advance(doing, i + 1, count)
        kept.flush()
        part.replace(path)
    found: npt.NDArray[np.int16] = np.load(path, mmap_mode="r")
    return found
