"""``summary.json``: what the lines of a run folder add up to."""

from __future__ import annotations

import heapq
import itertools
import sys
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tspbench.baselines import MIXTURE, UPPER, Baselines
from tspbench.metrics import Metric, Score, Status, resolve
from tspbench.metrics.averages import Item
from tspbench.packed import Digests
from tspbench.stats import DRAWS, FEWEST, ratio_interval
from tspbench.store import SCHEMA, read_lines, read_record
from tspbench.strata import strata_of

Places = npt.NDArray[np.int64]

STRATUM_DRAWS = 2_000
WORST = 10
"""Trials listed as the worst of the first metric."""


@dataclass
class Column:
    """The scores of one metric, trial by trial, in arrays: there may be a million."""

    metric: Metric
    places: array[int] = field(default_factory=lambda: array("q"))
    """Index of the trial of each applicable score."""
    values: array[float] = field(default_factory=lambda: array("d"))
    """NaN where undefined or failed (never written anywhere)."""
    errors: array[float] = field(default_factory=lambda: array("d"))
    totals: array[float] = field(default_factory=lambda: array("d"))
    """Both for pooled metrics only."""
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, place: int, row: Mapping[str, Any]) -> None:
        self.statuses[row["status"]] += 1
        if row["reason"]:
            self.reasons[row["reason"]] += 1
        if row["status"] == Status.NOT_APPLICABLE:
            return
        self.places.append(place)
        self.values.append(np.nan if row["value"] is None else row["value"])
        if self.metric.aggregate == "pooled":
            counts = row.get("counts") or {}
            self.errors.append(counts.get("errors", np.nan))
            self.totals.append(counts.get("total", np.nan))

    def sort(self, ranks: Places) -> None:
        """Put the scores in the order of the trial ids: sums must not depend on which trial was done first."""
        order = np.argsort(ranks[np.asarray(self.places)], kind="stable")
        for values in (self.places, self.values, self.errors, self.totals):
            if values:
                values[:] = array(values.typecode, np.asarray(values)[order].tobytes())


@dataclass
class Trials:
    """What a summary needs of the trials, by index. Words that recur are kept once."""

    ids: dict[str, int] = field(default_factory=dict)
    clusters: Places = field(default_factory=lambda: np.zeros(0, np.int64))
    """Numbers that stand for the labels, in the order of these."""
    conditions: dict[str, list[Any]] = field(default_factory=dict)
    """By name, None where a trial lacks it."""
    inputs: Digests = field(default_factory=Digests)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        place = len(self.inputs)
        self.ids[sys.intern(row["trial_id"])] = place
        self.inputs.append(row["input_digest"])
        self.statuses[row["status"]] += 1
        for name, value in row["conditions"].items():
            if name not in self.conditions:
                self.conditions[name] = [None] * place
            self.conditions[name].append(sys.intern(value) if isinstance(value, str) else value)
        for column in self.conditions.values():
            if len(column) == place:
                column.append(None)


def summarise(folder: Path, baselines: Baselines | None = None) -> dict[str, Any]:
    """Build the summary of a run folder.

    ``baselines`` supplies the bounds' values on the same trials, where they
    are known, for the position between them.
    """
    record = read_record(folder)
    trials = _read_trials(folder, record["identity"]["task"].get("cluster"))
    columns = {metric["id"]: Column(resolve(metric["id"])) for metric in record["metrics"]}
    for row in read_lines(folder / "scores.jsonl"):
        if row["metric"] in columns and row["trial_id"] in trials.ids:
            columns[row["metric"]].add(trials.ids[row["trial_id"]], row)
    ranks = _ranks(trials.ids)
    for column in columns.values():
        column.sort(ranks)
    return {
        "schema": SCHEMA,
        "trials": {"expected": expected_trials(record), "attempted": len(trials.ids)}
        | {status: trials.statuses.get(status, 0) for status in ("ok", "failed", "timed_out")},
        "metrics": {name: _metric_summary(column, trials, baselines) for name, column in columns.items()},
        "worst": next((_worst(column, trials) for column in columns.values()), None),
        "wrong_target": _wrong_target(columns, trials),
    }


