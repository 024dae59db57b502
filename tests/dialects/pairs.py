"""Mixtures with targets and degraded estimates: made of noise, or of recordings where these are at hand.

A rule and a seed make them, so that published code run elsewhere and this
package see the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tspbench import audio

Wave = npt.NDArray[np.float64]
RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data"
SECONDS = 1.2


@dataclass(frozen=True)
class Pair:
    """Float32 signals of one length at ``rate`` Hz."""

    name: str
    rate: int
    mixture: audio.Audio
    target: audio.Audio
    estimate: audio.Audio


def _noisy(decibels: float) -> Callable[[Wave, Wave, np.random.Generator], Wave]:
    def degrade(s: Wave, n: Wave, rng: np.random.Generator) -> Wave:
        noise = rng.standard_normal(s.size)
        return s + noise * np.sqrt((s @ s) / (noise @ noise)) * 10 ** (-decibels / 20)

    return degrade


DEGRADED: dict[str, Callable[[Wave, Wave, np.random.Generator], Wave]] = {
    "noise-20": _noisy(20.0),
    "noise-5": _noisy(5.0),
    "noise-minus-5": _noisy(-5.0),
    "leak": lambda s, n, rng: s + 0.3 * n,
    "some-leak": lambda s, n, rng: 0.8 * s + 0.05 * n,
    "wrong": lambda s, n, rng: n + 0.02 * s,
    "mixture": lambda s, n, rng: s + n,
    "filtered": lambda s, n, rng: np.convolve(s + 0.1 * n, np.hanning(9) / 4.0, "same"),
    "reverberant": lambda s, n, rng: np.convolve(s, np.r_[1.0, np.zeros(200), 0.5, np.zeros(400), 0.3])[: s.size],
    "scaled": lambda s, n, rng: 0.1 * (s + 0.1 * n),
    "negated": lambda s, n, rng: -(s + 0.2 * n),
    "offset": lambda s, n, rng: s + 0.1 * n + 0.02,
    "clipped": lambda s, n, rng: np.clip(3 * (s + 0.2 * n), -1.0, 1.0),
    "beyond-full-scale": lambda s, n, rng: 6 * (s + 0.2 * n),
    "delayed": lambda s, n, rng: np.r_[np.zeros(5), s[:-5]] + 0.1 * n,
    "quiet": lambda s, n, rng: 1e-5 * (s + 0.2 * n),
    "half-silent": lambda s, n, rng: np.r_[np.zeros(s.size // 2), (s + 0.1 * n)[s.size // 2 :]],
    "holes": lambda s, n, rng: (s + 0.1 * n) * (np.arange(s.size) // 400 % 3 > 0),
    "coarse": lambda s, n, rng: np.round((s + 0.05 * n) * 32) / 32,
    "random-signs": lambda s, n, rng: s * rng.choice([-1.0, 1.0], s.size),
    "unrelated": lambda s, n, rng: 0.1 * rng.standard_normal(s.size),
    "silent": lambda s, n, rng: np.zeros(s.size),
    "perfect": lambda s, n, rng: s.copy(),
    "silent-target": lambda s, n, rng: 0.1 * n,
}


def synthetic(rate: int) -> Iterator[Pair]:
    """24 pairs of 1.2 s: syllables of coloured noise against other syllables."""
    for seed, kind in enumerate(DEGRADED):
        rng = np.random.default_rng([2024, seed])
        yield _pair(kind, rate, _syllables(rng, rate), _syllables(rng, rate), rng)


def recorded(rate: int) -> Iterator[Pair]:
    """24 pairs: clips of ESC-10 at 32 kHz, utterances of LibriSpeech below that, first with first, and so on."""
    folder, ending = ("esc10", "*.ogg") if rate == 32_000 else ("librispeech", "*.flac")
    groups = [sorted(each.glob(ending)) for each in sorted((RECORDINGS / folder).iterdir())]
    for seed, kind in enumerate(DEGRADED):
        first, second = groups[seed % len(groups)], groups[(seed + 1) % len(groups)]
        rng = np.random.default_rng([2025, seed])
        yield _pair(kind, rate, _read(first[seed % len(first)], rate), _read(second[seed % len(second)], rate), rng)


def _pair(kind: str, rate: int, target: Wave, other: Wave, rng: np.random.Generator) -> Pair:
    length = min(target.size, other.size, 5 * rate)
    target, other = target[:length], other[:length]
    if kind == "silent-target":
        target = np.zeros(length)
    scale = 0.3 / max(np.abs(target + other).max(), 1e-3)
    target, other = scale * target, scale * other
    estimate = DEGRADED[kind](target, other, rng)
    return Pair(kind, rate, *(signal.astype(np.float32) for signal in (target + other, target, estimate)))


def _syllables(rng: np.random.Generator, rate: int) -> Wave:
    size = int(SECONDS * rate)
    time = np.arange(size) / rate
    colour = np.convolve(rng.standard_normal(size), np.hanning(max(3, rate // 2000)), "same")
    pitch = rng.uniform(90, 250)
    voice = sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 12))
    envelope = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * time + rng.uniform(0, 6)), 0, None)
    return envelope * (voice + 0.3 * colour)


def _read(path: Path, rate: int) -> Wave:
    samples, own = audio.read(path)
    return audio.resample(samples, own, rate).astype(np.float64)
