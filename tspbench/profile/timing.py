"""Clocks, and when enough has been timed."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_REPEATS = 1000
FINE_ENOUGH = 0.02
"""Half of the median's 95 % interval over the median: below it more repeats add nothing."""
FEWEST_FOR = {95: 20, 99: 100}
"""Repeats below which a percentile would be the maximum by another name."""


@dataclass(frozen=True)
class Lap:
    """Seconds of one call: on the wall clock, and between two CUDA events (None on the CPU)."""

    wall_s: float
    device_s: float | None = None


class Stopwatch:
    """Times calls whose work may still be under way on a GPU when they return.

    Parameters
    ----------
    cuda
        ``torch.cuda``, or None on the CPU. With it, the device is synchronised
        before and after, and two events on its stream are timed as well.
    """

    def __init__(self, cuda: Any = None) -> None:
        self._cuda = cuda

    def time(self, call: Callable[[], object]) -> Lap:
        if self._cuda is None:
            start = time.perf_counter()
            call()
            return Lap(time.perf_counter() - start)
        begin, end = (self._cuda.Event(enable_timing=True) for _ in range(2))
        self._cuda.synchronize()
        start = time.perf_counter()
        begin.record()
        call()
        end.record()
        self._cuda.synchronize()
        return Lap(time.perf_counter() - start, begin.elapsed_time(end) / 1000)


def percentile(times: Sequence[float], percent: int) -> float | None:
    """A percentile by linear interpolation; None with too few repeats for it."""
    if len(times) < FEWEST_FOR.get(percent, 1):
        return None
    return float(np.percentile(times, percent))


def median_interval(times: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the median, by order statistics; None with fewer than six values.

    Assumes nothing of the distribution (Conover, Practical Nonparametric
    Statistics, 3rd ed., section 3.2).
    """
    rank = _rank(len(times))
    if rank is None:
        return None
    ordered = sorted(times)
    return ordered[rank - 1], ordered[-rank]


@functools.cache
def _rank(count: int) -> int | None:
    """The largest r with P(Binomial(count, 1/2) < r) <= 2.5 %; None when there is none."""
    below, rank = 0, 0
    while 40 * (below := below + math.comb(count, rank)) <= 2**count:
        rank += 1
    return rank or None


def fine_enough(times: Sequence[float], fewest: int) -> bool:
    """Has a cell been repeated often enough? ``fewest`` repeats, and a median that is known to 2 %."""
    if len(times) >= MOST_REPEATS:
        return True
    interval = median_interval(times) if len(times) >= fewest else None
    if interval is None:
        return False
    return (interval[1] - interval[0]) / 2 <= FINE_ENOUGH * float(np.median(times))
