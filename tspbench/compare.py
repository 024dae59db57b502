"""Is one system better than another? Paired by trial, clustered, corrected for the number of questions asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from tspbench import stats
from tspbench.errors import CannotMeasure, UnknownName, UsageError
from tspbench.identity import differences, labels, remarks, require_same
from tspbench.pairing import Paired, paired
from tspbench.sealed import Sealed
from tspbench.strata import strata

Conditions = Mapping[str, Mapping[str, Sequence[int]]]
"""Indices of trials by condition and stratum."""
Verdict = Literal["better", "equal", "worse", "undecided"]
ALPHA = 0.05
MARGINS: Mapping[str, float] = {"dB": 0.1, "dBFS": 1.0, "rate": 0.005, "MOS": 0.05, "MOS-LQO": 0.05, "cosine": 0.01}
"""By unit: what is too small to matter. Metrics of other units have none unless it is given."""
ALLOW = "Pass --allow-different to compare them all the same; the result says so."


@dataclass(frozen=True)
class Comparison:
    """``first`` minus ``second`` on one metric, in one stratum or (None) overall.

    ``interval`` is at 95 % for this difference alone; ``p`` is
    :func:`tspbench.stats.sign_flip_p`, ``p_corrected`` Holm's over all
    comparisons made together. Both are None below ``stats.FEWEST`` clusters.
    ``verdict`` is about ``first``.
    """

    first: str
    second: str
    metric: str
    unit: str
    higher_is_better: bool
    condition: str | None
    stratum: str | None
    trials: int
    clusters: int
    left_out: int
    penalised: tuple[int, int]
    means: tuple[float, float]
    difference: float
    interval: stats.Interval | None
    margin: float | None
    p: float | None
    p_corrected: float | None = None
    verdict: Verdict = "undecided"

    def row(self) -> dict[str, Any]:
        """Flat, for tables and files."""
        flat = asdict(self)
        for name in ("penalised", "means"):
            one, two = flat.pop(name)
            flat |= {f"{name.removesuffix('s')}_first": one, f"{name.removesuffix('s')}_second": two}
        interval = flat.pop("interval") or {}
        return flat | {"low": interval.get("low"), "high": interval.get("high")}


@dataclass(frozen=True)
class Report:
    """All comparisons of one question; ``different`` is what makes them no clean measurement."""

    comparisons: tuple[Comparison, ...]
    tested: int
    """How many p-values were corrected together."""
    different: tuple[str, ...]
    remarks: tuple[str, ...]

    def notes(self) -> list[str]:
        """What a reader of the table must know."""
        lines = [f"better, worse: corrected p < {ALPHA}, Holm over {self.tested} tests; equal: 95 % interval within"]
        shown = {each.metric: each for each in self.comparisons}.values()
        margins = [f"±{one.margin:g} {one.unit} ({one.metric})" for one in shown if one.margin is not None]
        lines[0] += f" {', '.join(margins)}" if margins else " a margin (none is set: --margin METRIC=DIFFERENCE)"
        if any(each.interval is None for each in self.comparisons):
            lines.append(f"No interval and no p below {stats.FEWEST} clusters.")
        for one in (each for each in self.comparisons if each.stratum is None):
            pair = f"{one.metric}, {one.first} and {one.second}"
            if any(one.penalised):
                lines.append(f"{pair}: {one.penalised[0]} and {one.penalised[1]} without a score count as the penalty.")
            if one.left_out:
                lines.append(f"{pair}: {one.left_out} trials left out, it applies to one of the two only.")
        lines += [f"differs: {text}" for text in self.remarks]
        return [f"NOT THE SAME MEASUREMENT: {text}" for text in self.different] + lines

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": "comparison",
            "alpha": ALPHA,
            "tested": self.tested,
            "identity_differs": list(self.different),
            "remarks": list(self.remarks),
            "comparisons": [comparison.row() for comparison in self.comparisons],
        }


def compare(
    sealeds: Sequence[Sealed],
    metrics: Sequence[str] = (),
    by: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    allow_different: bool = False,
) -> Report:
    """Compare every pair of some results.

    Parameters
    ----------
    metrics
        Ids; empty for all that the results share. A gain is then left out
        where its base is there: the difference is the same.
    by
        Conditions to break the comparison down by; ``("all",)`` for every one.
    margins
        Metric id to the difference that is too small to matter.

    Raises
    ------
    OtherIdentity
        The results are not the same measurement, unless ``allow_different``.
    UsageError
        Fewer than two results, an unknown metric or condition.
    CannotMeasure
        No trial has any of the metrics in both.
    """
    if len(sealeds) < 2:
        raise UsageError("Name at least two runs (folders or sealed files) to compare.")
    chosen = _chosen_metrics(sealeds, metrics)
    margins = _known(margins or {}, chosen)
    if not allow_different:
        require_same(sealeds, chosen, ALLOW)
    conditions = _conditions(sealeds[0], by)
    found = [
        comparison
        for one, two in itertools.combinations(_named(sealeds), 2)
        for metric_id in chosen
        for comparison in _of_pair(one, two, metric_id, conditions, margins.get(metric_id))
    ]
    if not found:
        raise CannotMeasure(f"No trial has a value of {', '.join(chosen)} in two of these results.")
    tested = sum(comparison.p is not None for comparison in found)
    others = sealeds[1:]
    different = [text for other in others for text in differences(sealeds[0], other, chosen)]
    told = [text for other in others for text in remarks(sealeds[0], other, chosen)]
    return Report(tuple(_judged(found)), tested, tuple(dict.fromkeys(different)), tuple(dict.fromkeys(told)))


def tie_groups(sealeds: Sequence[Sealed], metric: str) -> list[list[str]]:
    """Labels of results from best to worst, in groups that are not told apart.

    Two results share a group exactly where their difference is not shown,
    Holm-corrected over all pairs. Groups overlap: one noisy result may differ
    neither from the best nor from the worst. Results to which the metric does
    not apply are left out. The labels are those of :func:`tspbench.identity.labels`.

    Raises
    ------
    OtherIdentity
        The results are not the same measurement.
    """
    require_same(sealeds, [metric])
    named = [one for one in _named(sealeds) if one.metric(metric) and paired(one, one, metric)]
    if not named:
        return []
    pairs = itertools.combinations(named, 2)
    found = [each for one, two in pairs for each in _of_pair(one, two, metric, {}, None)]
    apart = {frozenset((each.first, each.second)) for each in _judged(found) if each.verdict in ("better", "worse")}
    sign = -1 if _declared(named[0], metric)["higher_is_better"] else 1
    ranked = sorted(named, key=lambda one: (sign * _mean(one, metric), one.label))
    return _letter_groups([one.label for one in ranked], apart)


def _letter_groups(ranked: Sequence[str], apart: Iterable[frozenset[str]]) -> list[list[str]]:
    """The largest groups without a pair of ``apart``, best first.

    Source: the insert-and-absorb algorithm of Piepho, "An algorithm for a letter-based representation of
    all-pairwise comparisons", J. Comput. Graph. Statist. 13 (2004).
    """
    groups = {frozenset(ranked)} if ranked else set()
    for pair in apart:
        split = {group - {one} for group in groups if pair <= group for one in pair}
        groups = {group for group in groups if not pair <= group} | split
        groups = {group for group in groups if not any(group < other for other in groups)}
    rank = {label: i for i, label in enumerate(ranked)}
    return sorted((sorted(group, key=rank.__getitem__) for group in groups), key=lambda group: [rank[x] for x in group])


def _named(sealeds: Sequence[Sealed]) -> list[Sealed]:
    return [replace(one, label=label) for one, label in zip(sealeds, labels(sealeds), strict=True)]


def _mean(one: Sealed, metric: str) -> float:
    own = paired(one, one, metric)
    assert own is not None
    return own.first.mean


def _chosen_metrics(sealeds: Sequence[Sealed], asked: Sequence[str]) -> list[str]:
    shared = [name for name in sealeds[0].values if all(name in one.values for one in sealeds)]
    for name in asked:
        if name not in shared:
            raise UnknownName("metric shared by these results", name, shared)
    if not shared:
        raise UsageError("These results share no metric.")
    bases = {f"{head}_i{bracket}{rest}" for head, bracket, rest in (name.partition("[") for name in shared)}
    return list(dict.fromkeys(asked)) or [name for name in shared if name not in bases]


def _known(margins: Mapping[str, float], metrics: Sequence[str]) -> Mapping[str, float]:
    for name, margin in margins.items():
        if name not in metrics:
            raise UnknownName("metric compared here", name, metrics)
        if not (np.isfinite(margin) and margin > 0):
            raise UsageError(f"--margin {name}={margin}: a margin is a number above 0.")
    return margins


def _conditions(one: Sealed, by: Sequence[str]) -> Conditions:
    groups = strata(one.conditions)
    if "all" in by:
        return groups
    for name in by:
        if name not in groups:
            raise UnknownName("condition that splits these trials", name, [*groups, "all"])
    return {name: groups[name] for name in dict.fromkeys(by)}


def _of_pair(
    one: Sealed,
    two: Sealed,
    metric_id: str,
    conditions: Mapping[str, Mapping[str, Sequence[int]]],
    margin: float | None,
) -> Iterator[Comparison]:
    """Overall, then stratum by stratum."""
    pair = paired(one, two, metric_id)
    if pair is None:
        return
    yield _comparison(one, two, metric_id, pair, margin)
    for condition, groups in conditions.items():
        for label, members in groups.items():
            chosen = np.isin(pair.places, members)
            if chosen.any():
                part = _comparison(one, two, metric_id, pair.only(chosen), margin)
                yield replace(part, condition=condition, stratum=label)


def _comparison(one: Sealed, two: Sealed, metric_id: str, pair: Paired, margin: float | None) -> Comparison:
    declared = _declared(one, metric_id)
    clusters = len(set(pair.clusters))
    enough = clusters >= stats.FEWEST
    first, second = ((side.tops, side.bottoms) for side in (pair.first, pair.second))
    return Comparison(
        first=one.label,
        second=two.label,
        metric=metric_id,
        unit=declared["unit"],
        higher_is_better=declared["higher_is_better"],
        condition=None,
        stratum=None,
        trials=len(pair.places),
        clusters=clusters,
        left_out=pair.left_out,
        penalised=(int(pair.first.penalised.sum()), int(pair.second.penalised.sum())),
        means=(pair.first.mean, pair.second.mean),
        difference=pair.first.mean - pair.second.mean,
        interval=stats.difference_interval(first, second, pair.clusters) if enough else None,
        margin=MARGINS.get(declared["unit"]) if margin is None else margin,
        p=stats.sign_flip_p(pair.contributions, pair.clusters) if enough else None,
    )


def _declared(one: Sealed, metric_id: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = one.summary["metrics"][metric_id]
    return found


def _judged(comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    tested = [each.p for each in comparisons if each.p is not None]
    corrected = iter(stats.holm(tested))
    for each in comparisons:
        p = next(corrected) if each.p is not None else None
        yield replace(each, p_corrected=p, verdict=_verdict(each, p))


def _verdict(one: Comparison, p: float | None) -> Verdict:
    """Equal where the interval lies within the margin, whatever p says; else by p."""
    if one.interval is None or p is None:
        return "undecided"
    reach = max(-one.interval.low, one.interval.high)
    if reach == 0 and one.unit == "rate":  # of rare events none may have been drawn
        reach = stats.unseen(one.clusters, 1 - ALPHA / 2)
    if one.margin is not None and reach < one.margin:
        return "equal"
    if p >= ALPHA:
        return "undecided"
    return "better" if (one.difference > 0) == one.higher_is_better else "worse"
