"""The filters of P.862: a level measured in the speech band, the way into the ear, and what delays are found in.

The filters before the search for delays are recursive; their impulse response,
which is over in less than :data:`_TAPS` samples, is applied block by block in
the frequency domain. That takes a fraction of the time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tspbench.metrics.p862.tables import RECEIVER_DB, SPEECH_BAND_DB, Parameters
from tspbench.metrics.ratios import Double

Single = npt.NDArray[np.float32]
Curve = tuple[tuple[float, float], ...]

_POWER = 1e7
"""What signals are brought to, in the speech band."""
_FADE = 16
_TAPS, _BLOCK = 512, 4096
_REFERENCE_HZ = 1000.0
_REMEMBERED = 8


class Inaudible(ValueError):
    """A signal has nothing in the band of speech."""


def levelled(samples: Single, parameters: Parameters) -> Single:
    """A signal (T,) between the silences that P.862 puts around it, at its standard level."""
    around = np.zeros(len(samples) + 2 * parameters.lead + parameters.padding, np.float32)
    inner = around[parameters.lead : parameters.lead + len(samples) + parameters.padding]
    inner[: len(samples)] = samples
    band = shaped(inner, parameters.rate, SPEECH_BAND_DB)
    power = np.dot(band, band) / len(band)
    if not power > 0:
        raise Inaudible("nothing between 300 and 3500 Hz")
    inner *= np.sqrt(_POWER / power)
    return around


def received(around: Single, samples: int, parameters: Parameters) -> Single:
    """A levelled signal as it is given to the ear; ``samples`` of it are the signal's own."""
    out = around.copy()
    inner = out[parameters.lead :]
    if parameters.input_section is None:
        inner = inner[: samples + parameters.padding]
        inner[:] = shaped(inner, parameters.rate, RECEIVER_DB)
        return out
    inner = inner[:samples]
    ramp = np.arange(1, _FADE, dtype=np.float32) / _FADE
    inner[: _FADE - 1] *= ramp
    inner[1 - _FADE :] *= ramp[::-1]
    inner[:] = _high_passed(inner, parameters.input_section.astype(np.float32))
    return out


def for_alignment(heard: Single, samples: int, parameters: Parameters) -> Single:
    """What delays are found in: no constant, soft edges, the bands that carry speech. As long as ``heard``."""
    out = heard.copy()
    lead, window = parameters.lead, parameters.window
    inner = out[lead : lead + samples]
    inner -= inner.sum(dtype=np.float64) / (samples + 2 * lead)
    ramp = ((np.arange(window) + 0.5) / window).astype(np.float32)
    inner[:window] *= ramp
    inner[-window:] *= ramp[::-1]
    # In double precision: frames vote with the eighth root of what they hold, so a trace of rounding in silence counts.
    out[lead:] = _convolved(out[lead:].astype(np.float64), _spectrum(parameters))
    return out


def shaped(samples: Single, rate: int, curve: Curve) -> Single:
    """Samples through a filter given in dB at some Hz, by one transform as long as the next power of two."""
    from scipy.fft import irfft, rfft

    size = 1 << max(len(samples) - 1, 1).bit_length()
    spectrum = rfft(samples, size)
    spectrum *= _gains(size, rate, curve)
    out: Single = irfft(spectrum, size)[: len(samples)]
    return out


@lru_cache(_REMEMBERED)
def _gains(size: int, rate: int, curve: Curve) -> Single:
    hz, decibels = np.array(curve).T
    bins = np.arange(size // 2 + 1) * (rate / size)
    above = np.interp(bins, hz, decibels) - np.interp(_REFERENCE_HZ, hz, decibels)
    gains: Single = (10 ** (above / 20)).astype(np.float32)
    return gains


def _high_passed(samples: Single, section: Single) -> Single:
    """One second-order section, its recursion first (direct form II), in single precision.

    Its poles lie so near to 0 Hz that rounding adds a noise which the model
    hears: up to 0.006 of the score. The program of the Recommendation has it
    too; exact arithmetic would give other values than are published.
    """
    from scipy.signal import lfilter

    b, a = section[:3], section[3:]
    state = np.zeros(len(samples) + 2, np.float32)
    state[2:] = lfilter(np.ones(1, np.float32), a, samples)
    out: Single = b[0] * state[2:] + b[1] * state[1:-1] + b[2] * state[:-2]
    return out


@lru_cache(_REMEMBERED)
def _spectrum(parameters: Parameters) -> npt.NDArray[np.complex128]:
    """The transform of the impulse response of all that comes before the search for delays."""
    from scipy.fft import rfft
    from scipy.signal import sosfilt

    response = sosfilt(parameters.alignment_sections, np.eye(1, _TAPS)[0])
    spectrum: npt.NDArray[np.complex128] = rfft(response, _BLOCK)
    return spectrum


def _convolved(samples: Double, spectrum: npt.NDArray[np.complex128]) -> Double:
    """The first ``len(samples)`` samples of a convolution, by overlapping blocks (overlap-save)."""
    from scipy.fft import irfft, rfft

    new = _BLOCK - _TAPS
    count = -(-len(samples) // new)
    padded = np.zeros(_TAPS + count * new)
    padded[_TAPS : _TAPS + len(samples)] = samples
    blocks = np.lib.stride_tricks.sliding_window_view(padded, _BLOCK)[::new]
    filtered: Double = irfft(rfft(blocks, axis=1) * spectrum, _BLOCK, axis=1)[:, _TAPS:]
    return filtered.reshape(-1)[: len(samples)]
