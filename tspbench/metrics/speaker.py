"""Speaker similarity: the cosine between the voices of two signals, as a speaker encoder hears them.

In brackets: an encoder (``resemblyzer``, ``wavlm-sv=FOLDER_OR_HUB_ID`` or
``ecapa=FOLDER``) and ``level=raw`` for no matching of levels. Figures of
different encoders are not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import numpy as np

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.instruments import ENCODERS, SpeakerEncoder, encoder, named_in
from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.guards import not_applicable
from tspbench.metrics.level import Policy, leveled
from tspbench.metrics.signals import Signals
from tspbench.types import Audio

Against = Literal["target", "enrolment"]

NAMES: dict[Against, str] = {"target": "spk_cos", "enrolment": "spk_cos_enrolment"}
DEFAULT = "resemblyzer"


def mean_voice(listener: SpeakerEncoder, clips: tuple[Audio, ...]) -> Audio | None:
    """The mean of some clips' vectors, norm 1; clips without speech are passed over, None when all are."""
    voices = [voice for voice in map(listener.embed, clips) if voice is not None]
    total = np.sum(voices, axis=0) if voices else np.zeros(1)
    norm = float(np.linalg.norm(total))
    return (total / norm).astype(np.float32) if norm > 0 else None


def _score(signals: Signals, against: Against, instrument: str, level: Policy) -> Score:
    listener = encoder(instrument)
    truth = signals.memo((f"voice of the {against}", instrument), lambda: _true_voice(signals, against, listener))
    if truth is None:
        return not_applicable(f"{instrument} hears no speech in the {against}, or too little")

    def listen() -> Audio | None:
        samples = leveled(signals, listener.sample_rate, level)
        return None if samples is None else listener.embed(samples)

    voice = signals.memo(("voice of the estimate", instrument, level), listen)
    if voice is None:
        return Score.undefined(f"{instrument} hears no speech in the estimate, or too little")
    return Score(float(np.clip(voice @ truth, ENCODERS[_base(instrument)].least_cosine, 1.0)))


def _true_voice(signals: Signals, against: Against, listener: SpeakerEncoder) -> Audio | None:
    rate = listener.sample_rate
    if against == "target":
        return listener.embed(signals.at("target", rate))
    return mean_voice(listener, tuple(audio.resample(clip, signals.sample_rate, rate) for clip in signals.enrolment))


def _parametrise(against: Against, parameters: Mapping[str, str]) -> Metric:
    instrument = named_in(parameters, "speaker encoder")
    level = parameters.get("level", "matched")
    others = set(parameters) - {"level", "instrument", *ENCODERS}
    if instrument is None or others or level not in ("matched", "raw"):
        written = ",".join(value if key == "instrument" else f"{key}={value}" for key, value in parameters.items())
        raise UsageError(
            f"{NAMES[against]} takes a speaker encoder ({', '.join(ENCODERS)}), level=matched or raw, got [{written}]."
        )
    return _declare(against, instrument, "raw" if level == "raw" else "matched")


def _declare(against: Against, instrument: str, level: Policy = "matched") -> Metric:
    kind = ENCODERS[_base(instrument)]
    metric_id = f"{NAMES[against]}[{instrument}{',level=raw' if level == 'raw' else ''}]"
    whose = "the clean target" if against == "target" else "the enrolment"
    return Metric(
        id=metric_id,
        version=1,
        summary=f"Likeness of the estimate's voice to that of {whose}, by {instrument}",
        formula="<v(e), v(s)>, v of norm 1"
        if against == "target"
        else "<v(e), m / ||m||>, m the mean of the enrolment clips' v of norm 1",
        compute=partial(_score, against=against, instrument=instrument, level=level),
        needs=frozenset({Need.ESTIMATE, Need.TARGET if against == "target" else Need.ENROLMENT}),
        unit="cosine",
        higher_is_better=True,
        bounds=(kind.least_cosine, 1.0),
        penalty=kind.least_cosine,
        gain_penalty=kind.least_cosine - 1.0,
        silence="undefined, as is an estimate without speech or too short for the encoder",
        implementation=_IMPLEMENTATIONS[_base(instrument)],
        citation=kind.citation,
        parameters={
            "instrument": instrument,
            "instrument_version": "recorded with the run: packages and digest of the model",
            "level": level,
        },
        improves=True,
        level=level,
        sample_rates=(16_000,),
        also_called=_ALSO_CALLED.get(metric_id, {}),
        packages=kind.packages,
        extra=kind.extra,
        parametrise=partial(_parametrise, against),
    )


def _base(instrument: str) -> str:
    return instrument.partition("=")[0]


_IMPLEMENTATIONS = {
    "resemblyzer": "tspbench (numpy, torch) on the weights of resemblyzer 0.1.4 and webrtcvad's detector",
    "wavlm-sv": "transformers (WavLMForXVector)",
    "ecapa": "speechbrain (ECAPA_TDNN)",
}
_ALSO_CALLED: dict[str, dict[str, str]] = {
    "spk_cos[resemblyzer,level=raw]": {"GenTSE": "SECS"},
    "spk_cos[wavlm-sv=microsoft/wavlm-base-plus-sv,level=raw]": {"LauraTSE": "speaker similarity (WavLM)"},
}

METRICS: list[Metric] = [_declare("target", DEFAULT), _declare("enrolment", DEFAULT)]
