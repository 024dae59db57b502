"""Clocks, percentiles, intervals of medians, growth."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tspbench.profile.growth import fit
from tspbench.profile.timing import MOST_REPEATS, Stopwatch, fine_enough, median_interval, percentile


@pytest.mark.parametrize("count", [6, 7, 20, 71, 100, 399, 1150])
def test_interval_of_the_median_is_that_of_scipy(count: int) -> None:
    times = np.random.default_rng(count).exponential(size=count)
    found = median_interval(times.tolist())
    expected = stats.quantile_test(times, p=0.5).confidence_interval(0.95)
    assert found == (expected.low, expected.high)


def test_five_repeats_have_no_interval() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([]) is None


def test_coverage_of_the_interval() -> None:
    """At least 95 % of intervals hold the true median, whatever the distribution; not nearly all of them."""
    rng = np.random.default_rng(1)
    hits = 0
    for times in rng.lognormal(size=(2000, 40)):
        low, high = median_interval(times.tolist()) or (np.nan, np.nan)
        hits += low <= 1.0 <= high
    assert 0.94 <= hits / 2000 <= 0.98


def test_percentiles_need_enough_repeats() -> None:
    times = np.random.default_rng(0).uniform(size=100).tolist()
    assert percentile(times, 99) == pytest.approx(np.quantile(times, 0.99))
    assert percentile(times[:99], 99) is None
    assert percentile(times[:20], 95) == pytest.approx(np.quantile(times[:20], 0.95))
    assert percentile(times[:19], 95) is None


def test_fine_enough() -> None:
    steady, rough = [1.0, 1.01] * 20, [1.0, 2.0] * 20
    assert fine_enough(steady, 40)
    assert not fine_enough(steady, 41)
    assert not fine_enough(rough, 40)
    assert fine_enough([1.0, 2.0] * (MOST_REPEATS // 2), 40)


def test_stopwatch_on_the_cpu() -> None:
    lap = Stopwatch().time(lambda: time.sleep(0.02))
    assert lap.wall_s >= 0.02
    assert lap.device_s is None


class FakeCuda:
    """Looks like ``torch.cuda`` to a stopwatch: its device works for a while after a call has returned."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.pending = 0.0

    def synchronize(self) -> None:
        self.log.append("synchronize")
        time.sleep(self.pending)
        self.pending = 0.0

    def Event(self, enable_timing: bool) -> FakeEvent:
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda

    def record(self) -> None:
        self.cuda.log.append("record")

    def elapsed_time(self, end: FakeEvent) -> float:
        assert self.cuda.log[-1] == "synchronize"  # asked before that, real events raise
        return 40.0


def test_stopwatch_waits_for_the_device_and_reads_events() -> None:
    cuda = FakeCuda()

    def launch() -> None:
        cuda.log.append("call")
        cuda.pending = 0.05

    lap = Stopwatch(cuda).time(launch)
    assert cuda.log == ["synchronize", "record", "call", "record", "synchronize"]
    assert lap.device_s == pytest.approx(0.040)  # milliseconds in torch, seconds here
    assert lap.wall_s >= 0.05


@given(
    st.floats(-1, 3),
    st.floats(1e-6, 1e3),
    st.lists(st.integers(1, 4000), min_size=2, max_size=8, unique=True),
)
def test_growth_finds_an_exact_power(exponent: float, factor: float, quarters: list[int]) -> None:
    seconds = [quarter / 4 for quarter in quarters]
    growth = fit(seconds, [factor * length**exponent for length in seconds])
    assert growth is not None
    assert growth.exponent == pytest.approx(exponent, abs=1e-6)
    assert growth.between_longest == pytest.approx(exponent, abs=1e-3)


def test_growth_is_scipys_regression() -> None:
    seconds, times = [1.0, 60.0, 4.0, 10.0], [0.1, 9.0, 0.3, 1.1]
    expected = stats.linregress(np.log(seconds), np.log(times))
    growth = fit(seconds, times)
    assert growth is not None
    assert growth.exponent == pytest.approx(expected.slope)
    assert growth.standard_error == pytest.approx(expected.stderr)
    assert growth.between_longest == pytest.approx(np.log(9.0 / 1.1) / np.log(6.0))


def test_growth_needs_lengths() -> None:
    assert fit([], []) is None
    assert fit([1.0], [1.0]) is None
    two = fit([1.0, 2.0], [1.0, 4.0])
    assert two is not None
    assert (two.exponent, two.standard_error) == (pytest.approx(2.0), None)
