"""What stands in the way of a value before any metric that compares an estimate with a target."""

from __future__ import annotations

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
