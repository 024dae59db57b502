"""How long mixtures are, told from the headers of their recordings: for batches that are padded little."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from tspbench.errors import AudioError
from tspbench.runner.plan import Batch, batches
from tspbench.task import Task
from tspbench.types import Clip, Role, Source, Trial

Seconds = Callable[[Clip], float | None]
REMEMBERED = 4096
"""Recordings whose length is kept: a list that takes them in turns reads each header once."""


def planned_batches(task: Task, size: int) -> tuple[Batch, ...]:
    """The batches of a run. They depend on its identity alone, so that a resumed run has the same."""
    seconds = mixture_seconds(task, task.stage.reader) if size > 1 else ()
    return batches(task.ids, size, seconds)


def mixture_seconds(trials: Iterable[Trial], reader: Any) -> list[float]:
    """Seconds of every mixture; 0 where they are not known before it is made.

    A trial list may say them (condition ``mixture_s``); else the reader is
    asked that opens the recordings, if it can measure.
    """
    seconds = lru_cache(REMEMBERED)(_measured_by(reader))
    return [_of(trial, seconds) or 0.0 for trial in trials]


def _of(trial: Trial, seconds: Seconds) -> float | None:
    told = trial.conditions.get("mixture_s")
    if isinstance(told, int | float):
        return float(told)
    if trial.mixture is not None:
        return seconds(trial.mixture)
    if isinstance(trial.mix.length, int | float):
        return float(trial.mix.length)
    ends = {source: _end(source, seconds) for source in trial.sources if source.extend == "silence"}
    if trial.mix.length == "target":
        ends = {source: end for source, end in ends.items() if source.role is Role.TARGET} or ends
    known = [end for end in ends.values() if end is not None]
    return (min if trial.mix.length == "min" else max)(known, default=None)


def _end(source: Source, seconds: Seconds) -> float | None:
    found = seconds(source)
    return None if found is None else source.offset_s + found


def _measured_by(reader: Any) -> Seconds:
    measure: Callable[[Clip], tuple[int, int]] | None = getattr(reader, "measure", None)

    def seconds(clip: Clip) -> float | None:
        if measure is None:
            return clip.duration_s
        try:
            samples, rate = measure(clip)
        except AudioError:  # said again, with the trial's name, when it is to be heard
            return None
        return samples / rate

    return seconds
