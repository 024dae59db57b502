"""WeSep: SI-SNR as the network leaves it, the rest from 16-bit files whose peak is 0.9."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tspbench.dialect import Dialect, Figure, gain, reading
from tspbench.metrics.averages import item_mean
from tspbench.metrics.bss import reference, sdr_to
from tspbench.metrics.declaration import Metric, Score
from tspbench.metrics.dnsmos import Opinion, dnsmos
from tspbench.metrics.guards import not_applicable
from tspbench.metrics.perceptual import stoi_value
from tspbench.metrics.pesq_package import PESQ_RATES, Mode, pesq_outcome
from tspbench.metrics.ratios import Samples
from tspbench.metrics.signals import Signals
from tspbench.metrics.span import Compared, compared, stopped_by_silence
from tspbench.render import pcm16
from tspbench.types import Audio, TaskKind

NAME = "wesep"
RATES = (16_000, 8_000)
PEAK = 0.9
EPS = 1e-8
ACCEPTED_DB = 1.0
_PESQ_CODES = {"BufferTooShortError": -6.0}


def si_snr(estimate: Samples, target: Samples) -> float:
    """SI-SNR in float32, 1e-8 added to norms and ratio; -160 dB for a silent estimate or target."""
    e, s = np.asarray(estimate, np.float32), np.asarray(target, np.float32)
    e, s = e - np.mean(e), s - np.mean(s)
    projection = np.sum(e * s) * s / (np.linalg.norm(s) ** 2 + EPS)
    return float(20 * np.log10(EPS + np.linalg.norm(projection) / (np.linalg.norm(e - projection) + EPS)))


def peaked(samples: Samples) -> Audio:
    """Scaled to a peak of 0.9, as outputs are before anything is scored; one with no sample above 0 is left alone."""
    x = np.asarray(samples, np.float32)
    return x / np.abs(x).max() * np.float32(PEAK) if x.size and x.max() > 0 else x


def filed(samples: Samples) -> Audio:
    """The output as it is read back from the 16-bit file that was written."""
    read: Audio = pcm16(peaked(samples).astype(np.float64)).astype(np.float32)
    return read


def _from_network(signals: Signals) -> Compared:
    pair = compared(signals, RATES)
    return Compared(peaked(pair.estimate), pair.target, pair.rate)


def _from_file(signals: Signals) -> Compared:
    pair = compared(signals, RATES)
    return Compared(filed(pair.estimate), pair.target, pair.rate)


def _si_snr_score(signals: Signals) -> Score:
    pair = _from_network(signals)
    return Score(si_snr(pair.estimate, pair.target))


def _accepted(signals: Signals) -> Score:
    pair = _from_network(signals)
    before = si_snr(signals.at("mixture", pair.rate), pair.target)
    return Score(100.0 * (si_snr(pair.estimate, pair.target) - before > ACCEPTED_DB))


def _filed_si_snr_score(signals: Signals) -> Score:
    pair = _from_file(signals)
    return stopped_by_silence(pair) or Score(si_snr(pair.estimate, pair.target))


def _sdr_score(signals: Signals) -> Score:
    pair = _from_file(signals)
    stopped = stopped_by_silence(pair)
    if stopped:
        return stopped
    prepared = signals.memo(("bss reference of the target", pair.rate), partial(reference, pair.target))
    return Score(sdr_to(prepared, pair.estimate))


def _stoi_score(signals: Signals, *, extended: bool) -> Score:
    pair = _from_file(signals)
    stopped = stopped_by_silence(pair)
    return stopped or Score(100 * stoi_value(pair.estimate, pair.target, pair.rate, extended=extended))


def _pesq_score(signals: Signals, mode: Mode) -> Score:
    pair = _from_file(signals)
    if pair.rate != PESQ_RATES[mode]:
        return not_applicable(f"scored at {PESQ_RATES[mode]} Hz only")
    stopped = stopped_by_silence(pair)
    if stopped:
        return stopped
    outcome = pesq_outcome(pair.estimate, pair.target, mode)
    if isinstance(outcome, float):
        return Score(outcome)
    if outcome == "NoUtterancesError":
        return not_applicable("no utterance found: the published code passes over it")
    if outcome in _PESQ_CODES:
        return Score(_PESQ_CODES[outcome])
    return Score.undefined(f"the published code has no number ({outcome})")


def _dnsmos_score(signals: Signals, part: str) -> Score:
    pair = _from_file(signals)
    if pair.rate != 16_000:
        return not_applicable("scored at 16000 Hz only")

    def judge() -> Opinion:
        return dnsmos(pair.estimate)

    stopped = stopped_by_silence(pair)
    return stopped or Score(getattr(signals.memo(("dnsmos of the estimate", NAME), judge), part))


def _metric(label: str, ours: str, compute: Callable[[Signals], Score], **changes: Any) -> Metric:
    parameters = {"sample_rate": "16 kHz, or 8 kHz if the task's", "peak": PEAK}
    common = {"average": item_mean, "sample_rates": RATES, "bounds": (None, None), "parameters": parameters}
    return reading(f"{label}@{NAME}", ours, compute=compute, **(common | changes))


_SI_SNR: dict[str, Any] = {
    "formula": "e and s less their means; p = <e, s> s / (||s||^2 + eps); "
    "20 log10(eps + ||p|| / (||e - p|| + eps)); float32, eps 1e-8",
    "silence": "-160 dB",
    "implementation": "tspbench (numpy, float32)",
}
SI_SNR = _metric("SI-SNR", "si_snr", _si_snr_score, **_SI_SNR)
ACCEPTED = _metric(
    "accuracy",
    "si_snr_i",
    _accepted,
    formula=f"100 if SI-SNRi > {ACCEPTED_DB:g} dB, else 0; the mean is a percentage",
    unit="%",
    bounds=(0.0, 100.0),
    penalty=0.0,
    silence="0",
)
STOI = {"unit": "%", "formula": "100 pystoi at the files' rate"}


def _filed(
    label: str, ours: str, compute: Callable[[Signals], Score], effect: str, more: str = "", **changes: Any
) -> Figure:
    differs = "of the 16-bit file at a peak of 0.9" + more
    return Figure(label, _metric(label, ours, compute, **changes), ours, False, differs, effect)


def _opinion(label: str, part: str, effect: str) -> Figure:
    metric = _metric(label, f"dnsmos_{part}[level=raw]", partial(_dnsmos_score, part=part))
    differs = "of the 16-bit file at a peak of 0.9; our default matches the level to the target's"
    return Figure(label, metric, f"dnsmos_{part}", False, differs, f"{effect} on 21 degraded recordings")


FIGURES = (
    Figure(
        "SI-SNRi",
        gain(f"SI-SNRi@{NAME}", SI_SNR),
        "si_snr_i",
        False,
        "1e-8 in norms and ratio, float32: silence gets -160 dB",
        "under 0.0001 dB on 21 degraded recordings",
    ),
    Figure("SI-SNR", SI_SNR, "si_snr", False, "as SI-SNRi"),
    Figure(
        "Acceptance rate of Utterances with SI-SDRi > 1 dB",
        ACCEPTED,
        "wrong_target",
        False,
        "a threshold on the gain, not a comparison with the interferer; printed as SI-SDRi, computed of SI-SNR",
    ),
    _filed("SDR", "sdr", _sdr_score, "at most 0.0011 dB on 21 degraded recordings"),
    _filed("SI_SNR", "si_snr", _filed_si_snr_score, "at most 0.0007 dB on 21 degraded recordings", **_SI_SNR),
    _filed(
        "STOI",
        "stoi",
        partial(_stoi_score, extended=False),
        "a factor of 100",
        "; in percent, at the files' rate",
        **STOI,
    ),
    _filed(
        "ESTOI",
        "estoi",
        partial(_stoi_score, extended=True),
        "0.6 points on half-silent outputs from run to run: pystoi adds noise that is seeded only here",
        "; in percent, at the files' rate",
        **STOI,
    ),
    _filed(
        "PESQ_WB",
        "pesq_wb",
        partial(_pesq_score, mode="wb"),
        "at most 0.002 on 21 degraded recordings",
        "; under 0.25 s counts as -6; passed over where PESQ finds no utterance",
    ),
    _filed("PESQ_NB", "pesq_nb", partial(_pesq_score, mode="nb"), "", "; as PESQ_WB, for files at 8 kHz"),
    _opinion("OVRL", "ovrl", "0.22 in the median, 0.54 at most"),
    _opinion("SIG", "sig", "0.11 in the median, 0.79 at most"),
    _opinion("BAK", "bak", "0.40 in the median, 0.96 at most"),
    _opinion("P808_MOS", "p808", "at most 0.001"),
)

DIALECTS = [
    Dialect(
        name=NAME,
        summary="WeSep: SI-SNR(i), acceptance rate, and ESPnet-style scores of the 0.9-peak 16-bit files",
        kinds=(TaskKind.TSE,),
        rate="16 kHz, or 8 kHz; DNSMOS at 16 kHz only, PESQ wide band at 16 kHz and narrow band at 8 kHz",
        span="the whole mixture; SI-SNR is cut to the shortest of estimate, target and mixture",
        silence="SI-SNR -160 dB; a silent estimate stops the scoring of files (mir_eval refuses it); "
        "PESQ passes over what it finds no utterance in",
        clipping="none is possible: outputs are scaled to a peak of 0.9 and written with 16 bits",
        averaging="mean over utterances; PESQ over those that have a value; accuracy is the percentage of "
        "utterances with SI-SNRi above 1 dB",
        figures=FIGURES,
        not_reproduced={
            "SIR": "infinite: one reference has no interference",
            "SAR": "equal to SDR: one reference",
        },
        citation="Wang et al.: WeSep, Interspeech 2024",
        source="github.com/wenet-e2e/wesep at cf8ee7f (2025-07-25): wesep/bin/infer.py, wesep/bin/score.py, "
        "wesep/utils/score.py, wesep/utils/dnsmos.py, tools/score.sh; mir_eval 0.7, pystoi, pesq",
    )
]
