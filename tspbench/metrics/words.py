"""Word and character error rates: of a system's own words, or of what a recogniser hears in its waveform.

``wer`` counts the system's hypothesis; ``wer[pocketsphinx]`` what a recogniser
hears in the estimate; ``dwer[pocketsphinx]`` compares that with what the same
recogniser hears in the clean target. In brackets, in any order: a recogniser
(``pocketsphinx`` or ``whisper=FOLDER_OR_HUB_ID``), ``text=raw`` for no
normalising, ``level=raw`` for no matching of levels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from tspbench.errors import UsageError
from tspbench.instruments import RECOGNISERS, named_in, recogniser
from tspbench.metrics.declaration import Metric, Need, Score, Value
from tspbench.metrics.guards import SILENT_TARGET, not_applicable
from tspbench.metrics.level import Policy, leveled
from tspbench.metrics.signals import Signals
from tspbench.metrics.text import Spelling, normalised

Unit = Literal["word", "character"]
DEFAULT = "pocketsphinx"


@dataclass(frozen=True, slots=True)
class Edits:
    """A shortest list of edits from a reference of ``total`` words (or characters) to a hypothesis."""

    substitutions: int
    deletions: int
    insertions: int
    total: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over ``total``; an empty reference counts as one word, as in jiwer 4."""
        return self.errors / max(self.total, 1)

    @property
    def counts(self) -> dict[str, int]:
        parts = ("errors", "total", "substitutions", "deletions", "insertions")
        return {part: getattr(self, part) for part in parts}


def edits(reference: str, hypothesis: str, unit: Unit = "word") -> Edits:
    """Levenshtein alignment of two texts, by jiwer. Characters include the spaces between words."""
    found = _aligned(reference, hypothesis, unit)
    total = found.hits + found.substitutions + found.deletions
    return Edits(found.substitutions, found.deletions, found.insertions, total)


def leaked(reference: str, hypothesis: str, others: str) -> int:
    """How many inserted or substituted words of a hypothesis are words of another text, each used once."""
    found = _aligned(reference, hypothesis, "word")
    said = found.hypotheses[0]
    wrong = Counter(
        word
        for chunk in found.alignments[0]
        if chunk.type in ("insert", "substitute")
        for word in said[chunk.hyp_start_idx : chunk.hyp_end_idx]
    )
    return (wrong & Counter(others.split())).total()


def _aligned(reference: str, hypothesis: str, unit: Unit) -> Any:
    import jiwer

    return (jiwer.process_words if unit == "word" else jiwer.process_characters)(reference, hypothesis)


@dataclass(frozen=True, slots=True)
class Family:
    """What the metrics of one name have in common, whatever stands in brackets."""

    name: str
    unit: Unit = "word"
    aggregate: Literal["pooled", "mean"] = "pooled"
    against_target: bool = False
    leak: bool = False


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
    found = edits(reference, hypothesis, family.unit)
    if not family.leak:
        return Score(found.rate, counts=found.counts)
    if not signals.interferer_transcripts:
        return not_applicable("no interferer has a transcript")
    others = " ".join(normalised(text, setting.text) for text in signals.interferer_transcripts)
    words = leaked(reference, hypothesis, others)
    return Score(words / max(found.total, 1), counts={"errors": words, "total": found.total})


def _reference(signals: Signals, family: Family, setting: Setting) -> str | Score:
    if not family.against_target:
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
    if instrument is None and (family.against_target or "level" in parameters):
        raise UsageError(f"{family.name}[{written}] needs a recogniser, such as {family.name}[{DEFAULT}].")
    setting = Setting(instrument, "raw" if text == "raw" else "whisper", "raw" if level == "raw" else "matched")
    return _declare(family, setting)


def _declare(family: Family, setting: Setting) -> Metric:
    metric_id = family.name + setting.suffix()
    metric = Metric(
        id=metric_id,
        version=1,
        summary=_summary(family, setting),
        formula=_formula(family),
        compute=partial(_score, family=family, setting=setting),
        needs=_needs(family, setting),
        unit="rate",
        higher_is_better=False,
        bounds=(0.0, None),
        penalty=1.0,
        silence="0: it says nothing" if family.leak else "no words, so every word of the reference is deleted: 1",
        implementation="jiwer (alignment), whisper-normalizer less its own additions (texts)",
        citation=_CITATIONS[family.name],
        parameters=_parameters(family, setting),
        aggregate=family.aggregate,
        also_called=_ALSO_CALLED.get(metric_id, {}),
        packages=("jiwer", "whisper-normalizer"),
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


def _parameters(family: Family, setting: Setting) -> dict[str, Value]:
    parameters: dict[str, Value] = {
        "unit": family.unit,
        "text": "Whisper's English normaliser" if setting.text == "whisper" else "none, single spaces",
        "empty_reference": "counts as one word",
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
    return frozenset({said, Need.TARGET if family.against_target else Need.TRANSCRIPT})


def _summary(family: Family, setting: Setting) -> str:
    whose = "the system's words" if setting.instrument is None else f"what {setting.instrument} hears in the estimate"
    if family.leak:
        return f"Part of the word error rate of {whose} that is an interferer's words (common words match by chance)"
    truth = "what it hears in the clean target" if family.against_target else "the transcript"
    how = "errors of all trials over words of all" if family.aggregate == "pooled" else "mean of the trials' rates"
    ranking = "; for ranking only" if setting.instrument == "pocketsphinx" else ""
    return f"{family.unit.capitalize()} error rate of {whose} against {truth}, {how}{ranking}"


def _formula(family: Family) -> str:
    if family.leak:
        return "inserted and substituted words found among the interferers' words / N, summed over trials first"
    pooled = "sum over trials of (S + D + I) / sum of N"
    mean = "mean over trials of (S + D + I) / N"
    return (pooled if family.aggregate == "pooled" else mean) + f", N {family.unit}s in the reference"


_MORRIS = "Morris, Maier, Green: From WER and RIL to MER and WIL, Interspeech 2004"
_CITATIONS = {
    "wer": _MORRIS,
    "cer": _MORRIS,
    "wer_mean": "Ma et al.: Extending Whisper with prompt tuning to target-speaker ASR, ICASSP 2024 (its code)",
    "cer_mean": _MORRIS,
    "dwer": "none: the word error rate between two transcripts of one recogniser",
    "dwer_mean": "LauraTSE, arXiv 2504.07402 (its scoring code)",
    "talker_leak": "none: a part of the word error rate",
}
_ALSO_CALLED: dict[str, dict[str, str]] = {
    "wer_mean": {"TS-Whisper": "WER"},
    "dwer_mean[whisper=openai/whisper-base,text=raw,level=raw]": {"LauraTSE": "dWER"},
}

_OWN = (
    Family("wer"),
    Family("wer_mean", aggregate="mean"),
    Family("cer", unit="character"),
    Family("cer_mean", unit="character", aggregate="mean"),
    Family("talker_leak", leak=True),
)
_AGAINST_TARGET = (
    Family("dwer", against_target=True),
    Family("dwer_mean", aggregate="mean", against_target=True),
)

METRICS: list[Metric] = [
    *(_declare(family, Setting()) for family in _OWN),
    *(_declare(family, Setting(DEFAULT)) for family in (_OWN[0], *_AGAINST_TARGET)),
]
