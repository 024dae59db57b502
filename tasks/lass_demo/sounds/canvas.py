"""What the recipes of sounds are made with: seeded chance, curves, noise, resonators."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.signal import lfilter

Float = npt.NDArray[np.float64]

Modes = Sequence[tuple[float, float, float]]
"""Ways in which a body rings: Hz, amplitude, seconds to fall by 1/e."""

ROOM = ((60.0, 300.0, 2000.0, 12000.0), (0.0, -6.0, -14.0, -30.0))
"""Hz and dB of the faint noise of a quiet room, for :meth:`Canvas.noise`."""

TABLE = 1 << 14


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where one sound is drawn: its random numbers, its rate in Hz and its length in samples."""

    rng: np.random.Generator
    rate: int
    length: int

    @property
    def seconds(self) -> float:
        return self.length / self.rate

    def near(self, value: float, spread: float) -> float:
        """``value`` times a factor drawn evenly from 1 - spread to 1 + spread."""
        return value * self.rng.uniform(1 - spread, 1 + spread)

    def silence(self) -> Float:
        return np.zeros(self.length)

    def curve(self, low: float, high: float, per_second: float) -> Float:
        """A smooth random curve (T,) between ``low`` and ``high`` with so many turning points a second."""
        knots = self.rng.uniform(low, high, int(self.seconds * per_second) + 3)
        place = np.arange(self.length) * (per_second / self.rate)
        left = place.astype(np.intp)
        part = place - left
        out: Float = knots[left] + np.diff(knots)[left] * (part * part * (3 - 2 * part))
        return out

    def noise(self, hz: Sequence[float], db: Sequence[float]) -> Float:
        """Noise (T,) of unit RMS whose spectrum runs through the points (hz, db)."""
        size = fft.next_fast_len(self.length, real=True)
        octaves = np.log2(np.maximum(fft.rfftfreq(size, 1 / self.rate), 1.0))
        shape = 10 ** (np.interp(octaves, np.log2(hz), db) / 20)
        shape[0] = 0
        # Even draws are quicker than normal ones; a sum of 10^5 of them is Gaussian all the same.
        draws = self.rng.random((len(shape), 2), dtype=np.float32) - np.float32(0.5)
        draws *= shape.astype(np.float32)[:, None]
        noise: Float = fft.irfft(draws.view(np.complex64)[:, 0], size)[: self.length].astype(np.float64)
        return noise / rms(noise)

    def beats(self, gap_s: float, jitter: float, first_s: float = 0.15) -> Float:
        """Times in seconds of events about ``gap_s`` apart, the first within ``first_s``."""
        gaps = gap_s * self.rng.uniform(1 - jitter, 1 + jitter, int(self.seconds / (gap_s * (1 - jitter))) + 2)
        times = self.rng.uniform(0.02, first_s) + np.cumsum(gaps) - gaps[0]
        early: Float = times[times < self.seconds - 0.05]
        return early

    def impulses(self, times: npt.ArrayLike, gains: npt.ArrayLike) -> Float:
        """One-sample pulses (T,) at some times in seconds."""
        places = np.minimum((np.asarray(times) * self.rate).astype(np.intp), self.length - 1)
        weights = np.broadcast_to(np.asarray(gains, dtype=np.float64), places.shape)
        return np.bincount(places, weights, self.length).astype(np.float64)

    def tone(self, hz: Float | float, harmonics: Sequence[float]) -> Float:
        """A periodic tone (T,) of (varying) fundamental, with the amplitudes of its harmonics."""
        cycles = np.cumsum(np.broadcast_to(hz, self.length)) / self.rate + self.rng.random()
        return harmonic(cycles, harmonics)

    def struck(self, times: Float, gains: Float, modes: Modes, seconds: float | None = None) -> Float:
        """A body struck at some times in seconds: (T,), or ``seconds`` long."""
        length = self.length if seconds is None else int(seconds * self.rate)
        body = modal(modes, min(length, int(7 * max(decay for _, _, decay in modes) * self.rate)), self.rate)
        out = np.zeros(length)
        for time, gain in zip(times, gains, strict=True):
            add(out, int(time * self.rate), gain * body)
        return out


def rms(signal: Float) -> float:
    return float(np.sqrt(np.mean(signal**2)))


def total(signals: Iterable[Float]) -> Float:
    """Sum of signals of one length."""
    return functools.reduce(np.add, signals)


def harmonic(cycles: Float, harmonics: Sequence[float]) -> Float:
    """Sum of sines at multiples of a phase in cycles, by table."""
    out: Float = _table(tuple(harmonics))[(cycles * TABLE).astype(np.int64) & (TABLE - 1)]
    return out


@functools.lru_cache(maxsize=16)
def _table(harmonics: tuple[float, ...]) -> Float:
    circle = 2 * np.pi * np.arange(TABLE) / TABLE
    return total(gain * np.sin(order * circle) for order, gain in enumerate(harmonics, start=1))


def modal(modes: Modes, length: int, rate: int) -> Float:
    """Response (length,) of a struck body: a sum of damped sines.

    Each is a product of one coarse and one fine exponential, which spares
    ``length`` sines. Sums avoid BLAS, whose order depends on its threads.
    """
    step = max(1, int(length**0.5))
    coarse, fine = np.arange(-(-length // step)) * (step / rate), np.arange(step) / rate
    out = np.zeros((len(coarse), step))
    for hz, gain, decay in modes:
        pole = 2j * np.pi * hz - 1 / decay
        slow, quick = np.exp(pole * coarse)[:, None], gain * np.exp(pole * fine)
        out += slow.real * quick.imag + slow.imag * quick.real
    return out.ravel()[:length]


def ring(pulses: Float, hz: float, decay_s: float, rate: int) -> Float:
    """Two-pole resonator whose response to a pulse is a damped sine of the pulse's amplitude."""
    angle = 2 * np.pi * hz / rate
    radius = np.exp(-1 / (decay_s * rate))
    out: Float = lfilter([0.0, radius * np.sin(angle)], [1.0, -2 * radius * np.cos(angle), radius**2], pulses)
    return out


def formant(signal: Float, hz: float, bandwidth: float, rate: int) -> Float:
    """Two-pole resonator with unit gain at its centre."""
    angle = 2 * np.pi * hz / rate
    radius = np.exp(-np.pi * bandwidth / rate)
    gain = (1 - radius) * np.sqrt(1 - 2 * radius * np.cos(2 * angle) + radius**2)
    out: Float = lfilter([gain], [1.0, -2 * radius * np.cos(angle), radius**2], signal)
    return out


def add(out: Float, start: int, event: Float) -> None:
    """Add an event to ``out`` in place; what hangs over the end is lost."""
    kept = max(0, min(len(event), len(out) - start))
    out[start : start + kept] += event[:kept]


def swell(length: int, attack: float, release: float) -> Float:
    """An envelope from 0 to 1 and back to 0, with raised-cosine flanks given as parts of its length."""
    place = np.linspace(0, 1, length)
    flank = np.minimum(np.minimum(place / attack, (1 - place) / release), 1)
    return 0.5 - 0.5 * np.cos(np.pi * flank)
