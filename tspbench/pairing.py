"""The scores of results side by side, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tspbench.metrics.declaration import Status
from tspbench.sealed import Sealed
from tspbench.stats import Float

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Side:
    """One result's scores on the trials of a pair: the metric is sum(tops) / sum(bottoms). Shape (n,) each."""

    tops: Float
    bottoms: Float
    penalised: Mask
    """Scores that are undefined or failed; the metric's penalty stands in for them."""

    @property
    def mean(self) -> float:
        return float(self.tops.sum() / self.bottoms.sum())

    def only(self, chosen: Mask) -> Side:
        return Side(self.tops[chosen], self.bottoms[chosen], self.penalised[chosen])


@dataclass(frozen=True)
class Paired:
    """Two results on the trials to which the metric applies in both."""

    first: Side
    second: Side
    places: npt.NDArray[np.intp]
    """Index of each trial in the first result."""
    clusters: npt.NDArray[np.str_]
    left_out: int = 0
    """Trials to which the metric applies in one of the two only."""

    @property
    def contributions(self) -> Float:
        """Shape (n,): what each trial adds to the difference of the two means."""
        one, two = (side.tops / side.bottoms.sum() for side in (self.first, self.second))
        return np.asarray(one - two, np.float64)

    def only(self, chosen: Mask) -> Paired:
        """The same on some of the trials."""
        return Paired(self.first.only(chosen), self.second.only(chosen), self.places[chosen], self.clusters[chosen])


def paired(first: Sealed, second: Sealed, metric_id: str) -> Paired | None:
    """Pair by trial id; None where the metric applies to no trial of both.

    Undefined and failed scores count as the metric's penalty. A pooled rate
    gives them the total that the other result has on this trial, else the
    mean total.
    """
    there = {trial_id: i for i, trial_id in enumerate(second.trial_ids)}
    shared = [(i, there[name]) for i, name in enumerate(first.trial_ids) if name in there]
    places = [np.asarray(column, np.intp) for column in zip(*shared, strict=True)] if shared else []
    if not places:
        return None
    scores = [_Scores(one, metric_id, at) for one, at in zip((first, second), places, strict=True)]
    chosen = scores[0].applicable & scores[1].applicable
    if not chosen.any():
        return None
    one, two = scores
    return Paired(
        one.side(two).only(chosen),
        two.side(one).only(chosen),
        places[0][chosen],
        np.asarray(first.clusters)[places[0]][chosen],
        int(np.sum(one.applicable != two.applicable)),
    )


class _Scores:
    """The scores of one metric of one result on some trials."""

    def __init__(self, one: Sealed, metric_id: str, places: npt.NDArray[np.intp]) -> None:
        record = one.metric(metric_id)
        assert record is not None
        self.penalty = float(record["penalty"])
        self.pooled = record["aggregate"] == "pooled"
        status = np.asarray(one.statuses[metric_id])[places]
        source, totals = (one.errors, one.totals) if self.pooled else (one.values, {})
        self.tops = _floats(source[metric_id], places)
        self.bottoms = _floats(totals[metric_id], places) if self.pooled else np.ones(len(places))
        scored = status == Status.OK.value
        self.penalised: Mask = (status != Status.NOT_APPLICABLE.value) & ~scored
        self.applicable: Mask = self.penalised | (scored & np.isfinite(self.tops) & np.isfinite(self.bottoms))

    def side(self, other: _Scores) -> Side:
        known = [scores.bottoms[scores.applicable & ~scores.penalised] for scores in (self, other)]
        usual = float(np.mean(np.concatenate(known))) if any(map(len, known)) else 1.0
        lent = np.where(np.isfinite(other.bottoms), other.bottoms, usual)
        bottoms = np.where(self.penalised, lent, self.bottoms)
        return Side(np.where(self.penalised, self.penalty * bottoms, self.tops), bottoms, self.penalised)


def _floats(values: Sequence[float | None], places: npt.NDArray[np.intp]) -> Float:
    return np.asarray([np.nan if value is None else value for value in values], np.float64)[places]
