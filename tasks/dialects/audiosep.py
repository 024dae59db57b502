"""AudioSep: plain SNR under the name SDR, absolute SI-SDR, three ways of averaging."""

from __future__ import annotations

from typing import Any

import numpy as np

from tspbench.dialect import Dialect, Figure, gain, reading
from tspbench.metrics.averages import Average, class_mean, class_median_mean, item_mean
from tspbench.metrics.declaration import Score
from tspbench.metrics.ratios import Samples
from tspbench.metrics.signals import Signals
from tspbench.metrics.span import compared
from tspbench.types import TaskKind

RATES = (32_000,)
FLOOR = 1e-10


def sdr(estimate: Samples, target: Samples) -> float:
    """Ratio in dB of mean squares, of the target and of the difference, either at least 1e-10; float32."""
    e, s = np.asarray(estimate, np.float32), np.asarray(target, np.float32)
    signal, noise = max(np.mean(s**2), np.float32(FLOOR)), max(np.mean((e - s) ** 2), np.float32(FLOOR))
    return float(10 * np.log10(signal / noise))


def si_sdr(estimate: Samples, target: Samples) -> float:
    """SI-SDR, means kept, float32's epsilon added to every sum; 0 dB for a silent estimate."""
    e, s = np.asarray(estimate, np.float32), np.asarray(target, np.float32)
    eps = np.finfo(np.float32).eps
    scaled = (eps + np.dot(s, e)) / (np.dot(s, s) + eps) * s
    return float(10 * np.log10((eps + np.sum(scaled**2)) / (eps + np.sum((e - scaled) ** 2))))


def _sdr_score(signals: Signals) -> Score:
    pair = compared(signals, RATES)
    return Score(sdr(pair.estimate, pair.target))


def _si_sdr_score(signals: Signals) -> Score:
    pair = compared(signals, RATES)
    return Score(si_sdr(pair.estimate, pair.target))


def _dialect(name: str, test_sets: str, averaging: str, average: Average) -> Dialect:
    common: dict[str, Any] = {
        "average": average,
        "sample_rates": RATES,
        "bounds": (None, None),
        "parameters": {"sample_rate": 32_000},
        "implementation": "tspbench (numpy, float32)",
        "silence": "0 dB",
    }
    snr = reading(
        f"SDR@{name}",
        "snr",
        compute=_sdr_score,
        formula="10 log10(max(mean(s^2), 1e-10) / max(mean((s - e)^2), 1e-10)); float32",
        **common,
    )
    ratio = reading(
        f"SI-SDR@{name}",
        "si_sdr",
        compute=_si_sdr_score,
        formula="a = (<e, s> + eps) / (||s||^2 + eps); 10 log10((||a s||^2 + eps) / (||a s - e||^2 + eps)); "
        "float32, eps 1.19e-7",
        **common,
    )
    return Dialect(
        name=name,
        summary=f"AudioSep on {test_sets}: SDRi (of the plain SNR) and SI-SDR, {averaging}",
        kinds=(TaskKind.LASS,),
        rate="32 kHz",
        span="the whole file",
        silence="a silent estimate gets 0 dB SDR and 0 dB SI-SDR, whatever the mixture; a silent target a large loss",
        clipping="scored as it is",
        averaging=averaging,
        figures=(
            Figure(
                "SDRi",
                gain(f"SDRi@{name}", snr),
                "snr_i",
                False,
                "either mean square is at least 1e-10, so that silence has a value: 0 dB; this is no BSS Eval SDR",
                "under 0.00001 dB on 21 degraded recordings; a silent output gains about 0 dB, whatever was asked",
            ),
            Figure(
                "SI-SDR",
                ratio,
                "si_sdr",
                False,
                "absolute, not the gain over the mixture; float32 with an epsilon in every sum: silence gets 0 dB",
                "at most 0.035 dB on 20 degraded recordings, 19 dB on one that is 100 dB too quiet",
            ),
        ),
        parts=(snr,),
        citation="Liu et al.: Separate anything you describe, arXiv 2308.05037",
        source="github.com/Audio-AGI/AudioSep at 944583f (2024-11-26): utils.py, benchmark.py, evaluation/",
    )


DIALECTS = [
    _dialect("audiosep", "AudioCaps, Clotho, ESC-50 and VGGSound", "mean over trials", item_mean),
    _dialect("audiosep-music", "MUSIC", "mean over classes of the class's mean", class_mean),
    _dialect("audiosep-audioset", "AudioSet", "mean over classes of the class's median", class_median_mean),
]
