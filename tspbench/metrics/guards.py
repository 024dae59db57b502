"""What stands in the way of a value before any metric that compares an estimate with a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tspbench.metrics.declaration import Score, Status
from tspbench.metrics.signals import Signals
from tspbench.types import Audio

SILENT_ESTIMATE = "silent estimate"
SILENT_TARGET = "silent target"


@dataclass(frozen=True, slots=True)
class Pair:
    """An estimate and its target, same length, neither all zero."""

    estimate: Audio
    target: Audio


class NoValue(ValueError):
    """A metric has no value for two signals; ``system_at_fault`` says whose doing that is."""

    def __init__(self, reason: str, *, system_at_fault: bool) -> None:
        super().__init__(reason)
        self.system_at_fault = system_at_fault


def not_applicable(reason: str) -> Score:
    """The trial, not the system, is why there is no value."""
    return Score(None, Status.NOT_APPLICABLE, reason)


def sounding_pair(signals: Signals, rate: int | None = None) -> Pair | Score:
    """The estimate and the target at ``rate`` Hz (None: their own), or why they cannot be compared.

    The target is looked at first: where it is silent the system is not at fault.
    """
    rate = rate or signals.sample_rate
    target, estimate = signals.at("target", rate), signals.at("estimate", rate)
    if not target.any():
        return not_applicable(SILENT_TARGET)
    if not estimate.any():
        return Score.undefined(SILENT_ESTIMATE)
    return Pair(estimate, target)


def scored_pair(signals: Signals, rate: int, compute: Callable[[Signals, Pair], float]) -> Score:
    """The score of the estimate and the target at ``rate`` Hz, or why there is none (:class:`NoValue`)."""
    pair = sounding_pair(signals, rate)
    if isinstance(pair, Score):
        return pair
    try:
        return Score(compute(signals, pair))
    except NoValue as why:
        return Score.undefined(str(why)) if why.system_at_fault else not_applicable(str(why))
