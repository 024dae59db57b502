"""By how much one signal lags behind another: in windows from their activity, in samples from their frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tspbench.metrics.p862.filters import Single
from tspbench.metrics.p862.tables import Parameters
from tspbench.metrics.ratios import Double

_NEAR = 0.99
"""Of a frame's largest correlation: such lags count as well."""
_REACH = 64
"""A lag supports its neighbours up to this part of a frame away."""
_DIGITS = 10
"""Beyond these, values that are equal differ by rounding."""

Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Coarse:
    """A delay in windows, and the correlation (n,) that it was found in, lags ascending; empty where there is none."""

    delay: int
    correlation: Single


def coarse(target: Double, estimate: Double, spans: Spans, shift: int) -> list[Coarse]:
    """By how much the estimate lags behind spans (start, end) of the target, looked for around ``shift``, in windows.

    ``target`` and ``estimate`` are the logarithms of their activity.
    """
    pieces = [_overlap(len(estimate), start, end, shift) for start, end in spans]
    longest = max(max(piece.target_length, piece.estimate_length) for piece in pieces)
    if longest <= 1:
        return [Coarse(shift, _NOTHING)] * len(pieces)
    rows = np.zeros((2, len(pieces), longest), np.float32)
    for row, piece in enumerate(pieces):
        rows[0, row, : piece.target_length] = target[piece.target :][: piece.target_length]
        rows[1, row, : piece.estimate_length] = estimate[piece.estimate :][: piece.estimate_length]
    lags = _correlations(rows[0], rows[1])
    found = [
        row[longest - piece.target_length : longest - 1 + piece.estimate_length] if piece.correlates else _NOTHING
        for row, piece in zip(lags, pieces, strict=True)
    ]
    return [Coarse(shift + _best_lag(row, piece), row) for row, piece in zip(found, pieces, strict=True)]


_NOTHING: Single = np.zeros(0, np.float32)


@dataclass(frozen=True)
class _Overlap:
    target: int
    estimate: int
    target_length: int
    estimate_length: int

    @property
    def correlates(self) -> bool:
        return self.target_length > 1 and self.estimate_length > 1


def _overlap(available: int, start: int, end: int, shift: int) -> _Overlap:
    """A span of the target, and what is there of the estimate ``shift`` windows later."""
    start = max(start, -shift)
    length = max(end - start, 0)
    return _Overlap(start, start + shift, length, max(min(length, available - start - shift), 0))


def _correlations(first: Single, second: Single) -> Single:
    """Of each row of (n, T), at lags -(T - 1) to T - 1."""
    from scipy.fft import irfft, next_fast_len, rfft

    longest = first.shape[1]
    size = next_fast_len(2 * longest, real=True)
    products = rfft(second, size, axis=1)
    products *= rfft(first, size, axis=1).conj()
    found = irfft(products, size, axis=1)
    return np.concatenate([found[:, size - longest + 1 :], found[:, :longest]], axis=1)


def _best_lag(correlation: Single, piece: _Overlap) -> int:
    """The lag of the largest correlation, the most negative one of equals; 0 where there is none."""
    best = int(correlation.argmax()) if correlation.size else 0
    return best - piece.target_length + 1 if correlation.size and correlation[best] > 0 else 0


@dataclass(frozen=True, eq=False)
class Frames:
    """Two signals in frames of :attr:`~tspbench.metrics.p862.tables.Parameters.align` samples, a quarter apart."""

    target: Single
    estimate: Single
    parameters: Parameters
    window: Single

    @property
    def size(self) -> int:
        return self.parameters.align

    @property
    def hop(self) -> int:
        return self.size // 4

    def agreement(self, target: int, estimate: int, counts: Sequence[int], step: int) -> list[tuple[int, float]]:
        """For the first frames of either signal, ``counts`` of them in ascending order: by how much the estimate lags.

        Frames begin at ``target`` and ``estimate`` and follow each other at
        ``step`` samples, forwards or backwards. Returns lags in samples, each
        with the share of the frames' votes that it has, 0 to 1.
        """
        votes = np.zeros((len(counts), self.size))
        if counts and counts[-1] > 0:
            frame, lag, weight = self._votes(target, estimate, counts[-1], step)
            part = np.searchsorted(np.asarray(counts), frame, side="right")
            votes = np.bincount(part * self.size + lag, weight, votes.size).reshape(votes.shape).cumsum(axis=0)
        return _agreed(votes)

    def _votes(self, target: int, estimate: int, count: int, step: int) -> tuple[npt.NDArray[np.intp], ...]:
        """(frame, lag, weight) of all lags at which frames correlate best."""
        from scipy.fft import irfft, rfft

        products = rfft(self._cut(self.target, target, count, step), axis=1)
        np.conjugate(products, out=products)
        products *= rfft(self._cut(self.estimate, estimate, count, step), axis=1)
        correlation = irfft(products, self.size, axis=1)
        np.abs(correlation, out=correlation)
        near = np.float32(_NEAR) * correlation.max(axis=1)
        frame, lag = np.divmod(np.flatnonzero(correlation > near[:, np.newaxis]), self.size)
        return frame, lag, near[frame] ** 0.125

    def _cut(self, signal: Single, start: int, count: int, step: int) -> Single:
        first = min(start, start + (count - 1) * step)
        frames = np.lib.stride_tricks.sliding_window_view(signal[first:], self.size)[:: abs(step)][:count]
        return frames[:: 1 if step > 0 else -1] * self.window


def _agreed(votes: Double) -> list[tuple[int, float]]:
    """The lag with most votes in its neighbourhood, by rows, and its share of them."""
    from scipy.fft import irfft, rfft

    size = votes.shape[1]
    total = votes.sum(axis=1, keepdims=True)
    near = irfft(rfft(votes, axis=1) * _neighbourhood(size), size, axis=1)
    share = np.round(np.divide(near, total, out=np.zeros_like(near), where=total > 0), _DIGITS)
    best = share.argmax(axis=1)
    lags = np.where(best >= size // 2, best - size, best)
    return list(zip(lags.tolist(), share[np.arange(len(best)), best].tolist(), strict=True))


@lru_cache
def _neighbourhood(size: int) -> npt.NDArray[np.complex128]:
    """The transform of a triangle around lag 0."""
    from scipy.fft import rfft

    lags = np.arange(size)
    distance = np.minimum(lags, size - lags)
    spectrum: npt.NDArray[np.complex128] = rfft(np.maximum(1 - distance * _REACH / size, 0.0))
    return spectrum


@lru_cache
def hann(size: int) -> Single:
    """The periodic Hann window."""
    window: Single = (0.5 * (1 - np.cos(2 * np.pi * np.arange(size) / size))).astype(np.float32)
    return window