def expected_trials(record: Mapping[str, Any]) -> int:
    """How many trials a run has when it is done: a shard has fewer than its list."""
    task = record["identity"]["task"]
    return int(task.get("shard", task)["trials"])


def _read_trials(folder: Path, cluster: str | None) -> Trials:
    trials = Trials()
    labels: dict[str, int] = {}
    numbers = array("q")
    for row in read_lines(folder / "trials.jsonl"):
        trials.add(row)
        numbers.append(labels.setdefault(str(row["clusters"].get(cluster, row["trial_id"])), len(labels)))
    trials.clusters = _ranks(labels)[np.asarray(numbers)]
    return trials


def _ranks(numbered: Mapping[str, int]) -> Places:
    """By number, the place of a name among the sorted names."""
    ranks = np.empty(len(numbered), np.int64)
    ranks[[numbered[name] for name in sorted(numbered)]] = np.arange(len(ranks))
    return ranks


def _metric_summary(column: Column, trials: Trials, baselines: Baselines | None) -> dict[str, Any]:
    places = np.asarray(column.places, dtype=np.int64)
    return {
        **_statistics(column, trials, np.arange(len(places))),
        **_published(column, trials),
        "attempted": sum(column.statuses.values()),
        "not_applicable": column.statuses[Status.NOT_APPLICABLE],
        "reasons": dict(sorted(column.reasons.items(), key=lambda item: (-item[1], item[0]))[:8]),
        "unit": column.metric.unit,
        "higher_is_better": column.metric.higher_is_better,
        "bounds": _bounds(column, trials, baselines),
        "strata": _strata(column, trials, places),
    }


def _statistics(
    column: Column, trials: Trials, chosen: Places, *, draws: int = DRAWS, fewest: int = 2
) -> dict[str, Any]:
    """Counts, means and spread over some of a column's scores; an interval from ``fewest`` clusters on."""
    metric = column.metric
    values = np.asarray(column.values)[chosen] if len(chosen) else np.zeros(0)
    scored = ~np.isnan(values)
    pooled = metric.aggregate == "pooled"
    tops = np.asarray(column.errors)[chosen] if pooled and len(chosen) else values
    bottoms = np.asarray(column.totals)[chosen] if pooled and len(chosen) else np.ones_like(values)
    clusters = trials.clusters[np.asarray(column.places, np.int64)[chosen]] if len(chosen) else np.zeros(0, np.int64)
    enough = len(np.unique(clusters[scored])) >= fewest
    found = ratio_interval(tops[scored], bottoms[scored], clusters[scored], draws=draws) if enough else None
    return {
        "applicable": len(values),
        "scored": int(scored.sum()),
        "mean": _ratio(tops[scored], bottoms[scored]),
        "penalised_mean": _penalised(metric, tops, bottoms, scored),
        "median": _number(np.median(values[scored])) if scored.any() else None,
        "p5": _number(np.quantile(values[scored], 0.05 if metric.higher_is_better else 0.95)) if scored.any() else None,
        "interval": asdict(found) if found else None,
    }


def _published(column: Column, trials: Trials) -> dict[str, Any]:
    """The figures of a dialect's metric, averaged as its publication does; nothing for our own metrics."""
    if column.metric.average is None:
        return {}
    classes = trials.conditions.get("class")
    labels = [classes[place] if classes else None for place in column.places]
    items = [
        Item(_number(value), None if label is None else str(label))
        for value, label in zip(column.values, labels, strict=True)
    ]
    return {"published": column.metric.average(items)}


def _penalised(metric: Metric, tops: Any, bottoms: Any, scored: Any) -> float | None:
    """Undefined and failed scores count as the metric's penalty; a pooled rate gives them the mean total."""
    if not len(scored):
        return None
    usual = float(np.mean(bottoms[scored])) if scored.any() else 1.0
    return _ratio(np.where(scored, tops, metric.penalty * usual), np.where(scored, bottoms, usual))


