"""SNR, SI-SDR and SI-SNR: energy ratios of an estimate that follows its target sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.guards import not_applicable, sounding_pair
from tspbench.metrics.signals import Signals

Samples = npt.NDArray[np.floating[Any]]
Double = npt.NDArray[np.float64]

LIMIT_DB = 100.0
"""Values are limited to ±100 dB: beyond it, one would read float32's rounding."""

PENALTY_DB = -50.0
"""Below what an unrelated signal of any kind usually gets, for gains over the mixture too."""

_ROUNDING = 1e-24


def snr(estimate: Samples, target: Samples) -> float:
    """Signal-to-noise ratio ``10 log10(||s||^2 / ||s - e||^2)`` in dB.

    Parameters
    ----------
    estimate, target
        Shape (T,); computed in float64.

    Returns
    -------
    float
        Within ±100 dB: identical signals give 100. NaN where there is no
        value: a silent estimate (the formula's 0 dB would reward silence) or a
        silent target.

    Raises
    ------
    ValueError
        The shapes differ or are not (T,).
    """
    e, s = as_pair(estimate, target)
    if not e.any() or not s.any():
        return float("nan")
    noise = s - e
    return decibels(float(s @ s), float(noise @ noise))


def si_sdr(estimate: Samples, target: Samples) -> float:
    """Scale-invariant SDR in dB, no mean removed (Le Roux et al., 2019).

    ``10 log10(||a s||^2 / ||a s - e||^2)`` with ``a = <e, s> / ||s||^2``; blind
    to the gain and the sign of the estimate. Values and errors as :func:`snr`.
    """
    e, s = as_pair(estimate, target)
    if not e.any() or not s.any():
        return float("nan")
    # Unit norms keep the squares of the very quietest signals from vanishing.
    e, s = e / np.linalg.norm(e), s / np.linalg.norm(s)
    projection = float(e @ s)
    noise = projection * s - e
    return decibels(projection**2, float(noise @ noise))


def si_snr(estimate: Samples, target: Samples) -> float:
    """:func:`si_sdr` after the mean of either signal is removed (Luo and Mesgarani, 2018).

    NaN for a constant signal too: nothing of it is left.
    """
    e, s = as_pair(estimate, target)
    return si_sdr(centred(e), centred(s))


def centred(samples: Samples) -> Double:
    """The samples less their mean; exact zeros where only rounding is left of a constant."""
    x = np.asarray(samples, dtype=np.float64)
    rest = x - x.mean() if x.size else x
    return np.zeros_like(x) if rest @ rest <= _ROUNDING * (x @ x) else rest


def as_pair(estimate: Samples, target: Samples) -> tuple[Double, Double]:
    """Both signals as float64; ValueError unless they share a shape (T,)."""
    e, s = np.asarray(estimate, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if e.ndim != 1 or e.shape != s.shape:
        raise ValueError(f"The estimate and the target must have one shape (T,), got {e.shape} and {s.shape}.")
    return e, s


def decibels(signal: float, noise: float) -> float:
    """``10 log10(signal / noise)``, limited to ±100 dB."""
    if noise <= 0:
        return LIMIT_DB
    if signal <= 0:
        return -LIMIT_DB
    return float(np.clip(10 * (np.log10(signal) - np.log10(noise)), -LIMIT_DB, LIMIT_DB))


def _score(signals: Signals, ratio: Callable[[Samples, Samples], float]) -> Score:
    pair = sounding_pair(signals)
    return pair if isinstance(pair, Score) else Score(ratio(pair.estimate, pair.target))


def _si_snr_score(signals: Signals) -> Score:
    pair = sounding_pair(signals)
    if isinstance(pair, Score):
        return pair
    estimate, target = centred(pair.estimate), centred(pair.target)
    if not target.any():
        return not_applicable("constant target: nothing is left without its mean")
    if not estimate.any():
        return Score.undefined("constant estimate: nothing is left without its mean")
    return Score(si_sdr(estimate, target))


def _declare(id: str, summary: str, formula: str, compute: Callable[[Signals], Score], **rest: Any) -> Metric:
    return Metric(
        id=id,
        version=1,
        summary=summary,
        formula=f"{formula}; computed in float64, limited to ±100 dB",
        compute=compute,
        needs=frozenset({Need.ESTIMATE, Need.TARGET, Need.ALIGNED}),
        unit="dB",
        higher_is_better=True,
        bounds=(-LIMIT_DB, LIMIT_DB),
        penalty=PENALTY_DB,
        implementation="tspbench (numpy)",
        improves=True,
        packages=("numpy",),
        **rest,
    )


METRICS = [
    _declare(
        "snr",
        "Signal-to-noise ratio, sensitive to gain",
        "10 log10(||s||^2 / ||s - e||^2)",
        lambda signals: _score(signals, snr),
        parameters={"zero_mean": False},
        silence="undefined (the formula's 0 dB would let silence tie with a mixture at 0 dB)",
        citation="Vincent, Gribonval, Févotte: Performance measurement in blind audio source separation, TASLP 2006",
        also_called={
            "AudioSep": "SDR",
            "DCASE 2024 Task 9": "SDR",
            "USS": "SDR",
            "museval v4, one mono source": "SDR",
            "torchmetrics": "SNR",
        },
    ),
    _declare(
        "si_sdr",
        "Scale-invariant signal-to-distortion ratio, means kept",
        "a = <e, s> / ||s||^2; 10 log10(||a s||^2 / ||a s - e||^2)",
        lambda signals: _score(signals, si_sdr),
        parameters={"zero_mean": False},
        silence="undefined",
        citation="Le Roux, Wisdom, Erdogan, Hershey: SDR - half-baked or well done?, ICASSP 2019",
        also_called={"AudioSep": "SI-SDR", "CLAPSep": "SI-SDR", "torchmetrics": "SI-SDR", "VERSA": "si_snr"},
    ),
    _declare(
        "si_snr",
        "Scale-invariant signal-to-noise ratio, means removed",
        "e and s less their means; a = <e, s> / ||s||^2; 10 log10(||a s||^2 / ||a s - e||^2)",
        _si_snr_score,
        parameters={"zero_mean": True},
        silence="undefined, and so is a constant estimate",
        citation="Luo, Mesgarani: TasNet, ICASSP 2018",
        also_called={
            "Asteroid": "SI-SDR",
            "SpeakerBeam": "SI-SDR",
            "Waveformer": "SI-SNR",
            "WeSep": "SI-SNR",
            "torchmetrics": "SI-SNR",
        },
    ),
]
