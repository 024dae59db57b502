"""Intervals and tests that know that trials which share a clip or a speaker are one cluster.

Everything is a ratio of sums over trials: values over ones for a mean, errors
over words for a corpus rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

DRAWS = 10_000
CHUNK = 200_000
"""Resampled clusters held in memory at once."""
FEWEST = 8
"""Clusters below which nothing is claimed: intervals of fewer cover too rarely, and p cannot be small."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval; ``method`` says how it was found and from how many clusters."""

    low: float
    high: float
    method: str
    clusters: int
    level: float = 0.95


def ratio_interval(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    clusters: npt.ArrayLike,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval | None:
    """Interval of sum(numerators) / sum(denominators) by a cluster bootstrap with expanded percentiles.

    Parameters
    ----------
    numerators, denominators
        Shape (n,), one per trial. Values and ones give the mean; errors and
        words give a corpus rate.
    clusters
        Shape (n,): trials with equal entries are drawn together.

    Returns
    -------
    None with fewer than two clusters: one cluster says nothing about spread.

    Notes
    -----
    Plain percentiles of a bootstrap over G clusters are those of a normal
    distribution with the variance divided by G instead of G - 1: with 8
    clusters they cover 88 % instead of 95 %. They are therefore taken
    further out, by sqrt(G / (G - 1)) and Student's t. Its degrees of freedom
    are those of the number of equal clusters that would give as much
    precision, ``sum(size)^2 / sum(size^2)``, less one. Unlike the bootstrap-t,
    which covers about as well, this is never wider than the clusters' own values and needs no
    standard error, which rates of rare events lack.

    Source: Field & Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), the
    randomised cluster bootstrap; Hesterberg, "What teachers should know about
    the bootstrap", The American Statistician 69 (2015), section 5.3, expanded
    percentiles; Kish, "Survey sampling" (1965), the effective number.
    """
    sums = _cluster_sums([numerators, denominators], clusters)
    return _interval(sums, sums[:, 1], seed, draws, level)


def mean_interval(
    values: npt.ArrayLike, clusters: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS, level: float = 0.95
) -> Interval | None:
    """:func:`ratio_interval` of a mean."""
    values = np.asarray(values, np.float64)
    return ratio_interval(values, np.ones_like(values), clusters, seed=seed, draws=draws, level=level)


def difference_interval(
    first: tuple[npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike],
    clusters: npt.ArrayLike,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval | None:
    """Interval of the difference of two ratios over the same trials, which are drawn together.

    ``first`` and ``second`` are (numerators, denominators), each of shape (n,);
    else like :func:`ratio_interval`.
    """
    sums = _cluster_sums([*first, *second], clusters)
    return _interval(sums, sums[:, 1] + sums[:, 3], seed, draws, level)


def bounds(
    first: tuple[npt.ArrayLike, npt.ArrayLike],
    second: tuple[npt.ArrayLike, npt.ArrayLike] | None,
    clusters: npt.ArrayLike,
    confidence: float,
    factor: float = 1.0,
) -> tuple[float, float] | None:
    """Lower and upper one-sided bounds of ``first - factor * second`` at a confidence; None like the intervals."""
    level = 2 * confidence - 1
    if second is None:
        found = ratio_interval(*first, clusters, level=level)
    else:
        scaled = (factor * np.asarray(second[0], np.float64), second[1])
        found = difference_interval(first, scaled, clusters, level=level)
    return None if found is None else (found.low, found.high)


def sign_flip_p(contributions: npt.ArrayLike, clusters: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS) -> float:
    """Two-sided p of "the sum of these is 0": how often random signs of the clusters give as large a sum.

    Parameters
    ----------
    contributions
        Shape (n,): paired differences, one per trial.
    clusters
        Shape (n,): trials with equal entries get one sign.

    Notes
    -----
    All ``2**G`` signs are gone through where there are no more than ``draws``;
    else p is (1 + hits) / (1 + draws). G counts the clusters that differ; 1.0
    where none does. With few clusters p cannot be small however large the
    difference is (0.002 with 10), and no correction for many comparisons would
    leave anything of it. So where no other signs give as large a sum and at
    least ``FEWEST`` clusters differ, the tail beyond is that of Student's t of
    the clusters' totals. Larger p, which decide about one comparison, do not depend on it.

    Source: Fisher's randomisation test on cluster totals; exact where these are
    symmetric about 0 under the null. Phipson & Smyth, "Permutation p-values
    should never be zero", SAGMB 9 (2010), for the count.
    """
    every = _cluster_sums([contributions], clusters)[:, 0]
    totals = every[every != 0]  # a cluster without a difference says nothing either way
    count = len(totals)
    if not count:
        return 1.0
    least = max(2.0 ** (1 - count), 1 / (1 + draws))
    p = _flipped(totals, draws, np.random.default_rng(seed))
    return min(p, _student_p(every)) if count >= FEWEST and p <= least * (1 + 1e-9) else p


def _flipped(totals: Float, draws: int, rng: np.random.Generator) -> float:
    count = len(totals)
    observed = abs(totals.sum()) * (1 - 1e-9)
    if 2**count <= draws:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float(np.mean(np.abs(signs @ totals) >= observed))
    hits, step = 0, max(1, CHUNK // count)
    for start in range(0, draws, step):
        flips = rng.integers(0, 2, (min(step, draws - start), count), dtype=np.int8)
        hits += int(np.sum(np.abs(totals.sum() - 2 * (flips @ totals)) >= observed))
    return (1 + hits) / (1 + draws)


def _student_p(totals: Float) -> float:
    """Two-sided p of Student's t that these have mean 0."""
    from scipy.special import stdtr

    spread = float(np.std(totals, ddof=1))
    if spread == 0:
        return 0.0
    return float(2 * stdtr(len(totals) - 1, -abs(float(totals.mean())) / spread * np.sqrt(len(totals))))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: at most a share of alpha of families has a false claim.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979).
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values, np.float64)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(raised)) if len(order) else raised
    return [float(p) for p in corrected]


