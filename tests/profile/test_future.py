"""Look-ahead of systems whose look-ahead is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from tspbench.profile.future import MOST_CALLS, find_lookahead
from tspbench.profile.material import Excerpt
from tspbench.types import Audio, Query, Truth

RATE = 8000


@pytest.fixture
def excerpt() -> Excerpt:
    """2 s, half a second of it silent."""
    rng = np.random.default_rng(5)
    target = rng.standard_normal(2 * RATE).astype(np.float32)
    target[RATE : RATE * 3 // 2] = 0
    mixture = target + 0.1 * np.roll(target, 50)
    return Excerpt("t", mixture, target, Query(RATE, truth=Truth(target, (mixture - target)[None])))


def fir(ahead: int, behind: int) -> Callable[[Audio, Query], Audio]:
    """y[n] depends on x[n - behind] up to x[n + ahead]."""
    taps = np.random.default_rng(0).uniform(0.5, 1.0, ahead + behind + 1).astype(np.float32)

    def extract(mixture: Audio, query: Query) -> Audio:
        whole = np.convolve(np.pad(mixture, (behind, ahead)), taps, mode="valid")
        return np.asarray(whole, dtype=np.float32)

    return extract


@pytest.mark.parametrize("ahead", [0, 1, 37, 400])
def test_fir(excerpt: Excerpt, ahead: int) -> None:
    found = find_lookahead(fir(ahead, 120), excerpt)
    assert (found.samples, found.whole_file) == (ahead, False)
    assert found.calls <= MOST_CALLS


def test_delay_is_negative(excerpt: Excerpt) -> None:
    found = find_lookahead(lambda mixture, query: np.pad(mixture, (80, 0))[: len(mixture)], excerpt)
    assert found.samples == -80


@pytest.mark.parametrize("block", [64, 256, 1000])
def test_blocks_look_ahead_to_their_end(excerpt: Excerpt, block: int) -> None:
    """Every block is divided by its own level: its first sample knows its last."""

    def extract(mixture: Audio, query: Query) -> Audio:
        padded = np.pad(mixture, (0, -len(mixture) % block)).reshape(-1, block)
        levels = np.sqrt((padded**2).mean(axis=1, keepdims=True)) + 1e-3
        return np.asarray((padded / levels).reshape(-1)[: len(mixture)], dtype=np.float32)

    assert find_lookahead(extract, excerpt).samples == block - 1


def test_stft_looks_ahead_by_its_window(excerpt: Excerpt) -> None:
    """A gain per frame; scipy's transforms. Up to the window's edges, which weigh next to nothing."""

    def extract(mixture: Audio, query: Query) -> Audio:
        _, _, spectrum = signal.stft(mixture, nperseg=512, noverlap=384)
        spectrum /= np.abs(spectrum).mean(axis=0, keepdims=True) + 1e-3
        return np.asarray(signal.istft(spectrum, nperseg=512, noverlap=384)[1][: len(mixture)], dtype=np.float32)

    found = find_lookahead(extract, excerpt).samples
    assert found is not None
    assert 400 <= found <= 511


def test_normalisation_by_the_whole_file(excerpt: Excerpt) -> None:
    found = find_lookahead(lambda mixture, query: mixture / np.abs(mixture).mean(), excerpt)
    assert (found.samples, found.whole_file) == (None, True)


def test_the_truth_has_a_future_too(excerpt: Excerpt) -> None:
    """A bound that reads the target two samples ahead."""

    def extract(mixture: Audio, query: Query) -> Audio:
        assert query.truth is not None
        return np.pad(query.truth.target, (0, 2))[2:]

    assert find_lookahead(extract, excerpt).samples == 2


def test_what_cannot_be_found_says_why(excerpt: Excerpt) -> None:
    rng = np.random.default_rng(0)
    cases: dict[str, Callable[[Audio, Query], Audio]] = {
        "silent": lambda mixture, query: np.zeros_like(mixture),
        "not finite": lambda mixture, query: mixture * np.float32("nan"),
        "differ": lambda mixture, query: mixture + rng.standard_normal(len(mixture)).astype(np.float32),
        "does not depend": lambda mixture, query: np.ones_like(mixture),
    }
    for words, extract in cases.items():
        found = find_lookahead(extract, excerpt)
        assert words in found.reason
        assert (found.samples, found.whole_file) == (None, False)


def test_arguments_are_not_changed(excerpt: Excerpt) -> None:
    before = excerpt.mixture.copy()
    find_lookahead(fir(3, 3), excerpt)
    assert np.array_equal(before, excerpt.mixture)


def test_calls_are_limited(excerpt: Excerpt) -> None:
    found = find_lookahead(fir(400, 0), excerpt, calls=8)
    assert found.calls <= 8
    assert found.samples == 400
