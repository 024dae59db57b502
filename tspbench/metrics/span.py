"""The samples that a publication's code compares: at its rate, over its span, unguarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tspbench.metrics.declaration import Score
from tspbench.metrics.guards import not_applicable
from tspbench.metrics.signals import Signals
from tspbench.types import Audio


@dataclass(frozen=True, slots=True)
class Compared:
    """Estimate and target, float32 (T,), at ``rate`` Hz; either may be silent."""

    estimate: Audio
    target: Audio
    rate: int


def compared(signals: Signals, rates: Sequence[int], seconds: float | None = None) -> Compared:
    """The estimate and the target at the trial's own rate where that is among ``rates``, else at the first of them.

    ``seconds`` cuts both, or pads them with zeros at the end; None leaves their length.
    """
    rate = scoring_rate(signals, rates)
    length = None if seconds is None else round(seconds * rate)

    def take(name: Literal["estimate", "target"]) -> Audio:
        samples = signals.at(name, rate)
        if length is None or len(samples) == length:
            return samples
        return np.pad(samples[:length], (0, max(0, length - len(samples))))

    return Compared(take("estimate"), take("target"), rate)


def stopped_by_silence(pair: Compared) -> Score | None:
    """No value, where mir_eval refuses the signals and so ends a publication's script; None where it does not."""
    if not pair.target.any():
        return not_applicable("silent target: the published code stops")
    if not pair.estimate.any():
        return Score.undefined("silent estimate: the published code stops")
    return None


def scoring_rate(signals: Signals, rates: Sequence[int]) -> int:
    """The trial's own rate where it is one of ``rates``, else the first of these."""
    return signals.sample_rate if signals.sample_rate in rates else rates[0]
