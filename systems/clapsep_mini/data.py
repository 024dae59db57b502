"""Training batches: sounds varied and mixed anew in every step, and queries of every sort for them.

A batch depends on the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy import fft
from torch import Tensor

from tspbench.systems.clapsep_mini.captions import captions_for
from tspbench.systems.clapsep_mini.model import RATE, Encoder
from tspbench.systems.clapsep_mini.sounds import Library
from tspbench.types import Audio

FRAMES = 256
LENGTH = 512 * FRAMES
"""Samples of a training mixture, 4.1 s."""
Rng = np.random.Generator
Vector = npt.NDArray[np.float32]


# -- varying a sound -----------------------------------------------------------------------------


def stretch(samples: Audio, rng: Rng, length: int = LENGTH) -> Audio:
    """``length`` samples of a sound that begin anywhere, going round at its end; not silent, if it can be helped."""
    for _ in range(5):
        start = int(rng.integers(len(samples)))
        found = np.concatenate([samples[start:], samples])[:length]
        if np.abs(found).max() > 1e-3:
            break
    return found


def vary(samples: Audio, rng: Rng, length: int = LENGTH) -> Audio:
    """A stretch, at another speed, through another filter, in another room: each sometimes."""
    if rng.random() < 0.4:
        speed = np.exp(rng.uniform(np.log(0.8), np.log(1.25)))
        found = stretch(samples, rng, int(length * speed) + 2)
        found = np.interp(np.arange(length) * speed, np.arange(len(found)), found).astype(np.float32)
    else:
        found = stretch(samples, rng, length)
    filtered, echoed = rng.random() < 0.5, rng.random() < 0.15
    if filtered or echoed:
        spectrum = fft.rfft(found)
        if filtered:
            spectrum *= _equaliser(len(spectrum), rng)
        if echoed:
            spectrum *= fft.rfft(_room(rng), length)
        found = fft.irfft(spectrum, length).astype(np.float32)
    return found


def _equaliser(bins: int, rng: Rng) -> Audio:
    """A smooth gain over frequency, 5 dB give or take."""
    knots = rng.normal(0, 5, 8)
    hertz = np.linspace(0, RATE / 2, bins)
    curve = np.interp(np.log2(hertz + 60), np.linspace(np.log2(60), np.log2(RATE / 2), 8), knots)
    return (10 ** (curve / 20)).astype(np.float32)


def _room(rng: Rng) -> Audio:
    """A direct sound and a tail of decaying noise."""
    seconds = rng.uniform(0.05, 0.4)
    time = np.arange(int(seconds * RATE)) / RATE
    tail = rng.normal(size=len(time)) * np.exp(-6.9 * time / seconds) * rng.uniform(0.005, 0.03)
    tail[0] = 1
    return tail.astype(np.float32)


def loudness(samples: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-9


# -- sounds of all libraries ---------------------------------------------------------------------


@dataclass(frozen=True)
class Pick:
    """A sound of a library."""

    library: int
    index: int


@dataclass(frozen=True)
class Cast:
    """Draws sounds from libraries: of one kind of library or of both, of classes that differ."""

    libraries: tuple[Library, ...]
    weights: tuple[float, ...] = ()

    def name(self, pick: Pick) -> str:
        return self.libraries[pick.library].names[pick.index]

    def kind(self, pick: Pick) -> str | None:
        return self.libraries[pick.library].kinds[pick.index]

    def sound(self, pick: Pick) -> Audio:
        return self.libraries[pick.library][pick.index]

    @cached_property
    def _by_name(self) -> list[dict[str, list[int]]]:
        found: list[dict[str, list[int]]] = []
        for library in self.libraries:
            places: dict[str, list[int]] = {}
            for i, name in enumerate(library.names):
                places.setdefault(name, []).append(i)
            found.append(places)
        return found

    @cached_property
    def _like(self) -> dict[Pick, npt.NDArray[np.intp]]:
        return {
            Pick(which, i): library.like(i) for which, library in enumerate(self.libraries) for i in range(len(library))
        }

    def library(self, rng: Rng) -> int:
        return int(rng.choice(len(self.libraries), p=self.weights or None))

    def draw(self, rng: Rng, library: int, other_than: Sequence[str] = ()) -> Pick:
        """Any class but some, then any sound of it."""
        places = self._by_name[library]
        name = rng.choice([each for each in places if each not in other_than])
        return Pick(library, int(rng.choice(places[name])))

    def like(self, rng: Rng, pick: Pick) -> Pick:
        """Another sound of the same class, kind and library."""
        return Pick(pick.library, int(rng.choice(self._like[pick])))

    def caption(self, rng: Rng, pick: Pick) -> str:
        groups = captions_for(self.name(pick), self.kind(pick))
        return str(rng.choice(groups[rng.integers(len(groups))]))


# -- for the encoder -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Sounds (B, T), a caption for each, and which captions fit which sounds, (B, B)."""

    sounds: Tensor
    captions: list[str]
    fits: Tensor


