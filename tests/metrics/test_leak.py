"""Words of other talkers among the errors, against a search of every alignment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.metrics import Score, Status, resolve
from tspbench.metrics import leak as module
from tspbench.metrics.edits import edits
from tspbench.metrics.evaluate import score
from tspbench.metrics.leak import Step, attributed, leaked
from tspbench.metrics.signals import Signals

SHORT = st.lists(st.sampled_from("abcd"), max_size=5).map(" ".join)
TEXTS = st.lists(st.sampled_from(["a", "b", "see", "bee", "dee"]), max_size=14).map(" ".join)


def alignments(said: list[str], heard: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Every alignment: its errors, and the wrong words in order."""
    if not said and not heard:
        yield 0, []
    if said:
        yield from ((errors + 1, wrong) for errors, wrong in alignments(said[1:], heard))
    if heard:
        yield from ((errors + 1, [heard[0], *wrong]) for errors, wrong in alignments(said, heard[1:]))
    if said and heard:
        right = said[0] == heard[0]
        for errors, wrong in alignments(said[1:], heard[1:]):
            yield (errors, wrong) if right else (errors + 1, [heard[0], *wrong])


def most_matched(wrong: list[str], others: list[list[str]]) -> int:
    """The most of some words that can be matched in order, each with a word of one of the others."""
    if not wrong:
        return 0
    found = most_matched(wrong[1:], others)
    for place, words in enumerate(others):
        for k in (k for k, word in enumerate(words) if word == wrong[0]):
            rest = [*others[:place], words[k + 1 :], *others[place + 1 :]]
            found = max(found, 1 + most_matched(wrong[1:], rest))
    return found


@settings(max_examples=300, deadline=None)
@given(said=SHORT, heard=SHORT, others=st.lists(SHORT, max_size=2))
def test_no_alignment_with_as_few_errors_leaks_more(said: str, heard: str, others: list[str]) -> None:
    steps = attributed(said, heard, others)
    found = list(alignments(said.split(), heard.split()))
    fewest = min(errors for errors, _ in found)
    most = max(most_matched(wrong, [o.split() for o in others]) for errors, wrong in found if errors == fewest)
    assert (sum(step.kind != "equal" for step in steps), leaked(steps)) == (fewest, most)


@settings(deadline=None)
@given(said=TEXTS, heard=TEXTS, others=st.lists(TEXTS, max_size=2))
def test_an_alignment_is_whole(said: str, heard: str, others: list[str]) -> None:
    steps = attributed(said, heard, others)
    errors = sum(step.kind != "equal" for step in steps)
    assert " ".join(step.said for step in steps if step.said is not None) == said
    assert " ".join(step.heard for step in steps if step.heard is not None) == heard
    assert errors == edits(said, heard).errors
    assert 0 <= leaked(steps) <= min(errors, sum(len(text.split()) for text in others))
    assert all(step.kind in ("substitute", "insert") for step in steps if step.leaked)
    assert all((step.said == step.heard) == (step.kind == "equal") for step in steps)


@settings(deadline=None)
@given(said=TEXTS, heard=TEXTS, other=TEXTS, more=TEXTS)
def test_nothing_leaks_from_who_shares_no_word_and_more_talkers_leak_no_less(
    said: str, heard: str, other: str, more: str
) -> None:
    assert leaked(attributed(said, heard, [other.upper()])) == 0
    one = leaked(attributed(said, heard, [other]))
    assert one <= leaked(attributed(said, heard, [other, more])) <= one + leaked(attributed(said, heard, [more]))


def test_what_is_written_down_of_the_interferer_alone() -> None:
    assert leaked(attributed("a b c", "x y z", ["x y z"])) == 3
    assert leaked(attributed("a b c", "v w x y z", ["v w x y z"])) == 5
    assert leaked(attributed("a b c", "a b c x y z", ["x y z"])) == 3
    assert leaked(attributed("a b c", "x y z a b c", ["x y z"])) == 3
    assert leaked(attributed("", "x y", ["x y"])) == 2


def test_words_are_used_once_and_in_order() -> None:
    assert leaked(attributed("a b c", "a x x", ["x"])) == 1
    assert leaked(attributed("a b c", "a x x", ["x x"])) == 2
    assert leaked(attributed("a b c", "a y x", ["x y"])) == 1
    assert leaked(attributed("a b c", "a y x", ["x", "y"])) == 2
    assert leaked(attributed("x", "x", ["x"])) == 0


def test_ties_go_to_the_other_talker() -> None:
    """Two errors at least: "a" alone, "b" alone or both may be the wrong words."""
    assert leaked(attributed("a b", "b a", ["a"])) == 1
    assert leaked(attributed("a b", "b a", ["b"])) == 1
    assert leaked(attributed("a b", "b a", ["b a"])) == 2


def test_the_alignment_prefers_equal_words_then_substitutions() -> None:
    assert attributed("a b c", "a x", []) == (
        Step("equal", "a", "a"),
        Step("delete", "b", None),
        Step("substitute", "c", "x"),
    )
    assert attributed("a", "x a", ["x"]) == (Step("insert", None, "x", True), Step("equal", "a", "a"))


def test_texts_beyond_memory_are_a_failed_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CELLS", 30)
    with pytest.raises(ValueError, match="too long to be aligned"):
        attributed("a b c", "x y z", ["x y z"])
    assert leaked(attributed("a b", "c d", ["x y z"])) == 0
    assert score(answered("x y z", "a b c", "x y z"), resolve("talker_leak")).status is Status.FAILED


def answered(hypothesis: str, transcript: str, *others: str) -> Signals:
    mixture = np.zeros(16, np.float32)
    return Signals(16_000, mixture, hypothesis=hypothesis, transcript=transcript, interferer_transcripts=others)


def test_the_metric_keeps_what_makes_both_rates() -> None:
    found = score(
        answered("the RED fish, and you", "good morning to you", "Buy the red fish now."), resolve("talker_leak")
    )
    assert found == Score(
        3 / 4, counts={"errors": 3, "total": 4, "substitutions": 2, "insertions": 1, "word_errors": 4}
    )


def test_of_an_absent_target_every_word_of_the_interferer_leaks() -> None:
    found = score(answered("buy fish here", "", "buy the red fish"), resolve("talker_leak"))
    assert found.counts == {"errors": 2, "total": 0, "substitutions": 0, "insertions": 2, "word_errors": 3}


def test_without_transcripts_of_others_it_does_not_apply() -> None:
    found = score(answered("a", "b"), resolve("talker_leak"))
    assert (found.status, found.reason) == (Status.NOT_APPLICABLE, "no interferer has a transcript")
    nothing = score(answered("", "b", "c"), resolve("talker_leak"))
    assert (nothing.value, nothing.status) == (0, Status.OK)
