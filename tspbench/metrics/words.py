"""Metrics of words: of a system's own, or of what a recogniser hears in its waveform.

``wer`` counts the system's hypothesis; ``wer[pocketsphinx]`` what a recogniser
hears in the estimate; ``dwer[pocketsphinx]`` compares that with what the same
recogniser hears in the clean target. In brackets, in any order: a recogniser
(``pocketsphinx`` or ``whisper=FOLDER_OR_HUB_ID``), ``text=raw`` for no
normalising, ``level=raw`` for no matching of levels. What is counted is said in
:mod:`~tspbench.metrics.word_families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from tspbench.errors import UsageError
from tspbench.instruments import RECOGNISERS, named_in, recogniser
from tspbench.metrics.declaration import Metric, Need, Score, Value
from tspbench.metrics.guards import SILENT_TARGET, not_applicable
from tspbench.metrics.level import Policy, leveled
from tspbench.metrics.signals import Signals
from tspbench.metrics.text import Spelling, normalised
from tspbench.metrics.word_families import FAMILIES, Family, Texts

DEFAULT = "pocketsphinx"


@dataclass(frozen=True, slots=True)
class Setting:
    """What stands in brackets. ``instrument`` None: the system's own words."""

    instrument: str | None = None
    text: Spelling = "whisper"
    level: Policy = "matched"

    def suffix(self) -> str:
        """One spelling for equal settings: ``[pocketsphinx,text=raw]``."""
        parts = [self.instrument or "", "text=raw" * (self.text == "raw"), "level=raw" * (self.level == "raw")]
        inside = ",".join(filter(None, parts))
        return f"[{inside}]" if inside else ""


def _score(signals: Signals, family: Family, setting: Setting) -> Score:
    reference = _reference(signals, family, setting)
    if isinstance(reference, Score):
        return reference
    hypothesis = normalised(_said(signals, setting), setting.text)
    others = tuple(normalised(text, setting.text) for text in signals.interferer_transcripts)
    return family.measure(Texts(reference, hypothesis, others))


def _reference(signals: Signals, family: Family, setting: Setting) -> str | Score:
    if family.against != "target as heard":
        return normalised(signals.transcript or "", setting.text)
    instrument = setting.instrument or DEFAULT
    target = signals.at("target", recogniser(instrument).sample_rate)
    if not target.any():
        return not_applicable(SILENT_TARGET)
    heard = signals.memo(("words of the target", instrument), lambda: recogniser(instrument).transcribe(target))
    return normalised(heard, setting.text) or not_applicable("the recogniser hears no words in the target")


def _said(signals: Signals, setting: Setting) -> str:
    """The words of the system, or those heard in its waveform (none in a silent one)."""
    if setting.instrument is None:
        return signals.hypothesis or ""
    listener = recogniser(setting.instrument)

    def listen() -> str:
        samples = leveled(signals, listener.sample_rate, setting.level)
        return "" if samples is None else listener.transcribe(samples)

    return signals.memo(("words of the estimate", setting.instrument, setting.level), listen)


def _parametrise(family: Family, parameters: Mapping[str, str]) -> Metric:
    instrument = named_in(parameters, "recogniser")
    text, level = parameters.get("text", "whisper"), parameters.get("level", "matched")
    others = set(parameters) - {"text", "level", "instrument", *RECOGNISERS}
    written = ",".join(value if key == "instrument" else f"{key}={value}" for key, value in parameters.items())
    if others or text not in ("whisper", "raw") or level not in ("matched", "raw"):
        raise UsageError(
            f"{family.name} takes a recogniser ({', '.join(RECOGNISERS)}), text=whisper or raw, "
            f"level=matched or raw, got [{written}]."
        )
    if instrument is None and (family.against == "target as heard" or "level" in parameters):
        raise UsageError(f"{family.name}[{written}] needs a recogniser, such as {family.name}[{DEFAULT}].")
    setting = Setting(instrument, "raw" if text == "raw" else "whisper", "raw" if level == "raw" else "matched")
    return _declare(family, setting)


def _declare(family: Family, setting: Setting) -> Metric:
    metric_id = family.name + setting.suffix()
    metric = Metric(
        id=metric_id,
        version=family.version,
        summary=_summary(family, setting),
        formula=family.formula,
        compute=partial(_score, family=family, setting=setting),
        needs=_needs(family, setting),
        unit=family.unit,
        higher_is_better=family.higher_is_better,
        bounds=family.bounds,
        penalty=family.penalty,
        gain_penalty=family.gain_penalty,
        silence=family.silence,
        implementation=_implementation(family),
        citation=family.citation,
        parameters=_parameters(family, setting),
        aggregate=family.aggregate,
        also_called=_ALSO_CALLED.get(metric_id, {}),
        packages=_packages(family),
        parametrise=partial(_parametrise, family),
    )
    return metric if setting.instrument is None else _with_instrument(metric, setting)


def _with_instrument(metric: Metric, setting: Setting) -> Metric:
    kind = RECOGNISERS[(setting.instrument or "").partition("=")[0]]
    return replace(
        metric,
        improves=True,
        level=setting.level,
        sample_rates=(16_000,),
        citation=f"{metric.citation}; recogniser: {kind.citation}",
        packages=(*metric.packages, *kind.packages),
        extra=kind.extra,
    )


def _implementation(family: Family) -> str:
    texts = "whisper-normalizer less its own additions (texts)"
    return f"{family.aligner} (alignment), {texts}" if family.aligner else texts


def _packages(family: Family) -> tuple[str, ...]:
    aligning = {"jiwer": ("jiwer",), "tspbench": ("numpy",), None: ()}
    return (*aligning[family.aligner], "whisper-normalizer")


def _parameters(family: Family, setting: Setting) -> dict[str, Value]:
    parameters: dict[str, Value] = {
        "unit": family.counted,
        "text": "Whisper's English normaliser" if setting.text == "whisper" else "none, single spaces",
        **dict(family.definition),
    }
    if setting.instrument is None:
        return parameters
    return parameters | {
        "instrument": setting.instrument,
        "instrument_version": "recorded with the run: packages and digest of the model",
        "level": setting.level,
        "clipping": "beyond ±1" if setting.instrument == "pocketsphinx" else "none",
    }


def _needs(family: Family, setting: Setting) -> frozenset[Need]:
    said = Need.HYPOTHESIS if setting.instrument is None else Need.ESTIMATE
    against = {"transcript": Need.TRANSCRIPT, "target as heard": Need.TARGET, "absence": Need.ABSENCE}
    return frozenset({said, against[family.against], *family.needs})


def _summary(family: Family, setting: Setting) -> str:
    whose = "the system's words" if setting.instrument is None else f"what {setting.instrument} hears in the estimate"
    ranking = "; for ranking only" if setting.instrument == "pocketsphinx" else ""
    return family.summary.format(whose=whose) + ranking


_ALSO_CALLED: dict[str, dict[str, str]] = {
    "wer_mean": {"TS-Whisper": "WER"},
    "dwer_mean[whisper=openai/whisper-base,text=raw,level=raw]": {"LauraTSE": "dWER"},
    "rejection": {"Xiaomi-CocktailASR": "RR"},
    "false_rejection": {"Xiaomi-CocktailASR": "FRR"},
}
_OWN = tuple(family for family in FAMILIES if family.against != "target as heard")
_HEARD_TOO = tuple(family for family in FAMILIES if family.name in ("wer", "dwer", "dwer_mean"))

METRICS: list[Metric] = [
    *(_declare(family, Setting()) for family in _OWN),
    *(_declare(family, Setting(DEFAULT)) for family in _HEARD_TOO),
]
