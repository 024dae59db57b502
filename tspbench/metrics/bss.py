"""SDR of BSS Eval v3: the share of an estimate that a 512-tap filter can draw from the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.guards import sounding_pair
from tspbench.metrics.ratios import LIMIT_DB, PENALTY_DB, Double, Samples, as_pair, decibels
from tspbench.metrics.signals import Signals

TAPS = 512
"""Length of the causal distortion filter."""

_FFT = 4096
_BLOCK = _FFT - TAPS + 1
_SOLVED = 1e-9

Spectra = npt.NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Reference:
    """What every estimate of one target needs: the target's block spectra and autocorrelation.

    ``spectra`` is (blocks, 2049) complex, ``autocorrelation`` (512,), both of
    the target at unit norm.
    """

    spectra: Spectra
    autocorrelation: Double


def sdr(estimate: Samples, target: Samples) -> float:
    """BSS Eval v3 SDR in dB of one source (Vincent et al., 2006).

    The estimate is projected on the target's 512 causal shifts; the ratio is
    that of the projection's energy to the rest's. Blind to gain, sign, and any
    filter or delay of fewer than 512 taps. No mean is removed and nothing is
    added to the diagonal (a loading of 1e-5 would cap the value at 50 dB).

    Parameters
    ----------
    estimate, target
        Shape (T,); computed in float64.

    Returns
    -------
    float
        Within ±100 dB; NaN for a silent estimate or a silent target.

    Raises
    ------
    ValueError
        The shapes differ or are not (T,).
    """
    e, s = as_pair(estimate, target)
    if not e.any() or not s.any():
        return float("nan")
    return sdr_to(reference(s), e)


def reference(target: Samples) -> Reference:
    """Prepare a target that is not silent, once for all its estimates."""
    from scipy.fft import rfft

    s = _unit(target)
    spectra = rfft(_blocks(s, _BLOCK), _FFT, axis=1)
    return Reference(spectra, _correlation(spectra, s))


def sdr_to(prepared: Reference, estimate: Samples) -> float:
    """:func:`sdr` of an estimate that is not silent, given :func:`reference` of its target."""
    explained = _explained(prepared.autocorrelation, _correlation(prepared.spectra, _unit(estimate)))
    return decibels(explained, 1.0 - explained)


def _explained(autocorrelation: Double, correlation: Double) -> float:
    """Energy of the projection of a unit-norm estimate: ``b' R^-1 b`` with R symmetric Toeplitz.

    Computed as ``2 b'h - h'Rh``, which an error in the solution h of R h = b
    touches to second order only.
    """
    from scipy.linalg import matmul_toeplitz

    h = _solve(autocorrelation, correlation)
    return float(2 * (correlation @ h) - h @ matmul_toeplitz(autocorrelation, h))


def _solve(autocorrelation: Double, correlation: Double) -> Double:
    """Solve R h = b by Levinson's recursion, in O(taps^2).

    A target that repeats itself (a bare tone) can make R singular to working
    precision, where the recursion stops or blows up: then least squares of least norm.
    """
    from scipy.linalg import LinAlgError, matmul_toeplitz, solve_toeplitz, toeplitz

    try:
        h: Double = solve_toeplitz(autocorrelation, correlation)
        if np.abs(matmul_toeplitz(autocorrelation, h, check_finite=False) - correlation).max() <= _SOLVED:
            return h
    except LinAlgError:
        pass
    least_norm: Double = np.linalg.lstsq(toeplitz(autocorrelation), correlation, rcond=None)[0]
    return least_norm


def _correlation(spectra: Spectra, samples: Double) -> Double:
    """Sum over t of s[t] x[t + k] for k = 0 … 511, block by block.

    Only 512 lags are wanted, so short transforms that stay in the cache do it
    several times faster than one transform over the whole signal.
    """
    from scipy.fft import irfft, rfft

    others = rfft(_blocks(samples, _FFT), _FFT, axis=1)
    lags: Double = irfft(np.einsum("bf,bf->f", spectra.conj(), others), _FFT)[:TAPS]
    return lags


def _blocks(samples: Double, width: int) -> Double:
    """Rows that start every ``_BLOCK`` samples, each ``width`` long, zeros after the end."""
    count = -(-samples.size // _BLOCK)
    padded = np.zeros((count - 1) * _BLOCK + _FFT)
    padded[: samples.size] = samples
    return np.lib.stride_tricks.sliding_window_view(padded, width)[: count * _BLOCK : _BLOCK]


def _unit(samples: Samples) -> Double:
    x = np.asarray(samples, dtype=np.float64)
    return x / np.linalg.norm(x)


def _score(signals: Signals) -> Score:
    pair = sounding_pair(signals)
    if isinstance(pair, Score):
        return pair
    prepared = signals.memo("bss reference of the target", lambda: reference(pair.target))
    return Score(sdr_to(prepared, pair.estimate))


METRICS = [
    Metric(
        id="sdr",
        version=1,
        summary="Signal-to-distortion ratio of BSS Eval v3, blind to a 512-tap filter",
        formula=(
            "e projected on s delayed by 0 to 511 samples gives p; 10 log10(||p||^2 / ||p - e||^2); "
            "computed in float64, limited to ±100 dB"
        ),
        compute=_score,
        needs=frozenset({Need.ESTIMATE, Need.TARGET, Need.ALIGNED}),
        unit="dB",
        higher_is_better=True,
        bounds=(-LIMIT_DB, LIMIT_DB),
        penalty=PENALTY_DB,
        silence="undefined",
        implementation="tspbench (scipy: FFT correlations, Levinson recursion; least squares where that fails)",
        citation="Vincent, Gribonval, Févotte: Performance measurement in blind audio source separation, TASLP 2006",
        parameters={"filter_length": TAPS, "zero_mean": False, "load_diag": None, "sources": 1},
        improves=True,
        also_called={
            "CLAPSep": "SDR",
            "ESPnet": "SDR",
            "SpeakerBeam": "SDR",
            "VERSA": "sdr",
            "WeSep": "SDR",
            "mir_eval": "SDR",
            "torchmetrics": "SDR",
        },
        packages=("numpy", "scipy"),
    )
]
