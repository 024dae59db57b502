"""What a report plays: which trials, and their signals as FLAC at the level at which they are heard."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.metrics import Status
from tspbench.metrics.level import matched_gain
from tspbench.report.runs import Runs, Shown
from tspbench.runner.workbench import input_digest
from tspbench.task import Task
from tspbench.types import Audio, QueryKind, Rendered, Trial

SOUNDS = frozenset({QueryKind.AUDIO, QueryKind.NEGATIVE_AUDIO, QueryKind.ENROLMENT})
FULL_SCALE = 0.999
"""Peaks of what is encoded: 16 bits are used whole, and the page scales back."""


def choose(runs: Runs, limit: int | None) -> list[str]:
    """The trials that can be listened to: the worst half and an even spread over the others.

    Worst is by the first metric, of the systems (bounds aside), undefined
    scores first. Trials of which an estimate was kept come before the others.
    """
    ranked = _worst_first(runs)
    if limit is None or limit >= len(ranked):
        return ranked
    kept = [trial_id for trial_id in ranked if any(shown.estimate(trial_id) for shown in runs.shown)]
    chosen = _spread(kept, limit)
    others = [trial_id for trial_id in ranked if trial_id not in set(kept)]
    return chosen + _spread(others, limit - len(chosen))


def _worst_first(runs: Runs) -> list[str]:
    metric = runs.metrics[0]
    sign = 1.0 if metric.higher_is_better else -1.0

    def rank(trial_id: str) -> float:
        lines = [shown.scores.get(metric.id, {}).get(trial_id) for shown in runs.ranked]
        asked = [line for line in lines if line and line["status"] != Status.NOT_APPLICABLE]
        values = [-np.inf if line["value"] is None else sign * line["value"] for line in asked]
        return float(min(values, default=np.inf))

    return sorted(runs.trial_ids, key=lambda trial_id: (rank(trial_id), trial_id))


def _spread(ranked: Sequence[str], limit: int) -> list[str]:
    """The first half of ``limit`` from the front, the rest at even distances over what remains."""
    if limit >= len(ranked):
        return list(ranked)
    worst = (limit + 1) // 2
    rest = ranked[worst:]
    places = {round(float(place)) for place in np.linspace(0, len(rest) - 1, limit - worst)}
    return [*ranked[:worst], *(rest[place] for place in sorted(places))]


@dataclass(frozen=True)
class Sounds:
    """The signals of one trial, and what could not be had of them."""

    signals: list[dict[str, Any]]
    rate: int
    problems: list[str]

    def payload(self) -> dict[str, Any]:
        return {"rate": self.rate, "signals": self.signals, "problems": self.problems}


def sounds(runs: Runs, task: Task | None, trial_id: str) -> Sounds:
    """Mixture, target, query and the estimates that were kept of one trial.

    Without the task there are estimates only, at their own level.
    """
    rate = int(runs.shown[0].run.record["identity"]["protocol"]["sample_rate"])
    problems: list[str] = []
    rendered, signals = None, []
    if task is not None:
        trial = task.trial(trial_id)
        rendered = _rendered(runs, task, trial, problems)
        signals = list(_truth(task, trial, rendered, rate)) if rendered else []
    for shown in runs.shown:
        samples = _kept(shown, trial_id, rendered, rate, problems)
        twin = _twin(samples, rendered)
        if twin is not None:
            next(signal for signal in signals if signal["kind"] == twin).setdefault("also", []).append(shown.label)
        elif samples is not None:
            signals.append(_signal("estimate", shown.label, samples, rate, _gain(shown, samples, rendered)))
    return Sounds(signals, rate, problems)


def _rendered(runs: Runs, task: Task, trial: Trial, problems: list[str]) -> Rendered | None:
    """The trial as samples, if they are those that the systems heard."""
    try:
        rendered = task.stage.render(trial)
    except UsageError as error:
        problems.append(f"The mixture cannot be made: {error}")
        return None
    if runs.trial(trial.trial_id)["input_digest"] not in (None, input_digest(trial, rendered)):
        problems.append("The mixture as it is made here is not the one that the systems heard: it is left out.")
        return None
    return rendered


def _truth(task: Task, trial: Trial, rendered: Rendered, rate: int) -> Iterator[dict[str, Any]]:
    yield _signal("mixture", "mixture", rendered.mixture, rate)
    if rendered.target is not None:
        yield _signal("target", "target", rendered.target, rate)
    query = task.stage.query(trial, SOUNDS, rate, rendered)
    names = {"audio": "example", "negative_audio": "negative example", "enrolment": "enrolment"}
    for kind, name in names.items():
        clips: tuple[Audio, ...] = getattr(query, kind)
        for i, clip in enumerate(clips, start=1):
            yield _signal("query", f"{name} {i}" if len(clips) > 1 else name, clip, rate)


def _kept(shown: Shown, trial_id: str, rendered: Rendered | None, rate: int, problems: list[str]) -> Audio | None:
    """The estimate of a trial that was kept, at the task's rate and the mixture's length."""
    path = shown.estimate(trial_id)
    if path is None:
        return None
    try:
        samples, own_rate = audio.read(path)
    except UsageError as error:
        problems.append(f"{shown.label}: {error}")
        return None
    output = shown.trials.get(trial_id, {}).get("output") or {}
    if output.get("digest") not in (None, audio.digest(samples)):
        problems.append(f"{shown.label}: the estimate on disk is not the one that was scored; it is left out.")
        return None
    samples = audio.resample(samples, own_rate, rate)
    return samples if rendered is None else audio.fit(samples, len(rendered.mixture))


def _twin(samples: Audio | None, rendered: Rendered | None) -> str | None:
    """``mixture`` or ``target``, if that is what an estimate is: it need not be stored again."""
    if samples is None or rendered is None:
        return None
    if np.array_equal(samples, rendered.mixture):
        return "mixture"
    return "target" if rendered.target is not None and np.array_equal(samples, rendered.target) else None


def _gain(shown: Shown, estimate: Audio, rendered: Rendered | None) -> float:
    """What puts an estimate at its due level; where the target is absent its own level is what counts."""
    if rendered is None or rendered.target is None or not estimate.any():
        return 1.0
    target = rendered.target if shown.run.record["aligned"] else None
    return matched_gain(estimate, rendered.mixture, target, rendered.sample_rate)


def _signal(kind: str, name: str, samples: Audio, rate: int, gain: float = 1.0) -> dict[str, Any]:
    """FLAC of the samples at full scale; times ``scale`` they are at the level at which they are heard."""
    peak = float(np.abs(samples).max(initial=0.0))
    encoded = io.BytesIO()
    soundfile.write(encoded, samples * (FULL_SCALE / peak if peak else 1.0), rate, format="FLAC", subtype="PCM_16")
    return {
        "kind": kind,
        "name": name,
        "gain": float(f"{gain:.6g}"),
        "scale": float(f"{(peak / FULL_SCALE if peak else 1.0) * gain:.9g}"),
        "samples": len(samples),
        "flac": base64.b64encode(encoded.getbuffer()).decode(),
    }
