"""How many trials a claim needs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tspbench import stats
from tspbench.errors import CannotMeasure, UnknownName, UsageError
from tspbench.identity import require_same
from tspbench.pairing import Side, paired
from tspbench.sealed import Sealed
from tspbench.stats import Float

CORRELATION = 0.5
MOST = 10_000_000


@dataclass(frozen=True)
class Need:
    """What it takes to see a difference ``delta`` in ``metric`` with probability ``power`` at ``alpha``."""

    metric: str
    unit: str
    delta: float
    power: float
    alpha: float
    trials: int
    clusters: int
    present_trials: int
    present_clusters: int
    detectable: float | None
    """The smallest difference that the present trials show with this power; None where they show none."""
    spread: float
    """Standard deviation of the paired difference between clusters, times what one cluster weighs."""
    assumption: str

    def as_dict(self) -> dict[str, Any]:
        return {"kind": "power", **asdict(self)}


def need(
    first: Sealed,
    second: Sealed | None,
    delta: float,
    metric: str | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    correlation: float = CORRELATION,
) -> Need:
    """The size of a test set for a claim, from how much one run, or better the difference of two, varies.

    Parameters
    ----------
    second
        A run on the same trials whose difference from ``first`` varies like the
        one to be claimed. Without it the two systems' cluster means are assumed
        to vary alike and to have this ``correlation``.
    delta
        The difference to be seen, in the metric's unit.

    Raises
    ------
    UsageError
        A setting out of range, a metric that was not scored, other trials.
    CannotMeasure
        Too few clusters to estimate a spread, or no spread.

    Source: the sample size of a paired t-test on clusters, iterated on Student's t (Donner & Klar, "Design and
    analysis of cluster randomization trials", 2000, chapter 5).
    """
    _check(delta, power, alpha, correlation)
    metric = metric or next(iter(first.values))
    for one in (first, second):
        if one is not None and metric not in one.values:
            raise UnknownName("metric in these results", metric, one.values)
    if second is not None:
        require_same([first, second], [metric])
    pair = paired(first, second or first, metric)
    clusters = len(set(pair.clusters)) if pair else 0
    if pair is None or clusters < stats.FEWEST:
        raise CannotMeasure(f"{metric}: {clusters} clusters of trials; a spread needs at least {stats.FEWEST}.")
    if second is None:
        spread = _spread(_influence(pair.first), pair.clusters) * math.sqrt(2 * (1 - correlation))
    else:
        spread = _spread(_influence(pair.first) - _influence(pair.second), pair.clusters)
    if spread == 0:
        raise CannotMeasure(f"{metric}: every cluster has the same value; nothing can be said about its spread.")
    uneven = _unevenness(pair.first.bottoms, pair.clusters)
    wanted = _clusters(math.hypot(spread / delta, uneven), power, alpha)
    trials = len(pair.places)
    return Need(
        metric=metric,
        unit=first.summary["metrics"][metric]["unit"],
        delta=delta,
        power=power,
        alpha=alpha,
        trials=math.ceil(wanted * trials / clusters),
        clusters=wanted,
        present_trials=trials,
        present_clusters=clusters,
        detectable=_detectable(spread, uneven, _factor(clusters, power, alpha)),
        spread=spread,
        assumption=_assumption(second is None, correlation, trials / clusters),
    )


def _check(delta: float, power: float, alpha: float, correlation: float) -> None:
    if not (math.isfinite(delta) and delta > 0):
        raise UsageError(f"--delta {delta}: a difference above 0.")
    for name, value, low in (("power", power, 0.5), ("alpha", alpha, 0.0)):
        if not low < value < 1:
            raise UsageError(f"--{name} {value}: a number between {low:g} and 1.")
    if not 0 <= correlation < 1:
        raise UsageError(f"--correlation {correlation}: a number from 0 up to below 1.")


def _assumption(alone: bool, correlation: float, size: float) -> str:
    clusters = f"more clusters like these, {size:.1f} trials each; one comparison, no correction for several"
    if not alone:
        return f"differences vary as between these two runs; {clusters}"
    return f"the other system varies like this one and its cluster means correlate by {correlation:g}; {clusters}"


def _influence(side: Side) -> Float:
    """Shape (n,): by how much each trial moves the mean (or the pooled rate)."""
    return np.asarray((side.tops - side.mean * side.bottoms) / side.bottoms.sum(), np.float64)


def _spread(influence: Float, clusters: Any) -> float:
    """s such that the standard error from G clusters is s / sqrt(G)."""
    _, place = np.unique(clusters, return_inverse=True)
    totals = np.bincount(place, influence)
    count = len(totals)
    spread = count * float(np.std(totals, ddof=1))
    return spread if spread > 1e-12 * float(np.abs(influence).sum()) else 0.0


def _unevenness(sizes: Float, clusters: Any) -> float:
    """Coefficient of variation of the clusters' sizes: a difference itself spreads totals of unequal clusters."""
    _, place = np.unique(clusters, return_inverse=True)
    totals = np.bincount(place, sizes)
    return float(np.std(totals, ddof=1) / totals.mean())


def _detectable(spread: float, uneven: float, factor: float) -> float | None:
    """The d that solves d = factor * hypot(spread, uneven * d)."""
    left = 1 - (factor * uneven) ** 2
    return spread * factor / math.sqrt(left) if left > 0 else None


def _clusters(ratio: float, power: float, alpha: float) -> int:
    """The fewest clusters G with ``ratio * _factor(G) <= 1``, by bisection."""
    low, high = 2, stats.FEWEST
    while ratio * _factor(high, power, alpha) > 1:
        if high >= MOST:
            raise UsageError(f"More than {MOST:,} clusters would be needed. Ask for a larger --delta.")
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if ratio * _factor(middle, power, alpha) > 1 else (low, middle)
    return max(high, stats.FEWEST)


def _factor(clusters: int, power: float, alpha: float) -> float:
    """The difference, in units of the spread, that this many clusters show."""
    from scipy.special import stdtrit

    freedom = clusters - 1
    return float(stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, power)) / math.sqrt(clusters)
