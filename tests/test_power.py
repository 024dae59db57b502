"""Sample sizes: against the paired t-test of the textbooks and against simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from tspbench import stats
from tspbench.errors import CannotMeasure, OtherIdentity, UnknownName, UsageError
from tspbench.power import need
from tspbench.sealed import Sealed

Make = Callable[..., Sealed]


def power_of_t(count: int, effect: float, alpha: float = 0.05) -> float:
    """Power of a two-sided t-test of ``count`` differences (noncentral t)."""
    limit = scipy.stats.t.ppf(1 - alpha / 2, count - 1)
    return float(1 - scipy.stats.nct.cdf(limit, count - 1, effect * np.sqrt(count)))


@pytest.mark.parametrize(("delta", "power"), [(0.2, 0.8), (0.5, 0.8), (0.5, 0.95), (1.0, 0.9)])
def test_single_trials_need_the_size_of_a_paired_t_test(sealed_result: Make, delta: float, power: float) -> None:
    rng = np.random.default_rng(0)
    base, change = rng.normal(0, 5, 300), rng.normal(0, 1, 300)
    pair = sealed_result({"si_sdr": list(base + change)}), sealed_result({"si_sdr": list(base)})
    found = need(*pair, delta, power=power)
    effect = delta / change.std(ddof=1)
    assert power_of_t(found.clusters, effect) > power - 0.005
    assert power_of_t(found.clusters - 1, effect) < power + 0.005
    assert found.trials == found.clusters
    assert power_of_t(300, found.detectable / change.std(ddof=1)) == pytest.approx(power, abs=0.01)


def test_one_run_alone_assumes_a_correlation(sealed_result: Make) -> None:
    values = np.random.default_rng(0).normal(0, 2, 400)
    run = sealed_result({"si_sdr": list(values)})
    half, none, most = (need(run, None, 0.5, correlation=r) for r in (0.5, 0.0, 0.9))
    assert half.spread == pytest.approx(values.std(ddof=1), rel=1e-6)
    assert none.clusters == pytest.approx(2 * half.clusters, rel=0.03)
    assert most.clusters == pytest.approx(half.clusters / 5, rel=0.1)
    assert "correlate by 0.5" in half.assumption


def test_trials_of_one_cluster_count_little(sealed_result: Make) -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(60), 5)
    values = rng.normal(0, 1, 60)[clusters]  # nothing varies within a cluster
    found = need(sealed_result({"si_sdr": list(values)}, clusters), None, 0.3)
    alone = need(sealed_result({"si_sdr": list(values[::5])}), None, 0.3)
    assert found.clusters == alone.clusters
    assert found.trials == 5 * alone.trials


@pytest.mark.parametrize("metric", ["si_sdr", "wer"])
def test_so_many_trials_do_see_it(sealed_result: Make, metric: str) -> None:
    """Draw test sets of the size that is said, with the difference that is said, and count."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        clusters = np.repeat(np.arange(count), rng.integers(1, 6, count))
        if metric == "si_sdr":
            change = 0.5 + rng.normal(0, 0.6, count)[clusters] + rng.normal(0, 1, len(clusters))
            return change, np.ones(len(clusters)), clusters
        words = rng.integers(5, 20, len(clusters)).astype(float)
        return rng.binomial(8, 0.5, len(words)) - 4 + 0.05 * words, words, clusters

    tops, bottoms, clusters = draw(200)
    if metric == "si_sdr":
        pair = sealed_result({metric: list(tops)}, clusters), sealed_result({metric: [0.0] * len(tops)}, clusters)
    else:
        counts = [[(float(e), float(n)) for e, n in zip(tops * k, bottoms, strict=True)] for k in (1, 0)]
        pair = sealed_result({metric: counts[0]}, clusters), sealed_result({metric: counts[1]}, clusters)
    found = need(*pair, 0.5 if metric == "si_sdr" else 0.05)
    seen = 0
    for _ in range(500):
        tops, bottoms, clusters = draw(found.clusters)
        seen += stats.sign_flip_p(tops, clusters, draws=1000) < 0.05
    assert seen / 500 == pytest.approx(0.8, abs=0.08)


def test_what_cannot_be_answered_is_refused(sealed_result: Make) -> None:
    run = sealed_result({"si_sdr": list(np.random.default_rng(0).normal(0, 1, 20))})
    for settings in ({"delta": 0}, {"delta": float("inf")}, {"power": 1.0}, {"alpha": 0.0}, {"correlation": 1.0}):
        with pytest.raises(UsageError, match=f"--{next(iter(settings))}"):
            need(run, None, **{"delta": 0.2, **settings})
    with pytest.raises(UnknownName):
        need(run, None, 0.2, "snr")
    with pytest.raises(OtherIdentity):
        need(run, sealed_result({"si_sdr": [0.0] * 9}), 0.2)
    with pytest.raises(CannotMeasure, match="7 clusters"):
        need(sealed_result({"si_sdr": [0.0, 1.0] * 7}, np.arange(14) // 2), None, 0.2)
    with pytest.raises(CannotMeasure, match="same value"):
        need(run, run, 0.2)
    for delta in (1e-9, 1e-300):
        with pytest.raises(UsageError, match="More than 10,000,000 clusters"):
            need(run, None, delta)
