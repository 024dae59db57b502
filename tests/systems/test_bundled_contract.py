"""What the System contract asks, of every bound that returns a waveform and of NMF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tspbench.system import find_system, import_class
from tspbench.types import Audio, Query, QueryKind, Truth

NAMES = ["mixture", "silence", "clean", "oracle-ibm", "oracle-irm", "oracle-psm", "nmf"]
RATE = 16000
NewPair = Callable[..., Any]


@pytest.fixture(params=NAMES)
def system(request: pytest.FixtureRequest) -> Any:
    system = import_class(find_system(request.param))()
    system.load("cpu")
    return system


def one(system: Any, mixture: Audio, query: Query) -> Audio:
    return system.extract(mixture[None], np.array([len(mixture)]), [query])[0]


def padded(signals: list[Audio], filler: float = 0.0) -> tuple[Audio, Any]:
    lengths = np.array([len(x) for x in signals])
    batch = np.full((len(signals), lengths.max()), filler, np.float32)
    for row, x in zip(batch, signals, strict=True):
        row[: len(x)] = x
    return batch, lengths


@pytest.mark.parametrize("filler", [0.0, 7.0, np.nan])
def test_a_batch_is_its_items(system: Any, new_pair: NewPair, filler: float) -> None:
    """Whatever lies past the end of an item changes nothing."""
    pairs = [new_pair(seed, length) for seed, length in enumerate((RATE, 3 * RATE, 20001))]
    batch, lengths = padded([pair.mixture for pair in pairs], filler)
    together = system.extract(batch, lengths, [pair.query for pair in pairs])
    assert together.shape == batch.shape
    for row, pair in zip(together, pairs, strict=True):
        np.testing.assert_array_equal(row[: len(pair.mixture)], one(system, pair.mixture, pair.query))


@pytest.mark.parametrize("length", [1, 7, 1600, 4411, 60 * RATE])
def test_any_length(system: Any, new_pair: NewPair, length: int) -> None:
    pair = new_pair(1, length)
    estimate = one(system, pair.mixture, pair.query)
    assert estimate.shape == (length,)
    assert estimate.dtype == np.float32
    assert np.isfinite(estimate).all()


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_any_rate(system: Any, new_pair: NewPair, rate: int) -> None:
    pair = new_pair(1, 5000)
    estimate = one(system, pair.mixture, replace(pair.query, sample_rate=rate))
    assert estimate.shape == (5000,)
    assert np.isfinite(estimate).all()


def test_silence_stays_silent(system: Any, new_pair: NewPair) -> None:
    pair = new_pair(1, RATE)
    silence = np.zeros(RATE, np.float32)
    query = replace(pair.query, truth=Truth(silence, silence[None]))
    np.testing.assert_array_equal(one(system, silence, query), silence)
    mute = replace(query, audio=(silence,), negative_audio=(silence,))
    np.testing.assert_array_equal(one(system, silence, mute), silence)


def test_level_carries_over(system: Any, new_pair: NewPair) -> None:
    pair = new_pair(4, RATE)
    loud = one(system, pair.mixture, pair.query)
    gain = np.float32(1e-5)
    query = replace(pair.query, truth=Truth(gain * pair.target, gain * pair.interferer[None]))
    faint = one(system, gain * pair.mixture, query)
    np.testing.assert_allclose(faint / gain, loud, atol=1e-3 * np.abs(pair.mixture).max())


def test_inputs_are_left_alone_and_results_repeat(system: Any, new_pair: NewPair) -> None:
    pair = new_pair(2, RATE)
    signals = (pair.mixture, pair.example, pair.counterexample, pair.target, pair.interferer)
    copies = [x.copy() for x in signals]
    batch = pair.mixture[None]
    first = system.extract(batch, np.array([RATE]), [pair.query])
    assert not np.shares_memory(first, batch)
    np.testing.assert_array_equal(first, system.extract(batch, np.array([RATE]), [pair.query]))
    for x, copy in zip(signals, copies, strict=True):
        np.testing.assert_array_equal(x, copy)


def test_absent_target(system: Any, new_pair: NewPair) -> None:
    """Who is told the truth returns zeros when there is no target."""
    pair = new_pair(3, RATE)
    estimate = one(system, pair.mixture, replace(pair.query, truth=None))
    assert np.isfinite(estimate).all()
    if QueryKind.TRUTH in system.queries:
        assert not estimate.any()


def test_plain_bounds_are_what_they_say(new_pair: NewPair) -> None:
    pair = new_pair(5, RATE)
    expected = {"mixture": pair.mixture, "silence": 0 * pair.mixture, "clean": pair.target}
    for name, signal in expected.items():
        system = import_class(find_system(name))()
        np.testing.assert_array_equal(one(system, pair.mixture, pair.query), signal)
