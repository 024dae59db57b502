from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tspbench.metrics.level import active_level, leveled, matched_gain
from tspbench.metrics.signals import Signals

RATE = 16_000
RNG = np.random.default_rng(0)
TARGET, NOISE = RNG.standard_normal((2, RATE)).astype(np.float32) / 10
MIXTURE = TARGET + NOISE


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def test_active_level_leaves_pauses_out():
    speech = np.concatenate([TARGET, np.zeros(3 * RATE), TARGET * 1e-3]).astype(np.float32)
    assert active_level(speech, RATE) == pytest.approx(rms(TARGET), rel=1e-6)
    assert active_level(TARGET, RATE) == pytest.approx(rms(TARGET), rel=1e-6)
    assert active_level(np.zeros(RATE), RATE) == 0.0


def test_active_level_keeps_frames_within_40_db():
    loud, quiet, quieter = np.ones(320), np.full(320, 10 ** (-39 / 20)), np.full(320, 10 ** (-41 / 20))
    expected = np.sqrt((1 + 10**-3.9) / 2)
    assert active_level(np.concatenate([loud, quiet, quieter]), RATE) == pytest.approx(expected)


@pytest.mark.parametrize("length", [1, 319, 320, 321, 500])
def test_active_level_counts_a_last_short_frame_with_what_it_has(length):
    assert active_level(np.full(length, 0.25), RATE) == pytest.approx(0.25)


@pytest.mark.parametrize("gain", [1e-4, 0.5, -3.0, 100.0])
def test_a_gain_is_undone_by_projection(gain):
    estimate = (gain * (TARGET + 0.1 * NOISE)).astype(np.float32)
    signals = Signals(sample_rate=RATE, mixture=MIXTURE, target=TARGET, estimate=estimate)
    expected = np.sign(gain) * (TARGET + 0.1 * NOISE) / (1 + 0.1 * (TARGET @ NOISE) / (TARGET @ TARGET))
    np.testing.assert_allclose(leveled(signals, RATE, "matched"), expected, atol=1e-5)


def test_the_mixture_and_the_clean_target_keep_their_levels():
    noise = NOISE - TARGET * (NOISE @ TARGET) / (TARGET @ TARGET)
    assert matched_gain(TARGET + noise, TARGET + noise, TARGET, RATE) == pytest.approx(1, abs=1e-6)
    assert matched_gain(TARGET, TARGET + noise, TARGET, RATE) == pytest.approx(1, abs=1e-6)


def test_an_unrelated_estimate_goes_no_further_than_the_mixtures_energy():
    signals = Signals(sample_rate=RATE, mixture=MIXTURE, target=TARGET, estimate=1e-3 * NOISE)
    assert rms(leveled(signals, RATE, "matched")) == pytest.approx(rms(MIXTURE), rel=1e-5)
    even, odd = np.tile([1.0, 0.0], 50), np.tile([0.0, 1.0], 50)
    assert matched_gain(odd, even, even, RATE) == pytest.approx(1.0)


@pytest.mark.parametrize("changes", [{"target": None}, {"aligned": False}, {"target": np.zeros_like(TARGET)}])
def test_without_a_target_to_project_on_the_mixtures_active_level_counts(changes):
    estimate = np.concatenate([TARGET[: RATE // 2], np.zeros(RATE // 2, np.float32)]) / 50
    signals = Signals(**{"sample_rate": RATE, "mixture": MIXTURE, "target": TARGET, "estimate": estimate} | changes)
    heard = leveled(signals, RATE, "matched")
    assert active_level(heard, RATE) == pytest.approx(active_level(MIXTURE, RATE), rel=1e-5)


def test_a_silent_mixture_sets_no_level():
    signals = Signals(sample_rate=RATE, mixture=np.zeros_like(TARGET), estimate=TARGET)
    np.testing.assert_array_equal(leveled(signals, RATE, "matched"), TARGET)


@pytest.mark.parametrize("policy", ["matched", "raw"])
def test_a_silent_estimate_has_no_level(policy):
    signals = Signals(sample_rate=RATE, mixture=MIXTURE, target=TARGET, estimate=np.zeros_like(TARGET))
    assert leveled(signals, RATE, policy) is None


def test_raw_is_the_estimate_at_the_rate_asked_for():
    signals = Signals(sample_rate=RATE, mixture=MIXTURE, target=TARGET, estimate=5 * NOISE)
    np.testing.assert_array_equal(leveled(signals, RATE, "raw"), 5 * NOISE)
    assert leveled(signals, 8_000, "raw").shape == (RATE // 2,)
    assert leveled(signals, 8_000, "matched").dtype == np.float32


def test_the_mixture_in_the_estimates_place_is_leveled_anew():
    signals = Signals(sample_rate=RATE, mixture=MIXTURE, target=TARGET, estimate=NOISE / 9)
    leveled(signals, RATE, "raw")
    np.testing.assert_array_equal(leveled(signals.mixture_as_estimate(), RATE, "raw"), MIXTURE)


SAMPLES = arrays(np.float32, 500, elements=st.floats(-1, 1, width=32))


@given(SAMPLES, SAMPLES, SAMPLES, st.booleans())
@settings(max_examples=100, deadline=None)
def test_always_finite(estimate, target, mixture, aligned):
    signals = Signals(sample_rate=RATE, mixture=mixture, target=target, estimate=estimate, aligned=aligned)
    heard = leveled(signals, RATE, "matched")
    assert (heard is None) == (not estimate.any())
    assert heard is None or np.isfinite(heard).all()
