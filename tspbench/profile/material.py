"""What a system is profiled on: trials of a task, repeated or cut to any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.activity import frames_of
from tspbench.errors import UsageError
from tspbench.runner import request as ask
from tspbench.runner.answers import SystemInfo
from tspbench.system import Card
from tspbench.task import Task, TaskInfo, load_task, ready_tasks
from tspbench.types import Audio, Query, Trial, Truth

MOST_TRIALS = 4
"""Trials that take turns in a batch: queries of one length only would flatter."""


@dataclass(frozen=True)
class Excerpt:
    """One trial at the system's rate: mixture (T,), target (T,) or None, query."""

    trial_id: str
    mixture: Audio
    target: Audio | None
    query: Query

    def lasting(self, samples: int) -> Excerpt:
        """The same trial repeated or cut to ``samples``; enrolments and examples stay as they are."""
        frames = frames_of(samples, self.query.sample_rate)
        query = with_truth(self.query, lambda signal: repeated(signal, samples))
        return Excerpt(
            trial_id=self.trial_id,
            mixture=repeated(self.mixture, samples),
            target=None if self.target is None else repeated(self.target, samples),
            query=with_mask(query, lambda mask: repeated(mask, frames)),
        )


@dataclass(frozen=True)
class Material:
    """Excerpts and their rate in Hz; small, so that a child process can hold it beside the system."""

    task: str
    sample_rate: int
    excerpts: tuple[Excerpt, ...]

    def samples(self, seconds: float) -> int:
        return max(1, round(seconds * self.sample_rate))

    def batch(self, seconds: float, size: int) -> tuple[Audio, npt.NDArray[np.int64], list[Query]]:
        """Mixtures (B, T), lengths (B,) and queries, newly made: a system may write into them."""
        samples = self.samples(seconds)
        mixtures = np.empty((size, samples), dtype=np.float32)
        queries = []
        for row in range(size):
            excerpt = self.excerpts[row % len(self.excerpts)].lasting(samples)
            mixtures[row] = excerpt.mixture
            queries.append(excerpt.query)
        return mixtures, np.full(size, samples, dtype=np.int64), queries


def repeated(signal: Audio, samples: int) -> Audio:
    """The last axis repeated or cut to ``samples``."""
    times = -(-samples // signal.shape[-1])
    return np.ascontiguousarray(np.tile(signal, times)[..., :samples])


def with_truth(query: Query, change: Callable[[Audio], Audio]) -> Query:
    """A query whose truth, if it holds one, is changed along with its mixture."""
    if query.truth is None:
        return query
    return replace(query, truth=Truth(change(query.truth.target), change(query.truth.interferers)))


def with_mask(query: Query, change: Callable[[Audio], Audio]) -> Query:
    """A query whose activity mask, if it holds one, is changed along with its mixture."""
    return query if query.activity_mask is None else replace(query, activity_mask=change(query.activity_mask))


def choose_task(name: str | None, info: SystemInfo, card: Card | None, data_root: Path | None = None) -> Task:
    """The task that was asked for, or the first that needs no preparation and can serve the system.

    Raises
    ------
    UsageError
        The task does not fit the system, or no bundled one does.
    """
    if name is not None:
        task = load_task(name, data_root, available=True)
        ask.refuse_misfits(task, info, card)
        return task
    problems = []
    for ready in (cell for info in ready_tasks() for cell in _cells(info)):
        task = load_task(ready)
        try:
            ask.refuse_misfits(task, info, card)
        except UsageError as error:
            problems.append(str(error))
        else:
            return task
    raise UsageError(f"No bundled task can serve {info.label!r}; choose one with --task. {' '.join(problems)}")


def _cells(info: TaskInfo) -> list[str]:
    """A task as it is by default, then under each other choice of an option."""
    others = [(o.name, choice) for o in info.options for choice in o.choices if choice != o.default]
    return [info.name, *(f"{info.name}[{name}={choice}]" for name, choice in others)]


def gather(task: Task, info: SystemInfo) -> Material:
    """The first trials of a task that have a target, rendered at the system's rate."""
    rate = info.sample_rate or task.info.sample_rate
    excerpts = tuple(_excerpt(task, trial, info, rate) for trial in _chosen(task))
    return Material(task.info.name, rate, excerpts)


def _chosen(task: Task) -> Iterator[Trial]:
    with_target = [trial for trial in task if trial.target_present][:MOST_TRIALS]
    yield from with_target or list(task)[:MOST_TRIALS]


def _excerpt(task: Task, trial: Trial, info: SystemInfo, rate: int) -> Excerpt:
    rendered = task.stage.render(trial)
    target = rendered.target
    return Excerpt(
        trial_id=trial.trial_id,
        mixture=audio.resample(rendered.mixture, rendered.sample_rate, rate),
        target=None if target is None else audio.resample(target, rendered.sample_rate, rate),
        query=task.stage.query(trial, info.queries, rate, rendered),
    )
