"""The table of latency and throughput: one cell per length and batch size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tspbench.profile.subject import Failed, Subject
from tspbench.profile.timing import Lap, fine_enough, median_interval, percentile

REFERENCE_S = 10.0
BURST_S = 0.25
FEWEST = 10
FEWEST_ALONE = 100
"""Repeats that a batch of 1 is given where the time allows: below that there is no 99th percentile."""


@dataclass(frozen=True)
class Cell:
    """``size`` excerpts of ``seconds`` in one call."""

    seconds: float
    size: int

    @property
    def audio_s(self) -> float:
        return self.seconds * self.size


@dataclass(frozen=True)
class Row:
    """What one cell gave. ``status``: ok, failed, or left_out for want of time (or memory); ``reason`` unless ok.

    ``warmed_up`` is False where the time was enough for one call only. The
    interval of the median needs six repeats, ``p95_s`` twenty, ``p99_s`` a
    hundred. ``rtf`` is seconds of computing per second of audio. Memory: the
    high-water marks of this cell alone.
    """

    seconds: float
    batch: int
    status: str
    reason: str = ""
    repeats: int = 0
    warmed_up: bool = True
    p50_s: float | None = None
    p50_low_s: float | None = None
    p50_high_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    device_p50_s: float | None = None
    rtf: float | None = None
    throughput_x: float | None = None
    peak_cpu_bytes: int | None = None
    peak_gpu_torch_bytes: int | None = None
    peak_gpu_driver_bytes: int | None = None
    times: tuple[float, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status == "ok"


class Skipped(Exception):
    """Something is not measured; the message says why."""


def reference_row(rows: Sequence[Row]) -> Row:
    """The row that single figures are read off: batch 1, 10 s or the longest measured below it, else the shortest."""
    alone = [row for row in rows if row.ok and row.batch == 1] or [row for row in rows if row.ok]
    below = [row for row in alone if row.seconds <= REFERENCE_S]
    return max(below, key=lambda row: row.seconds) if below else min(alone, key=lambda row: row.seconds)


def cells(seconds: Sequence[float], sizes: Sequence[int]) -> list[Cell]:
    """Every length with every batch size (1 always among them), cheapest first."""
    grid = [Cell(length, size) for length in sorted(set(seconds)) for size in sorted({1, *sizes})]
    return sorted(grid, key=lambda cell: (cell.audio_s, cell.size))


def reference_length(seconds: Sequence[float]) -> float:
    """The length that single figures stand for: the longest up to 10 s, else the shortest."""
    return max((length for length in seconds if length <= REFERENCE_S), default=min(seconds))


def measure(subject: Subject, plan: Sequence[Cell], budget_s: float, done: Callable[[int], None]) -> Iterator[Row]:
    """Measure cell after cell within about ``budget_s`` seconds; the first is always measured.

    Each cell gets its share of the time left; what a cheap one leaves over
    goes to the others. A cell of which a single call would take more time than
    is left is left out, and so is one that is larger in length and batch than
    one that ran out of memory.
    """
    end = time.monotonic() + budget_s
    rate = 0.0
    starved: list[Cell] = []
    for number, cell in enumerate(plan):
        left = end - time.monotonic()
        smaller = next((c for c in starved if c.seconds <= cell.seconds and c.size <= cell.size), None)
        if smaller is not None:
            row = _left_out(cell, f"{smaller.seconds:g} s x {smaller.size} ran out of memory already")
        elif number and rate * cell.audio_s > left:
            takes = f"one call would take about {_about(rate * cell.audio_s)} s" if left > 0 else "the time was used up"
            row = _left_out(cell, f"{takes}; raise --budget")
        else:
            reserve = _reserve(plan[number + 1 :], rate, left)
            row = measure_cell(subject, cell, _share(plan, number) * (left - reserve), starved)
        if row.p50_s is not None:
            rate = row.p50_s / cell.audio_s
        yield row
        done(number + 1)


def measure_cell(subject: Subject, cell: Cell, share_s: float, starved: list[Cell]) -> Row:
    """One warm-up call, then repeats until the median is known well or the share of time is used up."""
    end = time.monotonic() + share_s
    try:
        subject.ask("start_over")
        warm_up = subject.burst(cell.seconds, cell.size, 1, 0.0)
        laps: list[Lap] = []
        fewest = FEWEST_ALONE if cell.size == 1 else FEWEST
        while time.monotonic() < end and not fine_enough([lap.wall_s for lap in laps], fewest):
            most_s = min(BURST_S, end - time.monotonic())
            laps += subject.burst(cell.seconds, cell.size, fewest, most_s)
        used = subject.memory()
        driver = subject.driver_bytes()[0] if subject.device == "cuda" else None
    except Failed as failure:
        if failure.memory:
            starved.append(cell)
        return Row(cell.seconds, cell.size, "failed", reason=str(failure))
    return _row(cell, laps or warm_up, bool(laps), (used.rss_peak, used.gpu_torch_peak, driver))


def _row(cell: Cell, laps: Sequence[Lap], warmed_up: bool, peaks: tuple[int | None, int | None, int | None]) -> Row:
    times = tuple(lap.wall_s for lap in laps)
    device = [lap.device_s for lap in laps if lap.device_s is not None]
    median = float(np.median(times))
    low, high = median_interval(times) or (None, None)
    return Row(
        seconds=cell.seconds,
        batch=cell.size,
        status="ok",
        repeats=len(times),
        warmed_up=warmed_up,
        p50_s=median,
        p50_low_s=low,
        p50_high_s=high,
        p95_s=percentile(times, 95),
        p99_s=percentile(times, 99),
        device_p50_s=float(np.median(device)) if device else None,
        rtf=median / cell.audio_s,
        throughput_x=cell.audio_s / median,
        peak_cpu_bytes=peaks[0],
        peak_gpu_torch_bytes=peaks[1],
        peak_gpu_driver_bytes=peaks[2],
        times=times,
    )


def _about(seconds: float) -> str:
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def _left_out(cell: Cell, reason: str) -> Row:
    return Row(cell.seconds, cell.size, "left_out", reason=reason)


def _reserve(later: Sequence[Cell], rate: float, left: float) -> float:
    """Up to half of the time left: a warm-up and one repeat of the cells to come, the cheap ones first."""
    costs = np.cumsum([2 * rate * cell.audio_s for cell in later])
    return float(max((cost for cost in costs if cost <= left / 2), default=0.0))


def _share(plan: Sequence[Cell], number: int) -> float:
    """Of the time left: a batch of 1 weighs three times as much as others, for its tail is wanted."""
    weights = [3.0 if cell.size == 1 else 1.0 for cell in plan[number:]]
    return weights[0] / sum(weights)
