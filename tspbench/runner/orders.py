"""What a run is asked to do, and what the loop that drives it needs around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tspbench.errors import CannotMeasure
from tspbench.metrics import Metric, Score
from tspbench.store import FINISHED, TrialState
from tspbench.types import Trial


@dataclass(frozen=True)
class Orders:
    """What one run is asked to do with its trials."""

    metrics: tuple[Metric, ...]
    batch_size: int
    seed: int
    device: str
    time_limit_s: float
    words: bool
    waveform: bool
    aligned: bool = True


@dataclass
class Progress:
    """How a run stands, for whoever shows it."""

    total: int
    phase: str = "loading"
    answered: int = 0
    scored: int = 0
    failed: int = 0

    def count(self, states: Iterable[TrialState]) -> None:
        """Start from what is done already."""
        for state in states:
            self.answered += 1
            self.scored += state is FINISHED


class Trials(Protocol):
    """The trials of a run; a ``Task`` is such a thing."""

    @property
    def ids(self) -> list[str]: ...
    def __len__(self) -> int: ...
    def trial(self, trial_id: str) -> Trial: ...


class Journal(Protocol):
    """Where a run's lines go; a ``RunFolder`` is such a thing."""

    states: dict[str, TrialState]

    def kept(self, trial_id: str) -> Path: ...
    def add_trial(self, row: Mapping[str, Any]) -> None: ...
    def add_scores(self, trial_id: str, scores: Mapping[str, Score], baselines: Mapping[str, Score]) -> None: ...


class Known(Protocol):
    """Scores that depend on the trial alone; ``Baselines`` is such a thing."""

    def find(self, input_digest: str, metrics: Iterable[Metric]) -> dict[str, Score]: ...
    def add(self, input_digest: str, scores: Mapping[str, Score]) -> None: ...


class Outage(CannotMeasure):
    """Something broke that is neither the user's fault nor the system's: the run can go on later."""


class DiskFull(Outage):
    def __init__(self, message: str) -> None:
        super().__init__(f"The disk is full ({message}). Make room and give the same command again: the run goes on.")
