"""Mel power spectra as librosa computes them, on numpy alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from tspbench.types import Audio

_LINEAR_STEP_HZ = 200 / 3
_KNEE_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27


@cache
def slaney_filters(
    rate: int, n_fft: int, n_mels: int, fmin: float = 0.0, fmax: float | None = None
) -> npt.NDArray[np.float64]:
    """Triangular filters of unit area on Slaney's mel scale (Auditory Toolbox, 1998).

    Parameters
    ----------
    rate, fmin, fmax
        In Hz; ``fmax`` None is ``rate / 2``.

    Returns
    -------
    Shape (n_mels, n_fft // 2 + 1); ``librosa.filters.mel`` gives the same.
    """
    lowest, highest = _hz_to_mel(np.array([fmin, rate / 2 if fmax is None else fmax]))
    edges = _mel_to_hz(np.linspace(lowest, highest, n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    filters: npt.NDArray[np.float64] = np.maximum(triangles, 0) * 2 / (high - low)
    filters.flags.writeable = False
    return filters


def mel_power(samples: Audio, rate: int, n_fft: int, hop: int, n_mels: int) -> Audio:
    """Power in mel bands, shape (1 + T // hop, n_mels).

    A periodic Hann window of ``n_fft`` samples every ``hop``, centred, zeros
    beyond the ends: ``librosa.feature.melspectrogram`` with its defaults, transposed.
    """
    padded = np.pad(samples.astype(np.float64), n_fft // 2)
    return band_power(np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop], rate, n_mels)


def band_power(frames: npt.NDArray[np.float64], rate: int, n_mels: int) -> Audio:
    """Power in mel bands, shape (n, n_mels), of frames (n, n_fft) that have no window on them yet."""
    n_fft = frames.shape[1]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    power: Audio = (np.abs(np.fft.rfft(frames * hann)) ** 2 @ slaney_filters(rate, n_fft, n_mels).T).astype(np.float32)
    return power


def _hz_to_mel(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = np.maximum(hz, _KNEE_HZ)
    mel: npt.NDArray[np.float64] = np.minimum(hz, _KNEE_HZ) / _LINEAR_STEP_HZ + np.log(above / _KNEE_HZ) / _LOG_STEP
    return mel


def _mel_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    knee = _KNEE_HZ / _LINEAR_STEP_HZ
    return np.where(mel < knee, mel * _LINEAR_STEP_HZ, _KNEE_HZ * np.exp(_LOG_STEP * (mel - knee)))
