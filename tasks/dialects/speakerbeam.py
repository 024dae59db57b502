"""SpeakerBeam: Asteroid's metrics (pb_bss_eval, mir_eval, pystoi) at the rate of the recipe."""

from __future__ import annotations

from functools import partial

import numpy as np

from tspbench.dialect import Dialect, Figure, gain, reading
from tspbench.metrics.averages import item_mean
from tspbench.metrics.bss import reference, sdr_to
from tspbench.metrics.declaration import Score
from tspbench.metrics.perceptual import stoi_value
from tspbench.metrics.ratios import Samples
from tspbench.metrics.signals import Signals
from tspbench.metrics.span import compared, stopped_by_silence
from tspbench.types import TaskKind

NAME = "speakerbeam"
RATES = (8_000, 16_000)
EPS = np.float32(1e-8)


def si_sdr(estimate: Samples, target: Samples) -> float:
    """SI-SDR of pb_bss_eval 0.0.2, in float32: means removed, 1e-8 in every ratio; -80 dB for a silent estimate."""
    e, s = np.asarray(estimate, np.float32), np.asarray(target, np.float32)
    e, s = e - np.mean(e), s - np.mean(s)
    projection = np.sum(s * e) / (np.sum(s**2) + EPS) * s
    ratio = np.sum(projection**2) / (np.sum((e - projection) ** 2) + EPS)
    return float(10 * np.log10(ratio + EPS))


def _si_sdr_score(signals: Signals) -> Score:
    pair = compared(signals, RATES)
    return Score(si_sdr(pair.estimate, pair.target))


def _sdr_score(signals: Signals) -> Score:
    pair = compared(signals, RATES)
    stopped = stopped_by_silence(pair)
    if stopped:
        return stopped
    prepared = signals.memo(("bss reference of the target", pair.rate), partial(reference, pair.target))
    return Score(sdr_to(prepared, pair.estimate))


def _stoi_score(signals: Signals) -> Score:
    pair = compared(signals, RATES)
    return stopped_by_silence(pair) or Score(stoi_value(pair.estimate, pair.target, pair.rate))


_COMMON = {"average": item_mean, "sample_rates": RATES, "parameters": {"sample_rate": "8 kHz, or 16 kHz if the task's"}}
SI_SDR = reading(
    f"si_sdr@{NAME}",
    "si_snr",
    compute=_si_sdr_score,
    formula="e and s less their means; a = <e, s> / (||s||^2 + eps); "
    "10 log10(||a s||^2 / (||a s - e||^2 + eps) + eps); float32, eps 1e-8",
    bounds=(None, None),
    silence="-80 dB",
    implementation="tspbench (numpy, float32)",
    **_COMMON,
)
SDR = reading(f"sdr@{NAME}", "sdr", compute=_sdr_score, **_COMMON)
STOI = reading(
    f"stoi@{NAME}",
    "stoi",
    compute=_stoi_score,
    formula="pystoi at 8 kHz (or 16 kHz): bands above 4 kHz are empty; 1e-5 where too little of the target is active",
    **_COMMON,
)

MEANS = "the means are removed, so it is our si_snr; 1e-8 in every ratio, which quiet outputs feel"
QUIET = "at most 0.0024 dB on 20 degraded recordings, 18 dB on one that is 100 dB too quiet"
RATE = "computed at 8 kHz, where ours takes every signal to 16 kHz first"

DIALECTS = [
    Dialect(
        name=NAME,
        summary="SpeakerBeam: Asteroid's si_sdr, sdr and stoi, and their gains over the mixture",
        kinds=(TaskKind.TSE,),
        rate="8 kHz (the recipe); a task at 16 kHz is scored at 16 kHz",
        span="the whole mixture (min mode: the shorter utterance)",
        silence="a silent estimate stops the script (mir_eval refuses it); si_sdr alone would be -80 dB",
        clipping="scored as it comes from the network; the file that is saved is rescaled",
        averaging="mean over trials; a gain is the mean of the trials' gains",
        figures=(
            Figure("si_sdr", SI_SDR, "si_snr", False, MEANS, QUIET),
            Figure("si_sdr_imp", gain(f"si_sdr_imp@{NAME}", SI_SDR), "si_snr_i", False, "as si_sdr"),
            Figure(
                "sdr",
                SDR,
                "sdr",
                True,
                "nothing but the rate; a perfect estimate gets over 240 dB, not our limit of 100",
            ),
            Figure("sdr_imp", gain(f"sdr_imp@{NAME}", SDR), "sdr_i", True, "as sdr"),
            Figure("stoi", STOI, "stoi", False, RATE, "at most 0.002 on 21 degraded recordings at 8 kHz"),
            Figure("stoi_imp", gain(f"stoi_imp@{NAME}", STOI), "stoi_i", False, "as stoi"),
        ),
        not_reproduced={
            "sir, sir_imp": "infinite, and their difference no number: one reference has no interference",
            "sar, sar_imp": "equal to sdr and sdr_imp: one reference",
        },
        citation="Žmolíková et al.: SpeakerBeam, IEEE JSTSP 2019",
        source="github.com/BUTSpeechFIT/speakerbeam at 91af02c (2021-10-25): egs/libri2mix/eval.py; "
        "asteroid.metrics at 92c8d83, pb_bss_eval 0.0.2, mir_eval 0.7, pystoi",
    )
]
