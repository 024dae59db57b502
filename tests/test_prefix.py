"""The enrolment before the mixture: what a system gets, and that its answer comes back cut to the mixture."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.errors import UsageError
from tspbench.prefix import Prefix, cut_off, declared, put_before
from tspbench.types import Audio, Query, QueryKind

RATE = 1000
VOICE = frozenset({QueryKind.ENROLMENT})


def ramp(length: int, start: float = 1.0) -> Audio:
    return np.arange(start, start + length, dtype=np.float32)


def batch(*sizes: tuple[int, int], padding: int = 0) -> tuple[Audio, np.ndarray, list[Query]]:
    """Mixtures and enrolments of some lengths."""
    lengths = np.array([mixture for mixture, _ in sizes], dtype=np.int64)
    mixtures = np.zeros((len(sizes), int(lengths.max()) + padding), np.float32)
    for row, length in zip(mixtures, lengths, strict=True):
        row[:length] = ramp(length)
    return mixtures, lengths, [Query(RATE, enrolment=(-ramp(n),) if n else ()) for _, n in sizes]


def test_a_batch_of_different_enrolments() -> None:
    mixtures, lengths, queries = put_before(*batch((5, 2), (3, 4), (4, 0)), Prefix(0.003))
    assert [query.prefix for query in queries] == [5, 7, 0]
    np.testing.assert_array_equal(lengths, [10, 10, 4])
    np.testing.assert_array_equal(
        mixtures,
        [
            [-1, -2, 0, 0, 0, 1, 2, 3, 4, 5],
            [-1, -2, -3, -4, 0, 0, 0, 1, 2, 3],
            [1, 2, 3, 4, 0, 0, 0, 0, 0, 0],
        ],
    )
    assert mixtures.dtype == np.float32


def test_without_a_prefix_nothing_changes() -> None:
    given_ = batch((5, 2))
    mixtures, lengths, queries = put_before(*given_, None)
    assert mixtures is given_[0]
    assert lengths is given_[1]
    assert queries == given_[2]


SIZES = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=4)
SECONDS = st.integers(0, 20).map(lambda n: n / 1000)


@given(SIZES, st.integers(0, 5), SECONDS, st.sampled_from(["as_is", "mixture"]))
def test_what_is_put_before_is_cut_off_again(sizes: list[Any], padding: int, gap_s: float, level: Any) -> None:
    mixtures, lengths, queries = batch(*sizes, padding=padding)
    given_ = put_before(mixtures, lengths, queries, Prefix(gap_s, level))
    assert given_[0].shape[1] - int(given_[1].max()) == padding
    np.testing.assert_array_equal(cut_off(*given_, mixtures.shape[1]), mixtures)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (Prefix(0.0), [1, 2, 3, 4]),
        (Prefix(0.002), [1, 2, 3, 4, 0, 0]),
        (Prefix(0.001, longest_s=0.003), [1, 2, 3, 0]),
        (Prefix(0.001, shortest_s=0.006), [1, 2, 3, 4, 0, 0, 0]),
        (Prefix(0.001, longest_s=0.003, shortest_s=0.003), [1, 2, 3, 0]),
    ],
)
def test_length_and_gap(prefix: Prefix, expected: list[float]) -> None:
    query = Query(RATE, enrolment=(ramp(2), ramp(2, 3.0)))
    mixtures, lengths, (told,) = put_before(ramp(3)[None], np.array([3]), [query], prefix)
    np.testing.assert_array_equal(mixtures[0], [*expected, 1, 2, 3])
    assert (told.prefix, lengths[0]) == (len(expected), len(expected) + 3)
    assert told.enrolment is query.enrolment


def test_the_level_of_the_mixture() -> None:
    rng = np.random.default_rng(0)
    loud, soft = (level * rng.standard_normal(500).astype(np.float32) for level in (1.0, 0.01))
    padded = np.pad(soft, (0, 300))
    given_, _, _ = put_before(padded[None], np.array([500]), [Query(RATE, enrolment=(loud,))], Prefix(0.1, "mixture"))
    gain = np.sqrt(np.mean(soft**2) / np.mean(loud**2))
    np.testing.assert_allclose(given_[0, :500], gain * loud, rtol=1e-5)
    silent, _, _ = put_before(0 * padded[None], np.array([500]), [Query(RATE, enrolment=(loud,))], Prefix(0, "mixture"))
    np.testing.assert_array_equal(silent[0, :500], loud)


def test_what_a_system_declares() -> None:
    assert declared("Mine", None, frozenset()) is None
    assert declared("Mine", {"gap_s": 1}, VOICE) == Prefix(1.0)
    assert declared("Mine", Prefix(0.2, longest_s=3.0), VOICE) == Prefix(0.2, longest_s=3.0)


@pytest.mark.parametrize(
    ("value", "queries", "said"),
    [
        ({"gap_s": 1.0}, frozenset({QueryKind.TEXT}), 'add "enrolment" to Mine.queries'),
        ({"gap": 1.0}, VOICE, "Mine.enrolment_prefix: gap: no such field. Did you mean gap_s?"),
        ({}, VOICE, "Mine.enrolment_prefix: gap_s: this field is required."),
        (1.0, VOICE, 'expected an object, got 1.0. Write enrolment_prefix = {"gap_s": 1.0}.'),
        ({"gap_s": -1.0}, VOICE, "seconds must not be negative"),
        ({"gap_s": 0.2, "longest_s": 0.0}, VOICE, "seconds must not be negative"),
        ({"gap_s": 0.2, "longest_s": 1.0, "shortest_s": 2.0}, VOICE, "nor longest_s below shortest_s"),
        ({"gap_s": 0.2, "level": "loud"}, VOICE, 'level: expected "as_is" or "mixture", got "loud"'),
    ],
)
def test_a_prefix_that_makes_no_sense_is_refused(value: object, queries: frozenset[QueryKind], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        declared("Mine", value, queries)
