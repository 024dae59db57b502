"""cpWER of one mixture: closed forms, every permutation by hand, and what is said without meeteval."""

from __future__ import annotations

import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.errors import MissingExtra
from tspbench.metrics.cpwer import cpwer
from tspbench.metrics.edits import Edits, edits

TEXTS = st.lists(st.sampled_from(["a", "b", "see", "bee"]), max_size=7).map(" ".join)
SESSIONS = st.integers(1, 4).flatmap(
    lambda n: st.tuples(st.lists(TEXTS, min_size=n, max_size=n), st.lists(TEXTS, min_size=n, max_size=n))
)


def test_without_meeteval_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "meeteval", None)
    with pytest.raises(MissingExtra, match=r"cpWER needs an optional package: pip install 'tspbench\[meeteval\]'"):
        cpwer(["a"], ["a"])


@settings(deadline=None)
@given(session=SESSIONS)
def test_no_permutation_has_fewer_errors(session: tuple[list[str], list[str]]) -> None:
    pytest.importorskip("meeteval")
    references, hypotheses = session
    found = cpwer(references, hypotheses)
    orders = itertools.permutations(hypotheses)
    assert found.errors == min(
        sum(edits(*pair).errors for pair in zip(references, each, strict=True)) for each in orders
    )
    assert found.total == sum(len(text.split()) for text in references)


def test_swapped_answers_cost_nothing() -> None:
    pytest.importorskip("meeteval")
    assert cpwer(["good morning to you", "buy fish"], ["buy fish", "good morning to you"]) == Edits(0, 0, 0, 6)
    assert cpwer(["a b", "c d e"], ["c d", "a b x"]) == Edits(0, 1, 1, 5)
    assert cpwer(["a b", "c d e"], ["", ""]) == Edits(0, 5, 0, 5)
    assert cpwer(["", ""], ["", ""]) == Edits(0, 0, 0, 0)
