from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.metrics.confusion import METRICS, leakage
from tspbench.metrics.declaration import Need, Score, Status
from tspbench.metrics.signals import Signals

BY_ID = {metric.id: metric for metric in METRICS}
RNG = np.random.default_rng(0)
TARGET, FIRST, SECOND = RNG.standard_normal((3, 4_000)).astype(np.float32)
SILENCE = np.zeros(4_000, np.float32)


def wrong(estimate, interferers=(FIRST, SECOND), target=TARGET) -> Score:
    mixture = target + sum(interferers)
    signals = Signals(16_000, mixture, target=target, interferers=np.stack(interferers), estimate=estimate)
    return BY_ID["wrong_target"].compute(signals)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (TARGET, 0.0),
        (-0.01 * TARGET + 0.001 * FIRST, 0.0),
        (FIRST, 1.0),
        (SECOND, 1.0),
        (0.9 * TARGET + SECOND, 1.0),
        (TARGET + 0.9 * FIRST + 0.9 * SECOND, 0.0),
        (-3 * FIRST + TARGET, 1.0),
    ],
)
def test_who_was_followed(estimate, expected):
    assert wrong(estimate.astype(np.float32)) == Score(expected)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_the_louder_of_two_orthogonal_sources_wins(own, other, gain):
    t = np.arange(4_000) / 4_000
    target, interferer = np.sin(2 * np.pi * 10 * t), np.cos(2 * np.pi * 30 * t)
    if abs(abs(own) - abs(other)) < 1e-3:
        return
    estimate = gain * (own * target + other * interferer)
    assert wrong(estimate, (interferer,), target).value == float(abs(other) > abs(own))


def test_a_tie_goes_to_the_target():
    assert wrong(TARGET + 0.1 * FIRST, (TARGET.copy(), FIRST)) == Score(0.0)


def test_silent_signals():
    assert wrong(SILENCE).status is Status.UNDEFINED
    assert wrong(FIRST, target=SILENCE).status is Status.NOT_APPLICABLE
    assert wrong(FIRST, (SILENCE, SILENCE)).status is Status.NOT_APPLICABLE
    assert wrong(FIRST, (SILENCE, FIRST)) == Score(1.0)


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [
        (np.ones(100), 0.0),
        (np.full(100, -0.1), -20.0),
        (np.sin(np.arange(6_283) / 1000), -3.0103),
        (np.full(100, 2.0), 6.0206),
        (np.full(100, 1e-9), -120.0),
        (np.zeros(100), -120.0),
    ],
)
def test_leakage(estimate, expected):
    assert leakage(estimate) == pytest.approx(expected, abs=1e-3)
    signals = Signals(16_000, mixture=TARGET, estimate=estimate.astype(np.float32))
    assert BY_ID["leakage"].compute(signals).value == pytest.approx(expected, abs=1e-3)


def test_leakage_of_nothing():
    with pytest.raises(ValueError, match="no samples"):
        leakage(np.zeros(0))


def test_declarations():
    assert not any(metric.higher_is_better or metric.improves for metric in METRICS)
    assert BY_ID["wrong_target"].penalty == BY_ID["wrong_target"].bounds[1] == 1
    assert BY_ID["leakage"].needs == {Need.ESTIMATE, Need.ABSENCE}
    assert BY_ID["leakage"].bounds == (-120, None)
