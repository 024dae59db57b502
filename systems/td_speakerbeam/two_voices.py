"""Mixtures as in the demo tasks, of other sentences: two voices from the start, one of them enrolled, or neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tspbench import audio
from tspbench.systems.training.mixing import Clips
from tspbench.systems.training.speakers import Speech, Told
from tspbench.tasks.demo_voices import ALIKE
from tspbench.types import Audio

Rng = np.random.Generator


@dataclass(frozen=True)
class TwoVoices:
    """Called with a step, it gives that step's batch, which depends on nothing else but the seed.

    Voices made of one speaker's recordings never meet. Where the enrolled
    voice is absent, the target is zero.

    Parameters
    ----------
    seconds
        Of mixture; one that is longer begins at random. None leaves it whole, which asks for a batch of one.
    enrolment
        Seconds of the enrolment, likewise.
    loud
        Share of mixtures in which the target is 5 to 18 dB above the other; elsewhere it is -5 to 5 dB.
    absent
        Share of mixtures without the enrolled voice, both others equally loud.
    """

    clips: Clips
    speakers: tuple[str, ...]
    batch: int
    seconds: float | None = 2.5
    enrolment: float | None = 1.5
    loud: float = 0.3
    absent: float = 0.06
    seed: int = 0
    _spoken: dict[str, list[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for place, speaker in enumerate(self.speakers):
            self._spoken.setdefault(speaker, []).append(place)

    @classmethod
    def of(cls, speech: Speech, rate: int, batch: int, seed: int, **other: Any) -> TwoVoices:
        return cls(Clips(speech.paths, rate, keep=len(speech.paths)), speech.speakers, batch, seed=seed, **other)

    def __call__(self, step: int) -> Told:
        rng = np.random.default_rng([self.seed, step])
        made = [self._drawn(rng) for _ in range(self.batch)]
        signals = (torch.from_numpy(np.stack([each[i] for each in made])) for i in range(3))
        return Told(*signals, torch.tensor([each[3] for each in made]))

    def _drawn(self, rng: Rng) -> tuple[Audio, Audio, Audio, int]:
        """Mixture, target, enrolment, and whose utterance the target is."""
        first = str(rng.choice(list(self._spoken)))
        second = self._apart(rng, first)
        one, other = (int(rng.choice(self._spoken[name])) for name in (first, second))
        if rng.uniform() < self.absent:
            enrolled, ratio = self._apart(rng, first, second), 0.0
        else:
            enrolled, ratio = first, rng.uniform(5, 18) if rng.uniform() < self.loud else rng.uniform(-5, 5)
        told = int(rng.choice([place for place in self._spoken[enrolled] if place != one]))
        target, interferer = self._together(one, other)
        mixture = target + np.float32(10 ** (-ratio / 20)) * interferer
        cut = _window(len(mixture), self._samples(self.seconds), rng)
        heard = _window(len(self.clips[told]), self._samples(self.enrolment), rng)
        target = target if enrolled == first else np.zeros_like(target)
        return cut(mixture), cut(target), heard(self.clips[told]), one

    def _apart(self, rng: Rng, *others: str) -> str:
        """A voice that is none of some others, nor made of the same recordings."""
        free = [name for name in self._spoken if all(_apart(name, other) for other in others)]
        return str(rng.choice(free))

    def _together(self, one: int, other: int) -> tuple[Audio, Audio]:
        """Both from the start, as long as the longer, at equal mean squares over their own spans."""
        first, second = self.clips[one], self.clips[other]
        length = max(len(first), len(second))
        gain = np.float32(np.sqrt(np.mean(np.square(first)) / np.mean(np.square(second))))
        return audio.fit(first, length), audio.fit(gain * second, length)

    def _samples(self, seconds: float | None) -> int | None:
        return None if seconds is None else round(seconds * self.clips.rate)


def _apart(one: str, other: str) -> bool:
    return one != other and frozenset((one, other)) not in ALIKE


def _window(have: int, want: int | None, rng: Rng) -> Callable[[Audio], Audio]:
    if want is None:
        return lambda x: x
    start = int(rng.integers(max(1, have - want + 1)))
    return lambda x: audio.fit(x[start : start + want], want)
