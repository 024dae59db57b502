"""How long a system waits between batches in a run: the run's own loop, on trials of the task."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench import environment
from tspbench.baselines import Baselines
from tspbench.errors import TspbenchError
from tspbench.metrics import resolve
from tspbench.profile.latency import Row, Skipped, reference_row
from tspbench.profile.subject import Subject
from tspbench.runner.engine import Engine
from tspbench.runner.keep import Keeper
from tspbench.runner.lengths import planned_batches
from tspbench.runner.orders import Orders
from tspbench.runner.process import Child
from tspbench.runner.spool import Spool
from tspbench.runner.workbench import Setting, Workbench
from tspbench.store import RunFolder, read_lines
from tspbench.task import Task

FEWEST, ENOUGH = 4, 24
"""Batches."""


@dataclass(frozen=True)
class Pipeline:
    """Seconds that a system computed and waited over ``batches`` batches in a row, the wait before the first left out.

    ``idle_share`` is of both together. ``workers`` processes rendered and scored beside it.
    """

    batch: int
    batches: int
    metric: str
    workers: int
    compute_s: float
    idle_s: float
    idle_share: float


def measure_pipeline(subject: Subject, task: Task, rows: Sequence[Row], budget_s: float) -> Pipeline:
    """Run part of a task with a loaded system and see how long it had to wait.

    Raises
    ------
    Skipped
        Fewer than :data:`FEWEST` batches are there, or within ``budget_s``; or the run broke off.
    """
    size, count = _extent(task, rows, budget_s)
    some = task.limited(size * count)
    with tempfile.TemporaryDirectory() as name:
        try:
            lines = _run(subject, some, size, Path(name))
        except TspbenchError as error:
            raise Skipped(f"the run broke off: {error}") from error
    times = [line["time"] for line in lines if line["time"]["idle_s"] is not None]
    if not times:
        raise Skipped("no trial was answered")
    compute, idle = (sum(float(time[key]) for time in times) for key in ("compute_s", "idle_s"))
    workers = environment.cores()
    return Pipeline(size, count, task.info.metrics[0], workers, compute, idle, idle / (compute + idle))


def _extent(task: Task, rows: Sequence[Row], budget_s: float) -> tuple[int, int]:
    """The largest measured batch that the task has enough of, and how many of them to take."""
    reference = reference_row(rows)
    sizes = [row.batch for row in rows if row.ok and row.seconds == reference.seconds]
    size = max((size for size in sizes if len(task) >= FEWEST * size), default=0)
    if not size:
        raise Skipped(f"the task has fewer than {FEWEST} batches")
    (row,) = (row for row in rows if row.ok and (row.batch, row.seconds) == (size, reference.seconds))
    assert row.p50_s is not None
    count = min(ENOUGH, len(task) // size, int(budget_s / max(row.p50_s, 1e-6)))
    if count < FEWEST:
        raise Skipped(f"{FEWEST} batches of {size} would take longer than a quarter of --budget")
    return size, count


def _run(subject: Subject, task: Task, size: int, folder: Path) -> list[Mapping[str, Any]]:
    info, calls, metric = subject.info, subject.calls, resolve(task.info.metrics[0])
    setting = Setting(
        stage=task.stage,
        queries=info.queries,
        sample_rate=info.sample_rate or task.info.sample_rate,
        aligned=info.aligned,
        keep_enrolment=False,
    )
    orders = Orders(
        metrics=(metric,),
        batch_size=size,
        seed=calls.seed,
        device=subject.device,
        time_limit_s=subject.time_limit_s,
        words=calls.words,
        waveform=calls.waveform,
        aligned=info.aligned,
    )
    journal = RunFolder(folder / "run", {"identity": {}, "metrics": [{"id": metric.id, "version": metric.version}]})
    with ExitStack() as stack:
        stack.callback(journal.close)
        journal.begin()
        pool = [Child(Workbench, setting, background=True) for _ in range(environment.cores())]
        for child in pool:
            stack.callback(child.close)
        spool, keeper = Spool(folder / "spool"), Keeper("none", metric)
        with subject.lent() as system:
            engine = Engine(
                orders, task, journal, spool, system, pool, Baselines(folder), keeper, lambda _: None, loaded=True
            )
            engine.run(planned_batches(task, size))
    return list(read_lines(folder / "run" / "trials.jsonl"))
