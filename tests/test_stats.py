"""Cluster bootstrap intervals against closed forms and against scipy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tspbench.stats import mean_interval, ratio_interval


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("n", [50, 400, 3000])
def test_the_interval_of_independent_values_is_the_normal_one(n: int) -> None:
    values = normal(n, seed=n)
    found = mean_interval(values, np.arange(n))
    half = 1.96 * values.std() / np.sqrt(n)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert (found.high + found.low) / 2 == pytest.approx(values.mean(), abs=0.1 * half)
    assert (found.clusters, found.level) == (n, 0.95)
    assert found.method == "cluster bootstrap, 10000 draws"


def test_it_is_scipys_percentile_bootstrap_where_every_trial_is_a_cluster() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    rng = np.random.default_rng(2)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=rng)
    ours = mean_interval(values, np.arange(60))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_it_is_scipys_bootstrap_of_cluster_sums_where_clusters_differ_in_size() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    values = rng.standard_normal(40)[clusters] + 0.3 * rng.standard_normal(len(clusters))
    sums, sizes = np.bincount(clusters, values), np.bincount(clusters).astype(float)

    def ratio(top: np.ndarray, bottom: np.ndarray, axis: int = -1) -> np.ndarray:
        return top.sum(axis=axis) / bottom.sum(axis=axis)

    theirs = scipy.stats.bootstrap(
        (sums, sizes), ratio, paired=True, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    ours = mean_interval(values, clusters)
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * (theirs.high - theirs.low))
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * (theirs.high - theirs.low))


@pytest.mark.parametrize("times", [2, 7])
def test_repeating_the_trials_of_a_cluster_adds_no_confidence(times: int) -> None:
    values = normal(30)
    once = mean_interval(values, np.arange(30))
    again = mean_interval(np.tile(values, times), np.tile(np.arange(30), times))
    assert (again.low, again.high) == pytest.approx((once.low, once.high), rel=1e-12)
    pretended = mean_interval(np.tile(values, times), np.arange(30 * times))
    assert pretended.high - pretended.low < 0.8 * (once.high - once.low)


def test_about_95_of_100_intervals_hold_the_true_mean() -> None:
    held = 0
    for seed in range(200):
        shared = np.repeat(normal(40, seed), 3)
        found = mean_interval(shared + 0.2 * normal(120, 1000 + seed), np.repeat(np.arange(40), 3), draws=400)
        held += found.low <= 0 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_the_names_and_the_order_of_clusters_do_not_matter() -> None:
    values, names = normal(24), [f"speaker {i % 8}" for i in range(24)]
    order = np.random.default_rng(5).permutation(24)
    one = mean_interval(values, names)
    two = mean_interval(values[order], [names[i] for i in order])
    assert (one.low, one.high) == pytest.approx((two.low, two.high), rel=1e-12)
    assert one.clusters == 8


def test_a_seed_repeats_an_interval_and_another_does_not() -> None:
    values = normal(20)
    assert mean_interval(values, np.arange(20), seed=3) == mean_interval(values, np.arange(20), seed=3)
    assert mean_interval(values, np.arange(20), seed=3) != mean_interval(values, np.arange(20), seed=4)


@pytest.mark.parametrize("clusters", [[], ["a"], ["a", "a", "a"]])
def test_fewer_than_two_clusters_have_no_interval(clusters: list[str]) -> None:
    assert mean_interval(np.ones(len(clusters)), clusters) is None


def test_a_rate_is_of_sums_not_of_trials() -> None:
    errors, words = np.array([0.0, 10.0] * 20), np.array([90.0, 10.0] * 20)
    found = ratio_interval(errors, words, np.repeat(np.arange(20), 2))
    assert (found.low, found.high) == (0.1, 0.1)


def test_the_interval_of_a_rate_is_the_delta_methods() -> None:
    rng = np.random.default_rng(6)
    words = rng.integers(5, 40, 800).astype(float)
    errors = rng.binomial(words.astype(int), 0.2).astype(float)
    rate = errors.sum() / words.sum()
    half = 1.96 * np.sqrt(np.sum((errors - rate * words) ** 2)) / words.sum()
    found = ratio_interval(errors, words, np.arange(800))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_draws_without_a_word_are_no_rates() -> None:
    found = ratio_interval([0.0, 3.0], [0.0, 10.0], ["a", "b"])
    assert (found.low, found.high) == (0.3, 0.3)
    assert ratio_interval([0.0, 0.0], [0.0, 0.0], ["a", "b"]) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-100, 100)), max_size=30))
def test_an_interval_is_finite_and_lies_within_the_values(trials: list[tuple[int, float]]) -> None:
    values = np.array([value for _, value in trials])
    found = mean_interval(values, [cluster for cluster, _ in trials], draws=50)
    if len({cluster for cluster, _ in trials}) < 2:
        assert found is None
    else:
        assert values.min() - 1e-9 <= found.low <= found.high <= values.max() + 1e-9


def test_many_trials_do_not_need_much_memory() -> None:
    tracemalloc.start()
    found = mean_interval(normal(8000), np.arange(8000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.clusters == 8000
    assert peak < 100e6
