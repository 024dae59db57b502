"""One answer, many metrics: each computation and each baseline once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tspbench.errors import TspbenchError
from tspbench.metrics import resolve
from tspbench.metrics.declaration import Metric, Need, Score, Status
from tspbench.metrics.signals import Signals


@dataclass(frozen=True)
class Scored:
    """Scores by metric id, and the mixture's own scores that were used or newly computed."""

    scores: dict[str, Score] = field(default_factory=dict)
    baselines: dict[str, Score] = field(default_factory=dict)


def evaluate(signals: Signals, metrics: Iterable[Metric], baselines: Mapping[str, Score] | None = None) -> Scored:
    """Score one answer.

    Parameters
    ----------
    baselines
        The mixture's scores by metric id, where they are known already; those
        that are missing and needed are computed.

    A metric that does not apply gets ``not_applicable`` with the reason; one
    that breaks gets ``failed``. No exception of a metric gets out, save those
    that the user must act on (a missing package, missing weights).
    """
    done = Scored(baselines=dict(baselines or {}))
    mixture: Signals | None = None
    own: dict[str, Score] = {}
    for metric in metrics:
        base = resolve(metric.improvement_of) if metric.improvement_of else metric
        if base.id not in own:
            own[base.id] = score(signals, base)
        if metric.improvement_of is None:
            done.scores[metric.id] = own[base.id]
            continue
        if base.id not in done.baselines:
            # Made only now: it takes along what the estimate's scores have prepared.
            mixture = mixture or signals.mixture_as_estimate()
            done.baselines[base.id] = score(mixture, base)
        done.scores[metric.id] = _gain(own[base.id], done.baselines[base.id])
    return done


def score(signals: Signals, metric: Metric) -> Score:
    """One metric on one answer; see :func:`evaluate`."""
    reason = missing(signals, metric)
    if reason:
        return Score(None, Status.NOT_APPLICABLE, reason)
    try:
        found = metric.compute(signals)
        if found.value is not None and not math.isfinite(found.value):
            return Score(None, Status.FAILED, f"the metric gave {found.value}")
        return found
    except TspbenchError:
        raise
    except Exception as error:
        return Score(None, Status.FAILED, f"{type(error).__name__}: {error}")


def missing(signals: Signals, metric: Metric) -> str | None:
    """Why a metric does not apply to an answer, or None when it does."""
    return next((REASONS[need] for need in sorted(metric.needs) if not _has(signals, need)), None)


REASONS = {
    Need.ESTIMATE: "the system returns no waveform",
    Need.HYPOTHESIS: "the system returns no words",
    Need.TARGET: "the target is absent",
    Need.ABSENCE: "the target is present",
    Need.INTERFERERS: "the trial has no interferer",
    Need.TRANSCRIPT: "the trial has no transcript",
    Need.ENROLMENT: "the trial has no enrolment",
    Need.ALIGNED: "the system's output is not aligned with the target",
}


def _has(signals: Signals, need: Need) -> bool:
    return {
        Need.ESTIMATE: signals.estimate is not None,
        Need.HYPOTHESIS: signals.hypothesis is not None,
        Need.TARGET: signals.target is not None,
        Need.ABSENCE: signals.target is None,
        Need.INTERFERERS: len(signals.interferers) > 0,
        Need.TRANSCRIPT: signals.transcript is not None,
        Need.ENROLMENT: len(signals.enrolment) > 0,
        Need.ALIGNED: signals.aligned,
    }[need]


def _gain(own: Score, baseline: Score) -> Score:
    if own.value is None:
        return Score(None, own.status, own.reason)
    if baseline.status is Status.FAILED:
        return Score(None, Status.FAILED, f"the mixture's score failed ({baseline.reason})")
    if baseline.value is None:
        return Score(None, Status.NOT_APPLICABLE, f"no value for the mixture ({baseline.reason})")
    return Score(own.value - baseline.value, counts=_gain_counts(own, baseline))


def _gain_counts(own: Score, baseline: Score) -> dict[str, int] | None:
    """Counts whose pooled rate is the difference of the pooled rates, where both have the same total."""
    if not own.counts or not baseline.counts or own.counts["total"] != baseline.counts["total"]:
        return None
    return {"errors": own.counts["errors"] - baseline.counts["errors"], "total": own.counts["total"]}
