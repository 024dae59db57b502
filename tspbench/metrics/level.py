"""The level at which an estimate is heard by a metric that level sways (DNSMOS, recognisers).

Scale-invariant training leaves the gain of an output arbitrary, and DNSMOS
and recognisers react to it, so a level must be set before they listen.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tspbench.metrics.signals import Signals
from tspbench.types import Audio

Policy = Literal["matched", "raw"]

FRAME_S = 0.02
ACTIVE_RANGE_DB = 40.0


def leveled(signals: Signals, rate: int, policy: Policy) -> Audio | None:
    """The estimate at ``rate`` Hz and at the level of ``policy``; None for a silent one.

    ``raw`` is the estimate as it came. ``matched`` is :func:`matched_gain` times
    the estimate. Peaks above 1 stay: nothing is clipped.
    """
    return signals.memo(("leveled estimate", rate, policy), lambda: _leveled(signals, rate, policy))


def matched_gain(estimate: Audio, mixture: Audio, target: Audio | None, rate: int) -> float:
    """The positive gain that puts an estimate at its due level.

    With a target (and a sample-aligned estimate) the estimate's projection on
    it gets the target's level, gain = ||s||^2 / |<e, s>|, so that the mixture
    keeps its own level. The gain stops where the estimate reaches the mixture's
    energy: an estimate that hardly holds the target would blow up.

    Without one (``target`` None or silent) the estimate gets the mixture's
    :func:`active_level`. A silent mixture sets no level: gain 1.
    """
    if target is not None and target.any():
        e, s, x = (np.asarray(signal, dtype=np.float64) for signal in (estimate, target, mixture))
        ceiling = float(np.sqrt((x @ x) / (e @ e)))
        overlap = abs(float(e @ s))
        return min(float(s @ s) / overlap, ceiling) if overlap else ceiling
    level = active_level(mixture, rate)
    return level / active_level(estimate, rate) if level else 1.0


def active_level(samples: Audio, rate: int) -> float:
    """RMS over the 20 ms frames that lie within 40 dB of the loudest frame; 0 for silence.

    The last frame may be shorter: it counts with the samples it has.
    """
    frame = max(1, round(FRAME_S * rate))
    energy = np.asarray(samples, dtype=np.float64) ** 2
    starts = np.arange(0, energy.size, frame)
    sums = np.add.reduceat(energy, starts) if energy.size else np.zeros(0)
    sizes = np.diff(np.append(starts, energy.size))
    power = sums / sizes
    if not power.any():
        return 0.0
    active = power >= power.max() * 10 ** (-ACTIVE_RANGE_DB / 10)
    return float(np.sqrt(sums[active].sum() / sizes[active].sum()))


def _leveled(signals: Signals, rate: int, policy: Policy) -> Audio | None:
    estimate = signals.at("estimate", rate)
    if not estimate.any():
        return None
    if policy == "raw":
        return estimate
    target = signals.at("target", rate) if signals.aligned and signals.target is not None else None
    gain = matched_gain(estimate, signals.at("mixture", rate), target, rate)
    scaled: Audio = (estimate * gain).astype(np.float32)
    return scaled
