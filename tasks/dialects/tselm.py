"""TSELM and LauraTSE (one group, one scoring code): measures that need no sample-aligned target."""

from __future__ import annotations

from functools import partial
from typing import Any

from tspbench.dialect import Dialect, Figure, reading
from tspbench.metrics.averages import item_mean, missing_as_zero
from tspbench.metrics.declaration import Score
from tspbench.metrics.dnsmos import Opinion, dnsmos
from tspbench.metrics.signals import Signals
from tspbench.metrics.span import compared
from tspbench.types import TaskKind

NAME = "tselm"
RATES = (16_000,)


def _dnsmos_score(signals: Signals, part: str) -> Score:
    def judge() -> Opinion:
        return dnsmos(compared(signals, RATES).estimate)

    return Score(getattr(signals.memo(("dnsmos of the estimate", NAME), judge), part))


def _opinion(label: str, part: str, **more: Any) -> Figure:
    ours = f"dnsmos_{part}[level=raw]"
    silence = "what the networks make of digital silence (1.84 OVRL)"
    compute = partial(_dnsmos_score, part=part)
    metric = reading(f"{label}@{NAME}", ours, compute=compute, silence=silence, average=item_mean)
    return Figure(label, metric, ours, True, "silence has a value; our default is level=matched", **more)


DIALECTS = [
    Dialect(
        name=NAME,
        summary="TSELM and LauraTSE: DNSMOS of the raw output, dWER by Whisper base, WavLM similarity",
        kinds=(TaskKind.TSE,),
        rate="16 kHz",
        span="whole files; output and target need not be aligned",
        silence="DNSMOS has a value for it; no words, so dWER 1",
        clipping="scored as it is",
        averaging="mean over files; dWER divides the sum over the outputs there are by the number of references, "
        "so a missing output counts as 0, the best value",
        figures=(
            _opinion("SIG", "sig"),
            _opinion("BAK", "bak"),
            _opinion("OVRL", "ovrl"),
            Figure(
                "dWER",
                reading(
                    f"dWER@{NAME}",
                    "dwer_mean[whisper=openai/whisper-base,text=raw,level=raw]",
                    average=missing_as_zero,
                ),
                "dwer_mean[whisper=openai/whisper-base,text=raw,level=raw]",
                True,
                "raw texts of Whisper base on either side, mean of utterances; there the target's words are a file, "
                "and Whisper's decoding may fall back to higher temperatures",
            ),
            Figure(
                "WavLM Sim",
                reading(
                    f"WavLM-Sim@{NAME}",
                    "spk_cos[wavlm-sv=microsoft/wavlm-base-plus-sv,level=raw]",
                    average=item_mean,
                ),
                "spk_cos[wavlm-sv=microsoft/wavlm-base-plus-sv,level=raw]",
                True,
                "against the clean target, not the enrolment",
            ),
        ),
        not_reproduced={
            "NISQA": "its weights may not be used commercially and are not read here",
            "SpeechBERT": "HuBERT base, layer 11, precision: not among the instruments",
            "Wespeaker Sim": "(cos + 1) / 2 of a WeSpeaker model, files paired in sorted order: no such instrument",
        },
        citation="Tang, Zeng, Li: TSELM, arXiv 2409.07841, and LauraTSE, arXiv 2504.07402",
        source="github.com/Beilong-Tang/lauraTSE_code at 838ff81: evaluation/evaluation.sh, src/eval/; "
        "github.com/Beilong-Tang/TSELM at 1aaa7fb ships no scoring code",
    )
]