def effective_clusters(sizes: npt.ArrayLike) -> float:
    """How many clusters of equal size are as good as these: ``sum(size)^2 / sum(size^2)`` (Kish 1965)."""
    sizes = np.asarray(sizes, np.float64)
    squares = float(np.sum(sizes**2))
    return float(np.sum(sizes)) ** 2 / squares if squares else 0.0


def unseen(clusters: int, confidence: float) -> float:
    """How large the share of other clusters may be when all that were drawn are alike.

    Source: Clopper & Pearson, Biometrika 26 (1934), at 0 of n: "no error in 60 trials" is no proof of "never".
    """
    return float(1 - (1 - confidence) ** (1 / clusters))


def _cluster_sums(columns: Sequence[npt.ArrayLike], clusters: npt.ArrayLike) -> Float:
    """Shape (G, len(columns)): the sum of each column over each cluster."""
    _, place = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    summed = [np.bincount(place, np.asarray(column, np.float64), count) for column in columns]
    return np.stack(summed, axis=1).astype(np.float64)


def _interval(sums: Float, sizes: Float, seed: int, draws: int, level: float) -> Interval | None:
    """Of the ratio of two columns of cluster sums, or of the difference of two such ratios."""
    count = len(sums)
    if count < 2:
        return None
    drawn = _resampled(sums, draws, np.random.default_rng(seed))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = drawn[:, 0] / drawn[:, 1]
        if sums.shape[1] == 4:
            found = found - drawn[:, 2] / drawn[:, 3]
    found = found[np.isfinite(found)]  # a draw of clusters without a word has no rate
    if not len(found):
        return None
    tail = _tail(count, effective_clusters(sizes), level)
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high), f"cluster bootstrap, expanded percentiles, {draws} draws", count, level)


def _tail(count: int, effective: float, level: float) -> float:
    """The share of bootstrap draws to leave out at each end."""
    from scipy.special import ndtr, stdtrit

    freedom = max(effective - 1, 1.0)
    return float(ndtr(np.sqrt(count / (count - 1)) * stdtrit(freedom, (1 - level) / 2)))


def _resampled(sums: Float, draws: int, rng: np.random.Generator) -> Float:
    """Shape (draws, columns): the totals of as many clusters, drawn with replacement."""
    count = len(sums)
    columns = np.ascontiguousarray(sums.T)
    step = max(1, CHUNK // count)
    totals = np.empty((draws, len(columns)))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        drawn = rng.integers(0, count, (rows, count), dtype=np.int32) + count * np.arange(rows, dtype=np.int32)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        for k, column in enumerate(columns):  # one at a time: threads of BLAS cost more than such thin products
            totals[start : start + rows, k] = times @ column
    return totals
