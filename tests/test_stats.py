"""Cluster bootstrap intervals against closed forms and against scipy."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from tspbench import stats
from tspbench.stats import difference_interval, holm, mean_interval, ratio_interval, sign_flip_p


def normal(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def expanded(sizes: np.ndarray) -> float:
    """The confidence level whose plain percentiles are Hesterberg's, with Kish's number of clusters."""
    count, equal = len(sizes), sizes.sum() ** 2 / (sizes**2).sum()
    tail = scipy.stats.norm.cdf(scipy.stats.t.ppf(0.025, equal - 1) * np.sqrt(count / (count - 1)))
    return float(1 - 2 * tail)


@pytest.mark.parametrize("n", [50, 400, 3000])
def test_the_interval_of_independent_values_is_the_normal_one(n: int) -> None:
    values = normal(n, seed=n)
    found = mean_interval(values, np.arange(n))
    half = 1.96 * values.std() / np.sqrt(n)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert (found.high + found.low) / 2 == pytest.approx(values.mean(), abs=0.1 * half)
    assert (found.clusters, found.level) == (n, 0.95)
    assert found.method == "cluster bootstrap, expanded percentiles, 10000 draws"


def test_it_is_scipys_percentile_bootstrap_where_every_trial_is_a_cluster() -> None:
    values = np.random.default_rng(1).exponential(size=60)
    rng = np.random.default_rng(2)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=rng, confidence_level=expanded(np.ones(60))
    )
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
        (sums, sizes), ratio, paired=True, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4),
        confidence_level=expanded(sizes),
    ).confidence_interval  # fmt: skip
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


@pytest.mark.parametrize("count", [8, 12, 20])
def test_few_clusters_get_students_interval(count: int) -> None:
    values = normal(count, seed=count)
    found = mean_interval(values, np.arange(count))
    half = scipy.stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.12)


def test_the_effective_number_of_clusters() -> None:
    assert stats.effective_clusters([3, 3, 3, 3]) == 4
    assert stats.effective_clusters([1, 1, 1, 97]) == pytest.approx(100**2 / (3 + 97**2))
    assert stats.effective_clusters([]) == 0


def clustered(rng: np.random.Generator, count: int, kind: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Values, clusters and the true mean of a test set whose clusters differ in size and level."""
    sizes = rng.integers(1, 12, count)
    clusters = np.repeat(np.arange(count), sizes)
    if kind == "rate":
        return (rng.random(len(clusters)) < rng.beta(1, 3, count)[clusters]).astype(float), clusters, 0.25
    return rng.standard_normal(count)[clusters] + rng.standard_normal(len(clusters)), clusters, 0.0


def coverage(count: int, kind: str, repeats: int, draws: int = 1000) -> float:
    rng = np.random.default_rng(count)
    hits = 0
    for _ in range(repeats):
        values, clusters, truth = clustered(rng, count, kind)
        found = mean_interval(values, clusters, draws=draws)
        hits += found.low <= truth <= found.high
    return hits / repeats


@pytest.mark.parametrize("count", [8, 30])
def test_intervals_cover_roughly_what_they_say(count: int) -> None:
    assert 0.91 < coverage(count, "normal", 500, draws=500) < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "rate"])
@pytest.mark.parametrize("count", [8, 10, 15, 30, 100])
def test_intervals_cover_95_in_100(count: int, kind: str) -> None:
    assert coverage(count, kind, 4000) == pytest.approx(0.95, abs=0.02)


def test_the_difference_of_two_means_over_the_same_trials_is_the_mean_difference() -> None:
    one, two, clusters = normal(90, 1), normal(90, 2), np.arange(90) % 17
    found = difference_interval((one, np.ones(90)), (two, np.ones(90)), clusters)
    expected = mean_interval(one - two, clusters)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_difference_of_two_rates_is_scipys() -> None:
    rng = np.random.default_rng(7)
    words = rng.integers(5, 30, 50).astype(float)
    one, two = rng.binomial(words.astype(int), 0.3), rng.binomial(words.astype(int), 0.2)
    found = difference_interval((one, words), (two, words), np.arange(50))

    def difference(a: np.ndarray, b: np.ndarray, n: np.ndarray, axis: int = -1) -> np.ndarray:
        return (a.sum(axis=axis) - b.sum(axis=axis)) / n.sum(axis=axis)

    theirs = scipy.stats.bootstrap(
        (one, two, words), difference, paired=True, n_resamples=10_000, method="percentile",
        confidence_level=expanded(2 * words), rng=np.random.default_rng(8),
    ).confidence_interval  # fmt: skip
    width = theirs.high - theirs.low
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.04 * width)


