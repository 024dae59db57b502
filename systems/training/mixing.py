"""Dynamic mixing: a batch of new mixtures for every step, which depends on the seed and the step alone.

So nothing has to be remembered to go on with a broken training, and batches
may be made ahead of time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.types import Audio

Level = Callable[[Audio, Audio, np.random.Generator], tuple[Audio, Audio]]
"""Target and interferer, each (T,), to target and mixture."""
TRIES = 20
"""Draws before a clip counts as silent."""


# -- levels --------------------------------------------------------------------------------------


def equal_energy(target: Audio, interferer: Audio, rng: np.random.Generator) -> tuple[Audio, Audio]:
    """0 dB by total energy; what peaks above 1 is turned down to 0.9. CLAPSep, ``data_utils/audiocap_dataset.py``."""
    gain = np.sqrt(_energy(target) / _energy(interferer))
    return _below_full_scale(target, target + np.float32(gain) * interferer)


def ten_decibels(target: Audio, interferer: Audio, rng: np.random.Generator) -> tuple[Audio, Audio]:
    """The interferer -10 to 10 dB above the target, in whole dB. AudioSep, ``data/waveform_mixers.py``, two sounds.

    The published mixer adjusts twice, which matters only where the ratio of
    the two exceeds the 50 or 0.02 to which each adjustment is held.
    """
    for _ in range(2):
        ratio = np.clip(np.sqrt(_energy(interferer) / max(_energy(target), 1e-10)), 0.02, 50)
        interferer = interferer * np.float32(10 ** (rng.integers(-10, 11) / 20) / ratio)
    return _below_full_scale(target, target + interferer)


def _energy(x: Audio) -> float:
    return float(np.mean(np.square(x, dtype=np.float64)))


def _below_full_scale(target: Audio, mixture: Audio) -> tuple[Audio, Audio]:
    peak = np.abs(mixture).max()
    gain = np.float32(0.9 / peak if peak > 1 else 1)
    return gain * target, gain * mixture


# -- clips ---------------------------------------------------------------------------------------


class Clips:
    """Recordings at one rate, decoded when they are needed; the last ``keep`` stay in memory."""

    def __init__(self, paths: Sequence[Path], rate: int, keep: int = 500) -> None:
        self.paths, self.rate = paths, rate
        self._read = lru_cache(maxsize=keep)(self._decoded)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Audio:
        """Samples (T,), not to be written to."""
        return self._read(index)

    def _decoded(self, index: int) -> Audio:
        samples, rate = audio.read(self.paths[index])
        return audio.resample(samples, rate, self.rate)


# -- batches -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Mixtures and targets (B, T), and which clips the targets are from, (B,)."""

    mixture: Tensor
    target: Tensor
    clips: Tensor

    def to(self, device: str | torch.device) -> Batch:
        return Batch(self.mixture.to(device), self.target.to(device), self.clips.to(device))


@dataclass(frozen=True)
class Mixer:
    """Mixtures of two clips. Called with a step, it gives that step's batch.

    Every clip is a target once before any is twice; its interferer is any
    other. Stretches begin at random; a short clip is followed by silence.

    Parameters
    ----------
    seconds
        Of every mixture.
    groups
        One per clip, where they are known: target and interferer then come from two of them.
    """

    clips: Clips
    seconds: float
    batch: int
    level: Level = equal_energy
    seed: int = 0
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.clips) < 2:
            raise UsageError(f"Mixtures need two clips at least, there are {len(self.clips)}.")
        if self.groups is not None and len(set(self.groups)) < 2:
            raise UsageError("Mixtures of two groups need two groups at least, there is one.")

    def __call__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, 1, step])
        targets = [self._turn(step * self.batch + i) for i in range(self.batch)]
        made = [self._mixture(target, rng) for target in targets]
        return Batch(
            mixture=torch.from_numpy(np.stack([mixture for _, mixture in made])),
            target=torch.from_numpy(np.stack([target for target, _ in made])),
            clips=torch.tensor(targets),
        )

    def _turn(self, count: int) -> int:
        """Whose turn it is: the clips in a new order every time round."""
        lap, place = divmod(count, len(self.clips))
        return int(np.random.default_rng([self.seed, 0, lap]).permutation(len(self.clips))[place])

    def _mixture(self, index: int, rng: np.random.Generator) -> tuple[Audio, Audio]:
        target = self._heard(lambda: index, rng)
        return self.level(target, self._heard(lambda: self._other(index, rng), rng), rng)

    def _other(self, index: int, rng: np.random.Generator) -> int:
        while True:
            other = int(rng.integers(len(self.clips) - 1))
            other += other >= index
            if self.groups is None or self.groups[other] != self.groups[index]:
                return other

    def _heard(self, choose: Callable[[], int], rng: np.random.Generator) -> Audio:
        """A stretch (T,) of a clip that is not silent there."""
        for _ in range(TRIES):
            index = choose()
            samples, length = self.clips[index], round(self.seconds * self.clips.rate)
            start = int(rng.integers(max(1, len(samples) - length + 1)))
            stretch = samples[start : start + length]
            if stretch.any():
                return audio.fit(stretch, length)
        raise UsageError(f"{self.clips.paths[index]} is silent, at least in {TRIES} stretches of it. Remove it.")
