from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.errors import UnknownName, UsageError
from tspbench.metrics import Metric, Score, Status, resolve
from tspbench.metrics.edits import edits
from tspbench.metrics.evaluate import evaluate, score
from tspbench.metrics.signals import Signals
from tspbench.metrics.words import METRICS
from tspbench.types import Audio

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

TEXTS = st.lists(st.sampled_from(["a", "b", "see", "bee"]), max_size=9).map(" ".join)


def distance(reference: str | list[str], hypothesis: str | list[str]) -> int:
    """Levenshtein's recursion, row by row."""
    row = list(range(len(hypothesis) + 1))
    for i, r in enumerate(reference, 1):
        previous, row = row, [i]
        for j, h in enumerate(hypothesis, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (r != h)))
    return row[-1]


@settings(deadline=None)
@given(reference=TEXTS, hypothesis=TEXTS)
def test_edits_are_as_few_as_levenshtein_says(reference: str, hypothesis: str) -> None:
    words, characters = edits(reference, hypothesis), edits(reference, hypothesis, "character")
    assert words.errors == distance(reference.split(), hypothesis.split())
    assert characters.errors == distance(reference, hypothesis)
    assert (words.total, characters.total) == (len(reference.split()), len(reference))
    assert words.total - words.deletions + words.insertions == len(hypothesis.split())


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_rates_equal_jiwer_one_by_one_and_pooled(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = zip(*pairs, strict=True)
    found = [edits(*pair) for pair in pairs]
    assert [e.rate for e in found] == pytest.approx([jiwer.wer(*pair) for pair in pairs])
    total = sum(e.counts["total"] for e in found)
    if total:
        pooled = sum(e.counts["errors"] for e in found) / total
        assert pooled == pytest.approx(jiwer.wer(list(references), list(hypotheses)))


def test_rates_equal_torchmetrics() -> None:
    text = pytest.importorskip("torchmetrics.functional.text")
    references = ["the cat sat on the mat", "a b c", "one"]
    hypotheses = ["the cat sat mat", "x a b c d", ""]
    words = [edits(*pair) for pair in zip(references, hypotheses, strict=True)]
    characters = [edits(*pair, "character") for pair in zip(references, hypotheses, strict=True)]
    for found, theirs in ((words, text.word_error_rate), (characters, text.char_error_rate)):
        pooled = sum(e.errors for e in found) / sum(e.total for e in found)
        assert pooled == pytest.approx(float(theirs(hypotheses, references)), abs=1e-6)


@settings(deadline=None)
@given(reference=TEXTS, hypothesis=TEXTS)
def test_edits_equal_meeteval(reference: str, hypothesis: str) -> None:
    """The split into substitutions, deletions and insertions is not unique; their sum and difference are."""
    meeteval = pytest.importorskip("meeteval")
    theirs = meeteval.wer.siso_word_error_rate(reference, hypothesis)
    own = edits(reference, hypothesis)
    assert (own.errors, own.total) == (theirs.errors, theirs.length)
    assert own.insertions - own.deletions == theirs.insertions - theirs.deletions


def test_edits_without_ties_equal_meeteval() -> None:
    meeteval = pytest.importorskip("meeteval")
    for reference, hypothesis in [("a b c d", "a x c"), ("a b", "a b c d"), ("a b c", ""), ("", "a"), ("a", "b")]:
        theirs = meeteval.wer.siso_word_error_rate(reference, hypothesis)
        parts = {part: getattr(theirs, part) for part in ("errors", "substitutions", "deletions", "insertions")}
        assert edits(reference, hypothesis).counts == parts | {"total": theirs.length}


def answered(hypothesis: str | None, transcript: str | None, *others: str) -> Signals:
    mixture = np.zeros(16, np.float32)
    return Signals(16_000, mixture, hypothesis=hypothesis, transcript=transcript, interferer_transcripts=others)


def test_wer_of_a_systems_own_words() -> None:
    found = score(answered("The colour is Twenty-One.", "the color is 21 indeed"), resolve("wer"))
    assert found.value == pytest.approx(1 / 5)
    assert found.counts == {"errors": 1, "total": 5, "substitutions": 0, "deletions": 1, "insertions": 0}
    raw = score(answered("The colour is 21 indeed", "the color is 21 indeed"), resolve("wer[text=raw]"))
    assert raw.value == pytest.approx(2 / 5)
    characters = score(answered("abd", "abc e"), resolve("cer"))
    assert characters.counts == {"errors": 3, "total": 5, "substitutions": 1, "deletions": 2, "insertions": 0}


@pytest.mark.parametrize(("hypothesis", "value"), [("", 0.0), ("two words", 2.0)])
def test_a_transcript_without_words_counts_insertions_for_every_system(hypothesis: str, value: float) -> None:
    found = score(answered(hypothesis, "[noise]"), resolve("wer"))
    assert found == Score(value, counts=found.counts)
    assert found.counts is not None
    assert (found.counts["errors"], found.counts["total"]) == (value, 0)


def test_saying_nothing_is_an_error_rate_of_1() -> None:
    assert score(answered("", "some words"), resolve("wer")).value == 1


def test_talker_leak_is_part_of_the_error_rate() -> None:
    signals = answered("good morning buy the red fish", "good morning to you", "buy the red fish now")
    found = score(signals, resolve("talker_leak"))
    assert found.counts == {"errors": 4, "total": 4, "substitutions": 2, "insertions": 2, "word_errors": 4}
    assert found.value == 1
    own = score(signals, resolve("wer"))
    assert own.value is not None
    assert found.value <= own.value
    assert score(answered("a", "b"), resolve("talker_leak")).status is Status.NOT_APPLICABLE


def test_what_does_not_apply() -> None:
    assert score(answered(None, "a"), resolve("wer")).status is Status.NOT_APPLICABLE
    assert score(answered("a", None), resolve("wer")).status is Status.NOT_APPLICABLE
    assert score(answered("a", "a"), resolve("wer[pocketsphinx]")).status is Status.NOT_APPLICABLE
    assert score(answered("a", "a"), resolve("dwer[pocketsphinx]")).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("wer[text=whisper]", "wer"),
        ("wer[level=matched,pocketsphinx]", "wer[pocketsphinx]"),
        ("cer_mean[level=raw, text=raw, pocketsphinx]", "cer_mean[pocketsphinx,text=raw,level=raw]"),
        ("wer_i[whisper=openai/whisper-base.en]", "wer_i[whisper=openai/whisper-base.en]"),
        ("dwer_i[text=raw,pocketsphinx]", "dwer_i[pocketsphinx,text=raw]"),
    ],
)
def test_equal_settings_have_one_id(written: str, canonical: str) -> None:
    assert resolve(written).id == canonical
    assert resolve(canonical).id == canonical


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("wer[level=raw]", r"wer\[level=raw\] needs a recogniser, such as wer\[pocketsphinx\]"),
        ("dwer[text=raw]", r"needs a recogniser, such as dwer\[pocketsphinx\]"),
        ("wer[text=lower]", "text=whisper or raw"),
        ("wer[pocketsphinx,level=loud]", "level=matched or raw"),
        ("wer[pocketsphinx,beam=5]", r"got \[pocketsphinx,beam=5\]"),
        ("wer[whisper]", r"whisper=openai/whisper-base\.en"),
        ("wer[pocketsphinx,pocketsphinx]", "twice"),
        ("wer[pocketsphinx,whisper=x]", "One recogniser at a time"),
    ],
)
def test_brackets_that_mean_nothing(written: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        resolve(written)


def test_ids_that_do_not_exist() -> None:
    with pytest.raises(UnknownName, match=r"dwer\[pocketsphinx\]"):
        resolve("dwer")
    with pytest.raises(UnknownName, match="pocketsphinx"):
        resolve("wer[pocketsfinx]")
    with pytest.raises(UnknownName):
        resolve("wer_i")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_declarations_hold_together(metric: Metric) -> None:
    assert resolve(metric.id) == metric
    assert metric.improves == ("instrument" in metric.parameters) == (metric.level is not None)
    assert metric.formula.startswith("mean") == (metric.aggregate == "mean")
    assert metric.higher_is_better == (metric.id == "rejection")
    low, high = metric.bounds
    assert (low, high if high is None else 1.0) == (0.0, high)


class Echo:
    """Hears the number of samples that are not zero, and how loud they are; counts how often it is asked."""

    name, version, sample_rate = "echo", "1", 16_000

    def __init__(self) -> None:
        self.asked = 0

    def transcribe(self, samples: Audio) -> str:
        self.asked += 1
        words = ["alpha", "bravo", "charlie", "delta"][: int(np.count_nonzero(samples))]
        return " ".join(word.upper() if np.abs(samples).max() > 0.6 else word for word in words)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    listener = Echo()
    monkeypatch.setattr("tspbench.metrics.words.recogniser", lambda _: listener)
    return listener


def clip(*values: float) -> Audio:
    return np.array([*values, *[0.0] * (8 - len(values))], np.float32)


def heard(estimate: Audio, target: Audio | None = None, transcript: str | None = None) -> Signals:
    return Signals(16_000, clip(0.5, 0.5, 0.5, 0.5), target=target, estimate=estimate, transcript=transcript)


def test_the_recogniser_hears_the_estimate(echo: Echo) -> None:
    signals = heard(clip(0.5, 0.5), transcript="alpha bravo charlie delta")
    assert score(signals, resolve("wer[pocketsphinx]")).value == pytest.approx(0.5)
    for other in ("cer[pocketsphinx]", "wer_mean[pocketsphinx]", "wer[pocketsphinx,text=raw]"):
        assert score(signals, resolve(other)).value is not None
    assert echo.asked == 1


def test_gain_over_the_mixture_keeps_counts_that_pool(echo: Echo) -> None:
    signals = heard(clip(0.5, 0.5, 0.5), transcript="alpha bravo charlie")
    found = evaluate(signals, [resolve("wer_i[pocketsphinx]")])
    assert found.baselines["wer[pocketsphinx]"].value == pytest.approx(1 / 3)
    gain = found.scores["wer_i[pocketsphinx]"]
    assert gain.value == pytest.approx(-1 / 3)
    assert gain.counts == {"errors": -1, "total": 3}


def test_level_is_matched_unless_raw(echo: Echo) -> None:
    target = clip(0.5, 0.5)
    signals = heard(clip(0.9, 0.9), target, transcript="alpha bravo")
    assert score(signals, resolve("wer[pocketsphinx,text=raw]")).value == 0
    assert score(signals, resolve("wer[pocketsphinx,text=raw,level=raw]")).value == 1


def test_a_silent_estimate_has_an_error_rate_of_1(echo: Echo) -> None:
    signals = heard(clip(), clip(0.5, 0.5), transcript="alpha bravo")
    assert score(signals, resolve("wer[pocketsphinx]")).value == 1
    assert score(signals, resolve("dwer[pocketsphinx]")).value == 1
    assert echo.asked == 1


def test_dwer_takes_the_target_as_heard_for_the_truth(echo: Echo) -> None:
    signals = heard(clip(0.5, 0.5, 0.5), clip(0.5, 0.5))
    found = score(signals, resolve("dwer[pocketsphinx]"))
    assert found.counts == {"errors": 1, "total": 2, "substitutions": 0, "deletions": 0, "insertions": 1}
    assert score(heard(clip(0.5, 0.5), clip(0.5, 0.5)), resolve("dwer[pocketsphinx]")).value == 0
    silent = score(replace(signals, target=clip(), _memo={}), resolve("dwer[pocketsphinx]"))
    assert silent.status is Status.NOT_APPLICABLE


def test_the_target_is_heard_once_for_estimate_and_mixture(echo: Echo) -> None:
    evaluate(heard(clip(0.5), clip(0.5, 0.5)), [resolve("dwer[pocketsphinx]"), resolve("dwer_i[pocketsphinx]")])
    assert echo.asked in (3, 4)


def spoken(utterance: str) -> tuple[Audio, str]:
    """A recorded utterance of LibriSpeech and its words."""
    if not DATA.is_dir():
        pytest.skip("no recordings: ../shared/data is absent")
    with (DATA / "librispeech.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["utterance"] == utterance)
    return soundfile.read(DATA / row["file"], dtype="float32")[0], row["text"]


def noisy(speech: Audio) -> Audio:
    noise = np.random.default_rng(0).standard_normal(speech.size)
    return (speech + 2 * speech.std() * noise).astype(np.float32)


def test_pocketsphinx_hears_the_target_in_a_quieter_copy() -> None:
    speech, _ = spoken("1688-142285-0002")
    signals = Signals(16_000, noisy(speech), target=speech, estimate=np.float32(0.25) * speech)
    assert score(signals, resolve("dwer[pocketsphinx]")).value == 0


def test_pocketsphinx_hears_less_in_noise() -> None:
    speech, text = spoken("1688-142285-0003")
    signals = Signals(16_000, noisy(speech), estimate=speech, transcript=text)
    found = evaluate(signals, [resolve("wer[pocketsphinx,level=raw]"), resolve("wer_i[pocketsphinx,level=raw]")])
    clean, gain = (score.value for score in found.scores.values())
    assert clean is not None
    assert gain is not None
    assert 0 <= clean < 0.7
    assert gain < 0
