"""Two synthetic sounds that mix: bursts of a voice-like harmonic tone and bursts of hissing noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import signal

from tspbench.types import Audio, Query, Truth

RATE = 16000


@dataclass(frozen=True)
class Pair:
    """A target and an interferer of equal energy, their sum, and another rendition of each."""

    target: Audio
    interferer: Audio
    mixture: Audio
    example: Audio
    counterexample: Audio

    @property
    def truth(self) -> Truth:
        return Truth(self.target, self.interferer[None])

    @property
    def query(self) -> Query:
        return Query(RATE, audio=(self.example,), negative_audio=(self.counterexample,), truth=self.truth)


def bursts(rng: np.random.Generator, length: int, seconds: float) -> Audio:
    """An envelope (length,) that goes up and down at random."""
    knots = rng.random(max(3, round(length / RATE / seconds) + 2)) ** 2
    return np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots).astype(np.float32)


def tone(rng: np.random.Generator, length: int) -> Audio:
    """Harmonics of 200 Hz, falling by 1/k, with random phases."""
    time = np.arange(length) / RATE
    partials = [np.cos(2 * np.pi * (200 * k * time + rng.random())) / k for k in range(1, 20)]
    return (np.sum(partials, axis=0) * bursts(rng, length, 0.3)).astype(np.float32)


def hiss(rng: np.random.Generator, length: int) -> Audio:
    """Noise between 500 and 6000 Hz."""
    noise = rng.standard_normal(length + 1000)
    band = signal.sosfilt(signal.butter(4, (500, 6000), "bandpass", fs=RATE, output="sos"), noise)[1000:]
    return (band * bursts(rng, length, 0.2)).astype(np.float32)


def make_pair(seed: int, length: int = 3 * RATE) -> Pair:
    rng = np.random.default_rng(seed)
    target, interferer = (0.1 * x / np.sqrt(np.mean(x**2) + 1e-12) for x in (tone(rng, length), hiss(rng, length)))
    mixture = target + interferer
    return Pair(target, interferer, mixture, tone(rng, 2 * RATE), hiss(rng, 2 * RATE))


def decibels(estimate: Audio, target: Audio) -> float:
    """SI-SDR, written down here once more so that no code under test measures itself."""
    estimate, target = estimate.astype(np.float64), target.astype(np.float64)
    projection = (estimate @ target) / (target @ target) * target
    error = estimate - projection
    return float(10 * np.log10((projection @ projection) / (error @ error + 1e-30) + 1e-30))


@pytest.fixture
def pair() -> Pair:
    return make_pair(0)


@pytest.fixture(scope="session")
def new_pair() -> Callable[..., Pair]:
    return make_pair


@pytest.fixture(scope="session")
def si_sdr() -> Callable[[Audio, Audio], float]:
    return decibels
