"""What can be counted in the words of one answer: error rates, another talker's words, words where none are due."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tspbench.metrics.declaration import Need, Score
from tspbench.metrics.edits import Unit, edits
from tspbench.metrics.guards import not_applicable
from tspbench.metrics.leak import attributed, leaked


@dataclass(frozen=True, slots=True)
class Texts:
    """One answer beside the truth, all brought to one spelling. ``others`` are the interferers' transcripts."""

    reference: str
    hypothesis: str
    others: tuple[str, ...] = ()


def word_errors(texts: Texts) -> Score:
    """Errors over words of the reference; see :class:`~tspbench.metrics.edits.Edits`."""
    return _rate(texts, "word")


def character_errors(texts: Texts) -> Score:
    return _rate(texts, "character")


def _rate(texts: Texts, unit: Unit) -> Score:
    found = edits(texts.reference, texts.hypothesis, unit)
    return Score(found.rate, counts=found.counts)


def talker_leak(texts: Texts) -> Score:
    """Words of the interferers among the errors, over words of the reference; ``word_errors`` counts all errors."""
    if not texts.others:
        return not_applicable("no interferer has a transcript")
    steps = attributed(texts.reference, texts.hypothesis, texts.others)
    total = sum(step.said is not None for step in steps)
    counts = {
        "errors": leaked(steps),
        "total": total,
        "substitutions": leaked([step for step in steps if step.kind == "substitute"]),
        "insertions": leaked([step for step in steps if step.kind == "insert"]),
        "word_errors": sum(step.kind != "equal" for step in steps),
    }
    return Score(counts["errors"] / max(total, 1), counts=counts)


def rejection(texts: Texts) -> Score:
    """1 where nothing is written down of a target that is absent, else 0."""
    return not_applicable("the transcript has words") if texts.reference else Score(float(not texts.hypothesis))


def false_rejection(texts: Texts) -> Score:
    """1 where nothing is written down of a target that speaks, else 0."""
    return Score(float(not texts.hypothesis)) if texts.reference else not_applicable("the transcript has no words")


def absent_words(texts: Texts) -> Score:
    """How many words are written down of a target that is absent."""
    if texts.reference:
        return not_applicable("the transcript has words")
    return Score(float(len(texts.hypothesis.split())))


@dataclass(frozen=True, slots=True)
class Family:
    """What the metrics of one name have in common, whatever stands in brackets.

    ``summary`` holds ``{whose}``: the system's words, or what a recogniser
    hears. ``against`` is what the words are compared with.
    """

    name: str
    measure: Callable[[Texts], Score]
    summary: str
    formula: str
    citation: str
    silence: str = "no words, so every word of the reference is deleted: 1"
    against: Literal["transcript", "target as heard", "absence"] = "transcript"
    unit: str = "rate"
    counted: Unit = "word"
    aligner: Literal["jiwer", "tspbench"] | None = None
    aggregate: Literal["pooled", "mean"] = "pooled"
    version: int = 1
    higher_is_better: bool = False
    bounds: tuple[float | None, float | None] = (0.0, None)
    penalty: float = 1.0
    gain_penalty: float | None = None
    needs: frozenset[Need] = frozenset()
    """Beside the words and what they are compared with."""
    definition: tuple[tuple[str, str], ...] = ()
    """What else belongs to the definition: names and values among the metric's parameters."""


_MORRIS = "Morris, Maier, Green: From WER and RIL to MER and WIL, Interspeech 2004"
_REJECTIONS = "the rates of Xiaomi-CocktailASR, arXiv 2609.11274"
_POOLED = "errors of all trials over words of all"
_MEAN = "mean of the trials' rates"
_COUNTED_SO = (("empty_reference", "counts as one word"),)


def _error_rate(
    name: str,
    counted: Unit,
    aggregate: Literal["pooled", "mean"],
    citation: str,
    against: Literal["transcript", "target as heard"] = "transcript",
) -> Family:
    truth = "the transcript" if against == "transcript" else "what it hears in the clean target"
    how = _POOLED if aggregate == "pooled" else _MEAN
    rate = (
        "sum over trials of (S + D + I) / sum of N" if aggregate == "pooled" else "mean over trials of (S + D + I) / N"
    )
    return Family(
        name=name,
        measure=word_errors if counted == "word" else character_errors,
        summary=f"{counted.capitalize()} error rate of {{whose}} against {truth}, {how}",
        formula=f"{rate}, N {counted}s in the reference",
        citation=citation,
        against=against,
        counted=counted,
        aligner="jiwer",
        aggregate=aggregate,
        definition=_COUNTED_SO,
    )


_HEARD: Literal["target as heard"] = "target as heard"
_MA = "Ma et al.: Extending Whisper with prompt tuning to target-speaker ASR, ICASSP 2024 (its code)"

FAMILIES = (
    _error_rate("wer", "word", "pooled", _MORRIS),
    _error_rate("wer_mean", "word", "mean", _MA),
    _error_rate("cer", "character", "pooled", _MORRIS),
    _error_rate("cer_mean", "character", "mean", _MORRIS),
    _error_rate(
        "dwer", "word", "pooled", "none: the word error rate between two transcripts of one recogniser", _HEARD
    ),
    _error_rate("dwer_mean", "word", "mean", "LauraTSE, arXiv 2504.07402 (its scoring code)", _HEARD),
    Family(
        name="talker_leak",
        version=2,
        aligner="tspbench",
        measure=talker_leak,
        summary="Part of the word error rate of {whose} that is an interferer's words (common words match by chance)",
        formula="inserted and substituted words matched in order with the interferers' / N, summed over trials first",
        citation="none: a part of the word error rate",
        silence="0: it says nothing",
        definition=(*_COUNTED_SO, ("matching", "in order; most of all alignments with the fewest errors")),
    ),
    Family(
        name="rejection",
        measure=rejection,
        summary="Whether {whose} are none where the target is absent; the mean is the rejection rate",
        formula="mean over target-absent trials of 1 if the answer has no words, else 0",
        citation=_REJECTIONS,
        silence="1, the best value: nothing is the right answer here",
        against="absence",
        aggregate="mean",
        higher_is_better=True,
        bounds=(0.0, 1.0),
        penalty=0.0,
        gain_penalty=-1.0,
    ),
    Family(
        name="false_rejection",
        measure=false_rejection,
        summary="Whether {whose} are none although the target speaks; the mean is the false rejection rate",
        formula="mean over trials with words in the transcript of 1 if the answer has no words, else 0",
        citation=_REJECTIONS,
        silence="1: the target speaks",
        aggregate="mean",
        bounds=(0.0, 1.0),
        needs=frozenset({Need.TARGET}),
    ),
    Family(
        name="absent_words",
        measure=absent_words,
        summary="Number of words in {whose} where the target is absent",
        formula="mean over target-absent trials of the words in the answer",
        citation="none: insertions of the word error rate",
        silence="0, the best value",
        against="absence",
        unit="words",
        aggregate="mean",
        penalty=20.0,
    ),
)