@dataclass(frozen=True)
class PairMaker:
    """Batches of sounds and captions; behind every other sound there is another one, more softly."""

    cast: Cast
    batch: int = 32
    seed: int = 0

    def __call__(self, step: int) -> Pairs:
        rng = np.random.default_rng([self.seed, 2, step])
        picks = [self.cast.draw(rng, self.cast.library(rng)) for _ in range(self.batch)]
        sounds = np.stack([self._heard(pick, rng) for pick in picks])
        names, kinds = [self.cast.name(pick) for pick in picks], [self.cast.kind(pick) for pick in picks]
        fits = [
            [a == b and (k == m or k is None or m is None) for b, m in zip(names, kinds, strict=True)]
            for a, k in zip(names, kinds, strict=True)
        ]
        captions = [_disturbed(self.cast.caption(rng, pick), rng) for pick in picks]
        return Pairs(torch.from_numpy(sounds), captions, torch.tensor(fits, dtype=torch.float32))

    def _heard(self, pick: Pick, rng: Rng) -> Audio:
        found = vary(self.cast.sound(pick), rng)
        if rng.random() < 0.5:
            other = self.cast.draw(rng, self.cast.library(rng), [self.cast.name(pick)])
            behind = stretch(self.cast.sound(other), rng)
            found = found + behind * np.float32(loudness(found) / loudness(behind) * 10 ** (-rng.uniform(0, 20) / 20))
        return found


def _disturbed(caption: str, rng: Rng) -> str:
    """Now and then a word that means nothing, which is to be passed over."""
    if rng.random() < 0.15:
        split = caption.split()
        split.insert(int(rng.integers(len(split) + 1)), "".join(rng.choice(list("abcdefghiklmnoprstuvwz"), 6)))
        return " ".join(split)
    return caption


# -- for the separator ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Mixtures and targets (B, T), conditions (B, 2 size)."""

    mixture: Tensor
    target: Tensor
    condition: Tensor


@dataclass(frozen=True)
class Vectors:
    """What the encoder says of every caption and of some variations of every sound."""

    captions: dict[str, Vector]
    sounds: tuple[npt.NDArray[np.float32], ...]
    size: int

    @classmethod
    def of(cls, encoder: Encoder, cast: Cast, views: int = 4, seed: int = 0) -> Vectors:
        """Embed each sound as it is; recordings, which are few, also varied, ``views`` times in all."""
        keys = {(name, kind) for each in cast.libraries for name, kind in zip(each.names, each.kinds, strict=True)}
        texts = sorted({text for key in keys for group in captions_for(*key) for text in group})
        rng = np.random.default_rng([seed, 3])
        banks = []
        for library in cast.libraries:
            versions = [lambda x: stretch(x, rng)] + [lambda x: vary(x, rng)] * (views - 1 if library.real else 0)
            banks.append(np.stack([_embedded(encoder, library, version) for version in versions], axis=1))
        return cls(dict(zip(texts, encoder.text(texts).numpy(), strict=True)), tuple(banks), encoder.size)


def _embedded(encoder: Encoder, library: Library, version: Callable[[Audio], Audio], at_once: int = 16) -> Vector:
    """Vectors (n, size) of versions of a library's sounds."""
    parts = []
    for start in range(0, len(library), at_once):
        heard = [version(library[i]) for i in range(start, min(start + at_once, len(library)))]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            parts.append(encoder.embed(torch.from_numpy(np.stack(heard))).numpy())
    return np.concatenate(parts)


