"""Ideal masks: the most that a real-valued mask on the mixture's spectrogram can do.

Every mask is computed from the truth, multiplies the STFT of the mixture and
lies in [0, 1]. The interference is the sum of all other sources.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems.stft import STFT, Spectrum
from tspbench.types import Audio, Query, QueryKind, Truth

Mask = npt.NDArray[np.float32]
"""Shape (frames, bins), in [0, 1]."""


def ideal_binary(target: Spectrum, interference: Spectrum) -> Mask:
    """1 where the target's magnitude is the larger one, else 0 (Wang 2005)."""
    return (_power(target) > _power(interference)).astype(np.float32)


def ideal_ratio(target: Spectrum, interference: Spectrum, exponent: float = 0.5) -> Mask:
    """(S^2 / (S^2 + N^2)) ** exponent, 0 where both are silent (Wang and Chen 2018)."""
    power = _power(target)
    return _ratio(power, power + _power(interference)) ** np.float32(exponent)


def phase_sensitive(target: Spectrum, mixture: Spectrum) -> Mask:
    """|S| / |Y| cos(phase of S - phase of Y), truncated to [0, 1] (Erdogan et al. 2015)."""
    in_phase = target.real * mixture.real + target.imag * mixture.imag
    return np.clip(_ratio(in_phase, _power(mixture)), 0, 1)


class _OracleMask(System):
    """Applies an ideal mask; zeros where the target is absent.

    Parameters
    ----------
    window_ms, hop_ms
        Of the STFT, in ms: 32 and 8 (1024 and 256 samples at 32 kHz, 512 and
        128 at 16 kHz) unless told otherwise.
    """

    queries = frozenset({QueryKind.TRUTH})

    def __init__(self, window_ms: float = 32.0, hop_ms: float = 8.0) -> None:
        STFT.at(16000, window_ms, hop_ms)
        self.window_ms, self.hop_ms = window_ms, hop_ms

    def mask(self, target: Spectrum, interference: Spectrum, mixture: Spectrum) -> Mask:
        raise NotImplementedError

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        estimates = np.zeros_like(mixtures)
        for estimate, mixture, length, query in zip(estimates, mixtures, lengths, queries, strict=True):
            if query.truth is not None:
                estimate[:length] = self._extract(mixture[:length], query.truth, query.sample_rate)
        return estimates

    def _extract(self, mixture: Audio, truth: Truth, sample_rate: int) -> Audio:
        stft = STFT.at(sample_rate, self.window_ms, self.hop_ms)
        spectrum = stft.forward(mixture)
        target = stft.forward(audio.fit(truth.target, len(mixture)))
        interference = stft.forward(audio.fit(truth.interferers.sum(axis=0), len(mixture)))
        return stft.inverse(self.mask(target, interference, spectrum) * spectrum, len(mixture))


class OracleIBM(_OracleMask):
    """Ideal binary mask."""

    def mask(self, target: Spectrum, interference: Spectrum, mixture: Spectrum) -> Mask:
        return ideal_binary(target, interference)


class OracleIRM(_OracleMask):
    """Ideal ratio mask.

    Parameters
    ----------
    exponent
        0.5, which the name stands for in the literature; 1 gives the
        Wiener-like mask, whose SI-SDR is the higher one.
    """

    def __init__(self, exponent: float = 0.5, window_ms: float = 32.0, hop_ms: float = 8.0) -> None:
        super().__init__(window_ms, hop_ms)
        if not exponent > 0:
            raise UsageError(f"exponent={exponent}: it must be positive.")
        self.exponent = exponent

    def mask(self, target: Spectrum, interference: Spectrum, mixture: Spectrum) -> Mask:
        return ideal_ratio(target, interference, self.exponent)


class OraclePSM(_OracleMask):
    """Truncated phase-sensitive mask: of all masks in [0, 1], the one nearest to the target in each bin."""

    def mask(self, target: Spectrum, interference: Spectrum, mixture: Spectrum) -> Mask:
        return phase_sensitive(target, mixture)


def _power(spectrum: Spectrum) -> npt.NDArray[np.float32]:
    return spectrum.real**2 + spectrum.imag**2


def _ratio(above: npt.NDArray[np.float32], below: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
