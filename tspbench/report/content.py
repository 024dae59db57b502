"""What the pages of a report say, as plain JSON values: the overview, and pages of trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tspbench import decode
from tspbench.environment import version
from tspbench.metrics import Metric, Status
from tspbench.report.runs import Runs, Shown
from tspbench.report.words import Mark, marks
from tspbench.task import Task
from tspbench.types import Role, Trial

PER_PAGE = 100
"""Trials whose details share a file."""

DIGITS = 6


def overview(runs: Runs, task: Task | None, playable: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    """All that is needed before a trial is opened; per-trial values are columns in the order of ``trials.ids``."""
    places = {trial_id: i for i, trial_id in enumerate(runs.trial_ids)}
    return {
        "schema": 1,
        "id": decode.digest([shown.run.record["identity"] for shown in runs.shown])[:16],
        "made_by": f"tspbench {version()}",
        "task": _task(runs),
        "notes": list(notes),
        "systems": [_system(shown) for shown in runs.shown],
        "metrics": [_metric(runs, metric) for metric in runs.metrics],
        "summary": {shown.label: _rounded(shown.run.summary["metrics"]) for shown in runs.shown},
        "per_page": PER_PAGE,
        "trials": {
            "ids": list(runs.trial_ids),
            "queries": _queries(runs, task),
            "conditions": _conditions(runs),
            "status": {shown.label: _statuses(shown, runs.trial_ids) for shown in runs.shown},
            "values": {shown.label: _values(shown, runs) for shown in runs.shown},
            "lost": {shown.label: _lost(shown, places) for shown in runs.shown},
            "playable": sorted(places[trial_id] for trial_id in playable),
        },
    }


def pages(runs: Runs, task: Task | None) -> Iterator[list[dict[str, Any]]]:
    """The details of the trials, ``PER_PAGE`` at a time, in the order of ``runs.trial_ids``."""
    for start in range(0, len(runs.trial_ids), PER_PAGE):
        ids = runs.trial_ids[start : start + PER_PAGE]
        yield [_details(runs, trial_id, task.trial(trial_id) if task else None) for trial_id in ids]


def _task(runs: Runs) -> dict[str, Any]:
    record = runs.shown[0].run.record
    return {
        **record["identity"]["task"],
        "sample_rate": record["identity"]["protocol"]["sample_rate"],
        "synthetic": record["synthetic"],
    }


def _system(shown: Shown) -> dict[str, Any]:
    record = shown.run.record
    plain = ("role", "status", "created", "aligned", "side_information", "identity", "code", "environment", "hardware",
             "counts", "wall_time_s", "run_id")  # fmt: skip
    return {"label": shown.label, **{name: record.get(name) for name in plain}}


def _metric(runs: Runs, metric: Metric) -> dict[str, Any]:
    """A metric's declaration; what the run folders recorded of it comes from there."""
    plain = ("id", "summary", "formula", "unit", "higher_is_better", "silence", "citation")
    records = (record for shown in runs.shown for record in shown.run.record["metrics"])
    recorded = next(record for record in records if record["id"] == metric.id)
    return {name: getattr(metric, name) for name in plain} | {"range": list(metric.bounds)} | dict(_rounded(recorded))


def _queries(runs: Runs, task: Task | None) -> list[str]:
    """What a list of trials shows of each: the text of its query, or who is to be listened to."""
    if task is None:
        return [""] * len(runs.trial_ids)
    known = {trial.trial_id: _query_line(trial) for trial in task}
    return [known.get(trial_id, "") for trial_id in runs.trial_ids]


def _query_line(trial: Trial) -> str:
    if trial.query.text:
        return trial.query.text
    speaker = next((clip.speaker for clip in trial.query.enrolment if clip.speaker), None)
    return " · ".join(filter(None, [speaker, trial.transcript]))


def _conditions(runs: Runs) -> dict[str, list[Any]]:
    rows = [runs.trial(trial_id)["conditions"] for trial_id in runs.trial_ids]
    return {name: [row.get(name) for row in rows] for name in sorted({name for row in rows for name in row})}


def _statuses(shown: Shown, ids: Sequence[str]) -> list[str | None]:
    return [shown.trials[trial_id]["status"] if trial_id in shown.trials else None for trial_id in ids]


def _values(shown: Shown, runs: Runs) -> dict[str, list[float | None]]:
    return {
        metric: [_rounded(lines.get(trial_id, {}).get("value")) for trial_id in runs.trial_ids]
        for metric, lines in shown.scores.items()
    }


def _lost(shown: Shown, places: Mapping[str, int]) -> dict[str, list[int]]:
    """The trials whose score is undefined or failed: worse than any value."""
    worse = (Status.UNDEFINED, Status.FAILED)
    return {
        metric: sorted(places[trial_id] for trial_id, line in lines.items() if line["status"] in worse)
        for metric, lines in shown.scores.items()
    }


def _details(runs: Runs, trial_id: str, trial: Trial | None) -> dict[str, Any]:
    return {
        "id": trial_id,
        "duration_s": runs.trial(trial_id).get("duration_s"),
        "clusters": runs.trial(trial_id)["clusters"],
        **(_recipe(trial) if trial else {}),
        "systems": {shown.label: _answer(shown, trial_id, trial) for shown in runs.shown if trial_id in shown.trials},
    }


def _recipe(trial: Trial) -> dict[str, Any]:
    return {
        "text": trial.query.text,
        "negative_text": trial.query.negative_text,
        "transcript": trial.transcript,
        "target_present": trial.target_present,
        "sources": [
            {"role": source.role.value, "label": source.label, "speaker": source.speaker,
             "transcript": source.transcript}
            for source in trial.sources
        ],
    }  # fmt: skip


def _answer(shown: Shown, trial_id: str, trial: Trial | None) -> dict[str, Any]:
    row = shown.trials[trial_id]
    scores = {metric: lines[trial_id] for metric, lines in shown.scores.items() if trial_id in lines}
    error = row["error"] or {}
    return {
        "status": row["status"],
        "error": [error.get("type"), error.get("message")] if error else None,
        "output": _rounded(row["output"]),
        "compute_s": _rounded(row["time"].get("compute_s")),
        "text": row["text"],
        "words": _words(row["text"], trial),
        "reasons": {metric: line["reason"] for metric, line in scores.items() if line["reason"]},
        "counts": {metric: line["counts"] for metric, line in scores.items() if line.get("counts")},
    }


def _words(text: str | None, trial: Trial | None) -> list[Mark] | None:
    if text is None or trial is None or trial.transcript is None:
        return None
    others = [source.transcript for source in trial.sources if source.role is not Role.TARGET and source.transcript]
    try:
        return marks(trial.transcript, text, others)
    except ValueError:  # too long to be aligned: shown as it is
        return None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
