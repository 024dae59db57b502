"""Writes the committed trial list: python -m tspbench.tasks.lass_demo.make_manifest [--out FILE]."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from tspbench.manifest import Header, write
from tspbench.tasks.lass_demo import FIRST_TEST_SEED
from tspbench.tasks.lass_demo.captions import captions_of
from tspbench.tasks.lass_demo.sounds import SAMPLE_RATE, SECONDS, SOUNDS, kind_of
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, TaskKind, Trial

SEED = 20
TARGETS_PER_CLASS = 2
TRIALS_PER_TARGET = 2
ABSENT = 4
SNR_DB = (-5.0, 5.0)
EXAMPLES = 2
USES = ("target", "interferer", "audio", "negative_audio")
SEED_STEP = 100_000
"""Each use has a range of seeds of this width, so that no query is a source."""


class Casting:
    """Hands out sounds that no other trial uses, and what is said about them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.seeds = {use: count(FIRST_TEST_SEED + i * SEED_STEP) for i, use in enumerate(USES)}

    def sound(self, use: str, name: str, kind: str) -> str:
        """Path of a fresh sound of a class and kind."""
        return f"{name}/{next(seed for seed in self.seeds[use] if kind_of(name, seed) == kind)}"

    def kind(self, name: str) -> str:
        return str(self.rng.choice(SOUNDS[name].kinds))

    def caption(self, name: str, kind: str) -> tuple[int, str]:
        captions = captions_of(name, kind)
        index = int(self.rng.integers(len(captions)))
        return index, captions[index]

    def examples(self, use: str, name: str, kind: str, number: int) -> tuple[Clip, ...]:
        return tuple(Clip(self.sound(use, name, kind), label=name) for _ in range(number))


def trials() -> Iterator[Trial]:
    """The trials in order, the same on every call."""
    casting = Casting(np.random.Generator(np.random.PCG64(SEED)))
    number = count(1)
    pairs: set[tuple[str, str]] = set()
    for paths in _rounds(casting):
        for path, other in zip(paths, _others(casting.rng, paths, pairs), strict=True):
            yield _present(casting, next(number), path, other)
    for _ in range(ABSENT):
        yield _absent(casting, next(number))


def _rounds(casting: Casting) -> list[list[str]]:
    """Paths of target sounds in rounds that hold every class once; every sound comes in two rounds."""
    casts = []
    for turn in range(TARGETS_PER_CLASS):
        kinds = {name: sound.kinds[turn % len(sound.kinds)] for name, sound in SOUNDS.items()}
        casts.append([casting.sound("target", name, kind) for name, kind in kinds.items()])
    return [[str(path) for path in casting.rng.permutation(paths)] for _ in range(TRIALS_PER_TARGET) for paths in casts]


def _others(rng: np.random.Generator, paths: list[str], pairs: set[tuple[str, str]]) -> list[str]:
    """A class of interferer for each target: every class once, no pair of classes that was had before."""
    names = [_class(path) for path in paths]
    while True:
        others = [str(name) for name in rng.permutation(names)]
        drawn = set(zip(names, others, strict=True))
        if drawn.isdisjoint(pairs) and all(name != other for name, other in drawn):
            pairs |= drawn
            return others


def _present(casting: Casting, number: int, path: str, other: str) -> Trial:
    name = _class(path)
    kind, other_kind = kind_of(name, int(path.partition("/")[2])), casting.kind(other)
    paraphrase, text = casting.caption(name, kind)
    snr_db = round(float(casting.rng.uniform(*SNR_DB)), 2)
    return Trial(
        trial_id=f"{number:02d}-{name}+{other}",
        sources=(
            Source(path, label=name, role=Role.TARGET),
            Source(casting.sound("interferer", other, other_kind), label=other, role=Role.INTERFERER),
        ),
        mix=Mix(snr_db=snr_db, level="energy"),
        query=QueryRecipe(
            text=text,
            negative_text=casting.caption(other, other_kind)[1],
            audio=casting.examples("audio", name, kind, EXAMPLES),
            negative_audio=casting.examples("negative_audio", other, other_kind, EXAMPLES),
        ),
        conditions=_conditions(name, other, snr_db, paraphrase, True),
        clusters={"sound": path},
    )


def _absent(casting: Casting, number: int) -> Trial:
    """Two sounds, and a query for a third that is not there."""
    name, *others = (str(drawn) for drawn in casting.rng.choice(list(SOUNDS), 3, replace=False))
    kind, other_kinds = casting.kind(name), [casting.kind(other) for other in others]
    heard = list(zip(others, other_kinds, strict=True))
    sources = tuple(Source(casting.sound("interferer", *sound), label=sound[0]) for sound in heard)
    paraphrase, text = casting.caption(name, kind)
    return Trial(
        trial_id=f"{number:02d}-absent-{name}",
        sources=sources,
        mix=Mix(length=SECONDS),
        query=QueryRecipe(
            text=text,
            negative_text=" and ".join(casting.caption(*sound)[1] for sound in heard),
            audio=casting.examples("audio", name, kind, EXAMPLES),
            negative_audio=tuple(casting.examples("negative_audio", *sound, 1)[0] for sound in heard),
        ),
        conditions=_conditions(name, "several", None, paraphrase, False),
        clusters={"sound": sources[0].path},
    )


def _conditions(name: str, other: str, snr_db: float | None, paraphrase: int, present: bool) -> dict[str, Condition]:
    return {
        "class": name,
        "interferer_class": other,
        "snr_db": snr_db,
        "paraphrase": float(paraphrase),
        "target_present": present,
    }


def _class(path: str) -> str:
    return path.partition("/")[0]


def header() -> Header:
    """What the first line of the list says; task.toml says the same and more."""
    return Header(
        kind=TaskKind.LASS,
        sample_rate=SAMPLE_RATE,
        name="lass-demo",
        cluster="sound",
        synthetic=True,
        note="Synthetic sounds; paths are class/seed and are read by tspbench.tasks.lass_demo.reader.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "manifest.jsonl")
    write(parser.parse_args().out, header(), trials())


if __name__ == "__main__":
    main()
