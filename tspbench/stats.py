"""Means with honest intervals: trials that share a clip or a speaker are one cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

DRAWS = 10_000
CHUNK = 200_000
"""Resampled cluster indices held in memory at once."""


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
) -> Interval | None:
    """Percentile interval of sum(numerators) / sum(denominators) under a cluster bootstrap.

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

    Source: Field & Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), the
    randomised cluster bootstrap.
    """
    _, place = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(place.max()) + 1 if len(place) else 0
    if count < 2:
        return None
    top: Float = np.bincount(place, np.asarray(numerators, np.float64), count).astype(np.float64)
    bottom: Float = np.bincount(place, np.asarray(denominators, np.float64), count).astype(np.float64)
    ratios = _resampled(top, bottom, draws, np.random.default_rng(seed))
    ratios = ratios[np.isfinite(ratios)]  # a draw of clusters without a word has no rate
    if not len(ratios):
        return None
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(float(low), float(high), f"cluster bootstrap, {draws} draws", count)


def mean_interval(
    values: npt.ArrayLike, clusters: npt.ArrayLike, *, seed: int = 0, draws: int = DRAWS
) -> Interval | None:
    """:func:`ratio_interval` of a mean."""
    values = np.asarray(values, np.float64)
    return ratio_interval(values, np.ones_like(values), clusters, seed=seed, draws=draws)


def _resampled(top: Float, bottom: Float, draws: int, rng: np.random.Generator) -> Float:
    count = len(top)
    step = max(1, CHUNK // count)
    ratios = np.empty(draws)
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        drawn = rng.integers(0, count, (stop - start, count), dtype=np.int32)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios[start:stop] = top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1)
    return ratios
