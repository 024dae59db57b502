"""How cost grows with length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Growth:
    """``time ~ seconds ** exponent``.

    ``standard_error`` needs three lengths. ``between_longest`` is the exponent
    of the two longest lengths alone, where fixed costs weigh least.
    """

    exponent: float
    standard_error: float | None
    between_longest: float
    points: int


def fit(seconds: Sequence[float], times: Sequence[float]) -> Growth | None:
    """Least squares of log time over log length; None with fewer than two lengths.

    Standard error of the slope as in any regression of one variable: it says
    how well one power describes all lengths, not how well each was timed.
    """
    order = np.argsort(seconds)
    x, y = np.log(np.asarray(seconds, dtype=float)[order]), np.log(np.asarray(times, dtype=float)[order])
    if len(set(seconds)) < 2:
        return None
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residuals = y - y.mean() - slope * centred
    error = float(np.sqrt(residuals @ residuals / (len(x) - 2) / (centred @ centred))) if len(x) > 2 else None
    return Growth(slope, error, float((y[-1] - y[-2]) / (x[-1] - x[-2])), len(x))