@dataclass(frozen=True)
class Chances:
    """How often what happens."""

    third: float = 0.12
    absent: float = 0.05
    doubled: float = 0.15
    even: float = 0.25
    crossed: float = 0.2
    positive: tuple[float, float, float] = (0.5, 0.3, 0.2)
    """Captions alone, examples alone, both; of the negative side likewise."""
    negative: float = 0.35
    negative_alone: float = 0.12


@dataclass(frozen=True)
class MixtureMaker:
    """Batches of mixtures with conditions. Called with a step, it gives that step's batch.

    Parameters
    ----------
    noise
        Length of a normal vector added to every example's vector: those of
        sounds that the encoder learned from are closer together than others.
    """

    cast: Cast
    vectors: Vectors
    batch: int = 12
    seed: int = 0
    range_db: float = 10.0
    noise: float = 0.4
    chances: Chances = field(default_factory=Chances)

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, 1, step])
        made = [self._example(rng) for _ in range(self.batch)]
        return Batch(*(torch.from_numpy(np.stack(parts)) for parts in zip(*made, strict=True)))

    def _example(self, rng: Rng) -> tuple[Audio, Audio, Vector]:
        picks = self._picks(rng)
        sounds = [self._sound(pick, rng) for pick in picks]
        mixture = np.sum(sounds, axis=0, dtype=np.float32)
        wanted, others = picks[0], picks[1:]
        target, draw = sounds[0], rng.random()
        if draw < self.chances.absent:
            absent = self.cast.draw(rng, wanted.library, [self.cast.name(pick) for pick in picks])
            return mixture, np.zeros_like(mixture), self._condition(absent, picks[:1], rng)
        if draw < self.chances.absent + self.chances.negative_alone:
            return mixture, mixture - sounds[-1], self._condition(None, others[-1:], rng)
        told = others if rng.random() < self.chances.negative else []
        return mixture, target, self._condition(wanted, told, rng)

    def _picks(self, rng: Rng) -> list[Pick]:
        """Two or three sounds of classes that differ."""
        first = self.cast.draw(rng, self.cast.library(rng))
        picks = [first]
        for _ in range(1 + (rng.random() < self.chances.third)):
            crossed = rng.random() < self.chances.crossed
            library = self.cast.library(rng) if crossed else first.library
            picks.append(self.cast.draw(rng, library, [self.cast.name(pick) for pick in picks]))
        return picks

    def _sound(self, pick: Pick, rng: Rng) -> Audio:
        """A sound, or two of its class at once, at a level about 1."""
        found = vary(self.cast.sound(pick), rng)
        if rng.random() < self.chances.doubled:
            other = vary(self.cast.sound(self.cast.like(rng, pick)), rng)
            found = found + other * np.float32(loudness(found) / loudness(other))
        level = 0.0 if rng.random() < self.chances.even else rng.uniform(-self.range_db, self.range_db) / 2
        return found * np.float32(0.1 * 10 ** (level / 20) / loudness(found))

    def _condition(self, positive: Pick | None, negatives: Sequence[Pick], rng: Rng) -> Vector:
        whole = np.concatenate([self._side([positive] if positive else [], rng), self._side(negatives, rng)])
        return whole / np.float32(np.linalg.norm(whole) + 1e-9)

    def _side(self, picks: Sequence[Pick], rng: Rng) -> Vector:
        """As :func:`tspbench.systems.clapsep_mini.model.side`, of captions and examples that are drawn."""
        found = np.zeros(self.vectors.size, dtype=np.float32)
        if not picks:
            return found
        kind = rng.choice(3, p=self.chances.positive)
        if kind != 1:
            texts = [self.vectors.captions[self.cast.caption(rng, pick)] for pick in picks]
            found += _unit(np.mean(texts, axis=0))
        if kind != 0:
            count = max(int(rng.integers(1, 4)), len(picks))
            heard = [self._example_vector(picks[i % len(picks)], rng) for i in range(count)]
            found += _unit(np.mean(heard, axis=0))
        return found

    def _example_vector(self, pick: Pick, rng: Rng) -> Vector:
        other = self.cast.like(rng, pick)
        bank = self.vectors.sounds[other.library][other.index]
        vector = bank[rng.integers(len(bank))]
        noise = rng.normal(0, self.noise * rng.random() / np.sqrt(len(vector)), len(vector))
        return _unit(vector + noise.astype(np.float32))


def _unit(vector: Vector) -> Vector:
    found: Vector = vector / np.float32(np.linalg.norm(vector) + 1e-9)
    return found
