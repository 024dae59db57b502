"""10,000 draws on 8,000 trials beside the plain way: gather the drawn trials and sum them."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tspbench.stats import mean_interval

TRIALS, DRAWS = 8000, 10_000


def seconds(work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def plain(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(clusters == cluster) for cluster in range(clusters.max() + 1)]
    means = []
    for _ in range(DRAWS // 100):  # a hundredth of it: the rest would take minutes
        drawn = rng.integers(0, len(members), len(members))
        means.append(values[np.concatenate([members[i] for i in drawn])].mean())
    return tuple(np.quantile(means, [0.025, 0.975]))


@pytest.mark.bench
@pytest.mark.parametrize("size", [1, 4])
def test_the_cluster_bootstrap_is_fast(size: int) -> None:
    values, clusters = np.random.default_rng(0).normal(0, 1, TRIALS), np.arange(TRIALS) // size
    ours = min(seconds(mean_interval, values, clusters) for _ in range(3))
    theirs = 100 * seconds(plain, values, clusters)
    print(f"clusters of {size}: {ours:.2f} s, plainly {theirs:.1f} s")
    assert theirs / ours > 8