def permutation_p(totals: np.ndarray) -> float:
    """scipy's exact test of random signs."""
    return float(scipy.stats.permutation_test((totals,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue)


@pytest.mark.parametrize("seed", range(4))
def test_p_is_scipys_permutation_test_of_cluster_totals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(9), rng.integers(1, 6, 9))
    differences = rng.normal(0.2, 1, len(clusters))
    expected = permutation_p(np.bincount(clusters, differences))
    assert expected > 2**-8  # not at its floor
    assert sign_flip_p(differences, clusters) == pytest.approx(expected)


def test_p_by_drawing_is_near_the_exact_one() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1, 18)
    assert sign_flip_p(differences, np.arange(18)) == pytest.approx(permutation_p(differences), abs=0.01)


def test_beyond_its_floor_p_is_students() -> None:
    differences = np.random.default_rng(3).normal(11, 1.5, 10)
    assert permutation_p(differences) == 2**-9
    assert sign_flip_p(differences, np.arange(10)) == pytest.approx(scipy.stats.ttest_1samp(differences, 0).pvalue)
    assert sign_flip_p(differences[:7], np.arange(7)) == 2**-6  # too few to trust Student's


@pytest.mark.parametrize("count", [1, 5, 40])
def test_no_difference_has_p_1(count: int) -> None:
    assert sign_flip_p(np.zeros(count), np.arange(count)) == 1.0


def p_values(count: int, kind: str, repeats: int, draws: int) -> np.ndarray:
    """Under the null: two systems whose trials differ by chance and whose clusters differ by chance."""
    rng = np.random.default_rng(count)
    found = []
    for _ in range(repeats):
        values, clusters, _ = clustered(rng, count, "normal")
        if kind == "rate":
            words = rng.integers(3, 20, len(clusters))
            rates = np.clip(rng.beta(2, 6, count)[clusters] + rng.normal(0, 0.1, (2, count))[:, clusters], 0, 1)
            errors = rng.binomial(words, rates)
            values = (errors[0] - errors[1]) / words.sum()
        found.append(sign_flip_p(values, clusters, draws=draws))
    return np.asarray(found)


@pytest.mark.parametrize("count", [10, 25])
def test_p_is_roughly_uniform_under_the_null(count: int) -> None:
    found = p_values(count, "normal", 500, 500)
    assert scipy.stats.kstest(found, "uniform").statistic < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "rate"])
@pytest.mark.parametrize("count", [10, 12, 30, 100])
def test_p_is_uniform_under_the_null(count: int, kind: str) -> None:
    found = p_values(count, kind, 4000, 2000)
    assert scipy.stats.kstest(found, "uniform").statistic < 0.03
    assert np.mean(found <= 0.05) == pytest.approx(0.05, abs=0.0125)
    assert np.mean(found <= 0.001) < 0.004  # in the tail that Student's t completes


def test_holm_is_the_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float]) -> None:
    """A hypothesis is as doubtful as the most doubtful set of hypotheses that it is in."""
    sets = [[i for i in range(len(p_values)) if bits >> i & 1] for bits in range(1, 2 ** len(p_values))]
    doubt = [min(1.0, len(members) * min(p_values[i] for i in members)) for members in sets]
    expected = [max(d for d, members in zip(doubt, sets, strict=True) if i in members) for i in range(len(p_values))]
    assert holm(p_values) == pytest.approx(expected)


def test_one_sided_bounds_are_those_of_a_two_sided_interval() -> None:
    one, two, ones = normal(60, 1), normal(60, 2), np.ones(60)
    low, high = stats.bounds((one, ones), (two, ones), np.arange(60), 0.95, factor=1.1)
    expected = mean_interval(one - 1.1 * two, np.arange(60), level=0.9)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    alone = mean_interval(one, np.arange(60), level=0.9)
    assert stats.bounds((one, ones), None, np.arange(60), 0.95) == pytest.approx((alone.low, alone.high), abs=1e-12)