def _bounds(column: Column, trials: Trials, baselines: Baselines | None) -> dict[str, Any]:
    """Means of the mixture and of the bounds over the trials that were scored, and the position between them.

    The position is 0 at the mixture and 1 at the tightest upper bound that was run here.
    """
    metric = column.metric
    values = np.asarray(column.values, np.float64)
    scored: Places = np.flatnonzero(~np.isnan(values)).astype(np.int64)
    rows: dict[str, float] = {}
    if baselines is None or not len(scored) or metric.aggregate != "mean":
        return {"rows": rows, "position": None}
    for label in baselines.rows():
        digests = (trials.inputs[column.places[i]] for i in scored)
        known = (baselines.find(digest, [metric], label).get(metric.id) if digest else None for digest in digests)
        reached = array("d", (score.value for score in known if score is not None and score.value is not None))
        if len(reached) == len(scored):
            rows[label] = float(np.mean(reached))
    if metric.improvement_of is not None:
        rows[MIXTURE] = 0.0  # a gain over the mixture is measured from there
    return {"rows": rows, "position": _position(column, rows, float(np.mean(values[scored])))}


def _position(column: Column, rows: Mapping[str, float], mean: float) -> dict[str, Any] | None:
    if MIXTURE not in rows:
        return None
    spans = {label: value - rows[MIXTURE] for label, value in rows.items() if label.startswith(UPPER)}
    sign = 1 if column.metric.higher_is_better else -1
    better = {label: span for label, span in spans.items() if sign * span > 0}
    if not better:
        return None
    upper = min(better, key=lambda label: sign * better[label])
    value = (mean - rows[MIXTURE]) / better[upper]
    return {"value": value, "lower": MIXTURE, "upper": upper.removeprefix(UPPER)}


def _strata(column: Column, trials: Trials, places: Places) -> dict[str, Any]:
    """The same statistics by condition."""
    conditions = {name: [values[place] for place in places] for name, values in trials.conditions.items()}
    return {
        name: {
            label: _statistics(column, trials, np.asarray(chosen, np.int64), draws=STRATUM_DRAWS, fewest=FEWEST)
            for label, chosen in groups.items()
        }
        for name, groups in strata_of(conditions).items()
    }


def _worst(column: Column, trials: Trials) -> dict[str, Any]:
    """The trials to listen to first: those without a score, then the lowest (highest) ones."""
    ids = list(trials.ids)
    sign = 1 if column.metric.higher_is_better else -1
    rows = ((ids[place], _number(value)) for place, value in zip(column.places, column.values, strict=True))
    worst = heapq.nsmallest(WORST, rows, key=lambda row: (row[1] is not None, sign * (row[1] or 0.0), row[0]))
    return {
        "metric": column.metric.id,
        "trials": [{"trial_id": trial_id, "value": value} for trial_id, value in worst],
    }


def _wrong_target(columns: Mapping[str, Column], trials: Trials) -> dict[str, Any] | None:
    """How often the wrong source came out, and the first metric over the trials where the right one did."""
    picked = columns.get("wrong_target")
    quality = next((column for name, column in columns.items() if name != "wrong_target"), None)
    if picked is None or quality is None or not picked.statuses[Status.OK]:
        return None
    right = {place for place, value in zip(picked.places, picked.values, strict=True) if value == 0}
    chosen = np.asarray([i for i, place in enumerate(quality.places) if place in right], np.int64)
    rate = _statistics(picked, trials, np.arange(len(picked.places)))
    return {
        "rate": rate["mean"],
        "interval": rate["interval"],
        "scored": rate["scored"],
        "right_target": {"metric": quality.metric.id, **_statistics(quality, trials, chosen)},
    }


def _ratio(tops: Any, bottoms: Any) -> float | None:
    total = float(np.sum(bottoms))
    return _number(float(np.sum(tops)) / total) if len(tops) and total else None


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def remember_bound(folder: Path, label: str, baselines: Baselines) -> None:
    """Keep a bound's scores for the position of later runs on the same trials."""
    inputs = {row["trial_id"]: row["input_digest"] for row in read_lines(folder / "trials.jsonl")}
    for trial_id, rows in itertools.groupby(read_lines(folder / "scores.jsonl"), lambda row: row["trial_id"]):
        scores = {
            row["metric"]: Score(row["value"], Status(row["status"]), row["reason"], row.get("counts"))
            for row in rows
            if row["status"] != Status.FAILED
        }
        digest = inputs.get(trial_id)
        if digest and scores:
            baselines.add(digest, scores, label)
