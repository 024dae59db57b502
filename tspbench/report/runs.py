"""The runs of a report: read once, and refused where they do not belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench import decode
from tspbench.errors import CannotMeasure, OtherIdentity, UsageError
from tspbench.metrics import Metric, resolve
from tspbench.results import Run, load_run
from tspbench.store import read_lines

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """A run as the report shows it; ``label`` is its own among the runs.

    ``trials`` by trial id, ``scores`` by metric and then trial id: the lines of
    the run folder.
    """

    label: str
    run: Run
    trials: Mapping[str, Row]
    scores: Mapping[str, Mapping[str, Row]]

    @property
    def is_bound(self) -> bool:
        return bool(self.run.record["role"] == "bound")

    def estimate(self, trial_id: str) -> Path | None:
        """The waveform that was kept of a trial, if it was."""
        path = self.run.path / "audio" / f"{trial_id}.wav"
        return path if path.exists() else None


@dataclass(frozen=True)
class Runs:
    """Runs of one trial list. ``metrics`` and ``trial_ids`` are those of any of them."""

    shown: tuple[Shown, ...]
    metrics: tuple[Metric, ...]
    trial_ids: tuple[str, ...]

    @property
    def task(self) -> Row:
        task: Row = self.shown[0].run.record["identity"]["task"]
        return task

    @property
    def ranked(self) -> tuple[Shown, ...]:
        """The systems; the bounds where nothing else was run."""
        return tuple(shown for shown in self.shown if not shown.is_bound) or self.shown

    def trial(self, trial_id: str) -> Row:
        """The line of a trial in the first run that has it."""
        return next(shown.trials[trial_id] for shown in self.shown if trial_id in shown.trials)


def read_runs(paths: Sequence[Path]) -> Runs:
    """Read run folders that belong into one report.

    Raises
    ------
    UsageError
        A folder holds no run, or one is named twice.
    OtherIdentity
        Their trial lists, or the versions of a metric, are not the same; the message says what differs.
    CannotMeasure
        No trial was attempted in any of them.
    """
    if not paths:
        raise UsageError("No run is named. Give one or several run folders: tspbench report runs/TASK/SYSTEM-…")
    twice = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice.")
    runs = [load_run(path) for path in paths]
    differences = [line for run in runs[1:] for line in _differences(runs[0], run)]
    if differences:
        raise OtherIdentity("These runs cannot stand in one report. What differs:\n" + "\n".join(differences))
    shown = tuple(_read(label, run) for label, run in zip(_labels(runs), runs, strict=True))
    ids = tuple(dict.fromkeys(trial_id for each in shown for trial_id in sorted(each.trials)))
    if not ids:
        raise CannotMeasure("No trial was attempted in these runs: there is nothing to report.")
    metrics = dict.fromkeys(metric["id"] for run in runs for metric in run.record["metrics"])
    return Runs(shown, tuple(resolve(metric_id) for metric_id in metrics), ids)


def _read(label: str, run: Run) -> Shown:
    trials = {row["trial_id"]: row for row in read_lines(run.path / "trials.jsonl")}
    scores: dict[str, dict[str, Row]] = {metric["id"]: {} for metric in run.record["metrics"]}
    for row in read_lines(run.path / "scores.jsonl"):
        if row["metric"] in scores and row["trial_id"] in trials:
            scores[row["metric"]][row["trial_id"]] = row
    return Shown(label, run, trials, scores)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names; the options that tell runs of one name apart, or else the folders, in brackets."""
    systems = [run.record["identity"]["system"] for run in runs]
    names = [str(system["name"]) for system in systems]
    varied = [f"{name} [{_options(system, systems)}]" for name, system in zip(names, systems, strict=True)]
    chosen = [full if names.count(name) > 1 else name for name, full in zip(names, varied, strict=True)]
    return [
        f"{label} ({run.path.name})" if chosen.count(label) > 1 else label
        for label, run in zip(chosen, runs, strict=True)
    ]


def _options(system: Row, systems: Sequence[Row]) -> str:
    """The options of a system that are not the same in all runs of its name."""
    rivals = [other["options"] for other in systems if other["name"] == system["name"]]
    own = system["options"]
    telling = [key for key in own if any(other.get(key) != own[key] for other in rivals)]
    return ", ".join(f"{key}={own[key]}" for key in telling) or "same options"


def _differences(first: Run, other: Run) -> Iterator[str]:
    """What forbids that two runs share a table: another trial list, another definition of a metric."""
    pair = f"{first.path} and {other.path}"
    for what, one, two in _compared(first.record, other.record):
        if decode.canonical(one) != decode.canonical(two):
            yield f"  {pair}: {what}: {_short(one)} and {_short(two)}"


def _compared(one: Row, two: Row) -> Iterator[tuple[str, Any, Any]]:
    task, other = one["identity"]["task"], two["identity"]["task"]
    for key in sorted({*task, *other} - {"of"}):  # how many were not at hand follows from the trial list
        yield f"task.{key}", task.get(key), other.get(key)
    there = {metric["id"]: metric for metric in one["metrics"]}
    for metric in two["metrics"]:
        known = there.get(metric["id"], metric)
        for key in ("version", "parameters", "instrument"):
            yield f"metric {metric['id']}.{key}", known.get(key), metric.get(key)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
