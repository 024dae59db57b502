"""Dynamic mixing of whole utterances, whose words are known: as LibriMix in its ``max`` mode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.systems.training.loudness import lufs
from tspbench.systems.training.mixing import Clips
from tspbench.types import Audio

Range = tuple[float, float]
SPEECH_LUFS: Range = (-33.0, -25.0)
NOISE_LUFS: Range = (-38.0, -30.0)
PEAK = 0.9


@dataclass(frozen=True)
class Mixed:
    """A mixture (T,), and which clips its target and another utterance of the target's speaker are."""

    mixture: Audio
    target: int
    enrolment: int


@dataclass(frozen=True)
class UtteranceMixer:
    """Two speakers at once, from their beginnings to the longer one's end. Called with a step, it gives its batch.

    Every utterance is a target once before any is twice; it is mixed with any
    of another speaker. The loudness of each is drawn evenly from -33 to -25
    LUFS, that of noise from -38 to -30; what would clip is turned down:
    ``create_librimix_metadata.py``, github.com/JorisCos/LibriMix b898ca3.

    Parameters
    ----------
    speakers
        Of the clips.
    noise
        Recordings, one of which lies under every mixture.
    """

    clips: Clips
    speakers: tuple[str, ...]
    batch: int
    seed: int
    noise: Clips | None = None

    def __post_init__(self) -> None:
        if len(set(self.speakers)) < 2:
            raise UsageError("Mixtures of two speakers need two speakers at least.")

    def __call__(self, step: int) -> list[Mixed]:
        rng = np.random.default_rng([self.seed, 1, step])
        return [self._one(self._turn(step * self.batch + place), rng) for place in range(self.batch)]

    def _turn(self, count: int) -> int:
        """Whose turn it is: the utterances in a new order every time round."""
        lap, place = divmod(count, len(self.clips))
        return int(np.random.default_rng([self.seed, 0, lap]).permutation(len(self.clips))[place])

    def _one(self, target: int, rng: np.random.Generator) -> Mixed:
        name = self.speakers[target]
        other = int(rng.choice([place for place, each in enumerate(self.speakers) if each != name]))
        same = [place for place, each in enumerate(self.speakers) if each == name and place != target]
        sources = [_drawn(self.clips, place, SPEECH_LUFS, rng) for place in (target, other)]
        longest = max(map(len, sources))
        if self.noise is not None:
            sources.append(self._noise(self.noise, longest, rng))
        mixture = np.sum([audio.fit(source, longest) for source in sources], axis=0, dtype=np.float32)
        loudest = float(np.abs(mixture).max())
        gain = np.float32(PEAK / loudest if loudest > PEAK else 1)
        return Mixed(gain * mixture, target, int(rng.choice(same or [target])))

    def _noise(self, noise: Clips, length: int, rng: np.random.Generator) -> Audio:
        place = int(rng.integers(len(noise)))
        samples = noise[place]
        start = int(rng.integers(max(1, len(samples) - length + 1)))
        return levelled(samples[start : start + length], NOISE_LUFS, rng, noise.rate, noise.paths[place])


def _drawn(clips: Clips, place: int, loudness: Range, rng: np.random.Generator) -> Audio:
    return levelled(clips[place], loudness, rng, clips.rate, clips.paths[place])


def levelled(samples: Audio, loudness: Range, rng: np.random.Generator, rate: int, path: Path) -> Audio:
    """Samples (T,) at a loudness drawn from a range in LUFS; what would clip peaks at 0.9 instead.

    Raises
    ------
    UsageError
        They are silent.
    """
    found = lufs(samples, rate)
    if math.isinf(found):
        raise UsageError(f"{path} is silent, at least in a stretch of {len(samples) / rate:.1f} s. Remove it.")
    gain = 10 ** ((rng.uniform(*loudness) - found) / 20)
    peak = float(np.abs(samples).max())
    return np.float32(gain if gain * peak < 1 else PEAK / peak) * samples
