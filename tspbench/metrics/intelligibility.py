"""STOI and ESTOI (Taal et al., 2011; Jensen and Taal, 2016), to the values of the ``pystoi`` package.

Its resampler, frames, band edges and small constants are those of the authors'
MATLAB code; here they are computed a signal at a time in place of a frame at a
time, and what the target decides is prepared once for all its estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from tspbench.metrics.ratios import Double, Samples

RATE = 16_000
"""Hz of the signals that are given; inside it is 10 kHz."""

_UP, _DOWN = 5, 8
_HALF = 290
"""Taps of the resampling filter on either side of its middle, at 80 kHz."""
_BLOCK = 16
"""Times ``_UP`` samples that are resampled by one row of a matrix product."""

_FRAME, _HOP, _FFT = 256, 128, 512
_BANDS, _LOWEST_HZ = 15, 150
_SPAN = 30
"""Frames that are correlated at a time: 384 ms."""
_ACTIVE_DB = 40
_CEILING = 1 + 10 ** (15 / 20)
"""Clipping leaves at least -15 dB of signal to distortion."""
_EPS = float(np.finfo(np.float64).eps)
_LEAST = 1e-6
"""A span's rounding (and pystoi's noise) is at 1e-15 of its envelopes: this keeps ESTOI to some 1e-9."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What every estimate of one target needs.

    ``active`` (frames,) says which frames of the target are speech, ``bands``
    (15, n) are the target's third-octave envelopes over what is left, n >= 30.
    """

    active: npt.NDArray[np.bool_]
    bands: Double


def reference(target: Samples) -> Reference | None:
    """Prepare a target, shape (T,) at 16 kHz; None where fewer than 30 of its frames are active."""
    frames = _frames(resampled(target))
    if not len(frames):
        return None
    level = 20 * np.log10(np.linalg.norm(frames, axis=1) + _EPS)
    active = level.max() - _ACTIVE_DB < level
    if np.count_nonzero(active) <= _SPAN:
        return None
    return Reference(active, _envelopes(frames[active]))


def envelopes(estimate: Samples, prepared: Reference) -> Double:
    """Third-octave envelopes (15, n) of an estimate of the same length, where its target is active."""
    return _envelopes(_frames(resampled(estimate))[prepared.active])


def stoi(heard: Double, prepared: Reference) -> float:
    """STOI of an estimate whose :func:`envelopes` are given: -1 to 1."""
    x, y = _spans(prepared.bands), _spans(heard)
    gain = _norm(x) / (_norm(y) + _EPS)
    limited = np.minimum(y * gain, x * _CEILING)
    limited -= limited.mean(axis=2, keepdims=True)
    x = x - x.mean(axis=2, keepdims=True)
    products = np.einsum("bmk,bmk->bm", limited, x)[..., np.newaxis]
    return float((products / (_norm(limited) + _EPS) / (_norm(x) + _EPS)).mean())


def estoi(heard: Double, prepared: Reference) -> float | None:
    """ESTOI of an estimate whose :func:`envelopes` are given: -1 to 1.

    None where some span holds nothing but rounding, as in digital silence:
    there pystoi's value hangs on noise of 2e-16 that it adds, and on the order
    of its sums.
    """
    x, y = _normalised(prepared.bands), _normalised(heard)
    if x is None or y is None:
        return None
    return float(np.vdot(x, y) / x[0].size)


def resampled(samples: Samples) -> Double:
    """16 kHz to 10 kHz by the polyphase filter of GNU Octave's ``resample``, as pystoi has it."""
    lead = _HALF // _UP
    kernel = _kernel()
    count = -(-samples.size * _UP // _DOWN)
    rows = -(-count // (_BLOCK * _UP))
    padded = np.zeros((rows - 1) * _BLOCK * _DOWN + len(kernel))
    padded[lead : lead + samples.size] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(kernel))[:: _BLOCK * _DOWN]
    out: Double = (windows @ kernel).reshape(-1)[:count]
    return out


@cache
def _kernel() -> Double:
    """What ``_BLOCK * _DOWN`` samples and their neighbours give to ``_BLOCK * _UP`` new ones, (inputs, outputs)."""
    lead = _HALF // _UP
    taps = np.arange(-_HALF, _HALF + 1)
    # Kaiser window for 60 dB; a tenth of the stop band's edge is the transition.
    ideal = np.kaiser(taps.size, 0.1102 * (60 - 8.7)) * np.sinc(taps / _DOWN)
    filter_ = np.concatenate([_UP * ideal / ideal.sum(), [0.0]])
    inputs = np.arange(-lead, _BLOCK * _DOWN + lead)[:, np.newaxis]
    lag = _DOWN * np.arange(_BLOCK * _UP) - _UP * inputs
    kernel: Double = filter_[np.where(np.abs(lag) <= _HALF, lag + _HALF, -1)]
    return kernel


def _frames(samples: Double) -> Double:
    """Windowed frames, (n, 256); the one that would end with the last sample is left out, as pystoi does."""
    if samples.size <= _FRAME:
        return np.zeros((0, _FRAME))
    return np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[: samples.size - _FRAME : _HOP] * _window()


@cache
def _window() -> Double:
    window: Double = np.hanning(_FRAME + 2)[1:-1]
    return window


def _envelopes(frames: Double) -> Double:
    """Overlap-add some frames, cut the result into frames again, and take the bands' magnitudes."""
    from scipy.fft import rfft

    joined = np.zeros((len(frames) + 1, _HOP))
    joined[:-1] = frames[:, :_HOP]
    joined[1:] += frames[:, _HOP:]
    spectra = rfft(_frames(joined.reshape(-1)), _FFT, axis=1)
    filters = _filters()
    used = spectra[:, : len(filters)]
    bands: Double = np.sqrt((used.real**2 + used.imag**2) @ filters).T
    return np.ascontiguousarray(bands)


@cache
def _filters() -> Double:
    """One for each bin of a third of an octave, (bins, 15)."""
    bins = np.linspace(0, 10_000, _FFT + 1)[: _FFT // 2 + 1]
    corners = _LOWEST_HZ * 2.0 ** ((2 * np.arange(_BANDS + 1) - 1) / 6)
    edges = np.abs(bins - corners[:, np.newaxis]).argmin(axis=1)
    index = np.arange(edges[-1])[:, np.newaxis]
    filters: Double = ((edges[:-1] <= index) & (index < edges[1:])).astype(np.float64)
    return filters


def _spans(bands: Double) -> Double:
    """Every 30 frames in a row, (15, n - 29, 30)."""
    return np.lib.stride_tricks.sliding_window_view(bands, _SPAN, axis=1)


def _norm(spans: Double) -> Double:
    norm: Double = np.sqrt(np.einsum("bmk,bmk->bm", spans, spans))
    return norm[..., np.newaxis]


def _normalised(bands: Double) -> Double | None:
    """Rows (time), then columns (bands), of each span at mean 0 and norm 1; None where that blows rounding up."""
    spans = _spans(bands)
    x: Double = spans - spans.mean(axis=2, keepdims=True)
    rows = _norm(x)
    loudest = np.maximum(_spans(bands.max(axis=0)[np.newaxis]).max(axis=2, keepdims=True), 1.0)
    clear = float((rows / loudest).min())
    if not clear >= _LEAST:
        return None
    x /= rows
    x -= x.mean(axis=0)
    columns = np.sqrt(np.einsum("bmk,bmk->mk", x, x))
    if not clear * columns.min() >= _LEAST:
        return None
    x /= columns
    return x
