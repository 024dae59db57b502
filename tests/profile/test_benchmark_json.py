"""What pytest-benchmark makes of our times."""

from __future__ import annotations

import numpy as np
import pytest

from tspbench.profile.benchmark_json import stats

theirs = pytest.importorskip("pytest_benchmark.stats")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 101, 103])
def test_statistics_are_those_of_pytest_benchmark(count: int) -> None:
    times = np.random.default_rng(count).lognormal(sigma=1.0, size=count).tolist()
    expected = theirs.Stats()
    for time in times:
        expected.update(time)
    found = stats(times)
    for name, value in expected.as_dict().items():
        if name == "hd15iqr":  # some versions give the first value beyond the fence instead of the last within
            fence = expected.q3 + 1.5 * expected.iqr
            assert found[name] == max(time for time in times if time <= fence)
        else:
            assert found[name] == (value if name == "outliers" else pytest.approx(value)), name
