"""The lines that a trial leaves in the journal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tspbench.metrics import Score
from tspbench.runner.answers import Answer
from tspbench.runner.orders import Orders
from tspbench.runner.plan import at_hand, failure_scores
from tspbench.runner.workbench import RenderReport
from tspbench.types import QueryKind, Trial


def trial_row(trial: Trial, report: RenderReport | None, answer: Answer) -> dict[str, Any]:
    """A line of ``trials.jsonl``; ``report`` is None where the trial's audio could not be made."""
    return {
        "trial_id": trial.trial_id,
        "status": answer.status,
        "error": asdict(answer.failure) if answer.failure else None,
        "input_digest": report.input_digest if report else None,
        "duration_s": report.seconds if report else None,
        "output": asdict(answer.output) if answer.output else None,
        "text": answer.text,
        "time": {
            "render_s": report.render_s if report else None,
            "compute_s": answer.compute_s,
            "idle_s": answer.idle_s,
        },
        "conditions": {"query_kind": _offered(trial), **trial.conditions},
        "clusters": dict(trial.clusters),
    }


def failed_scores(orders: Orders, trial: Trial, reason: str) -> dict[str, Score]:
    """The scores of a trial without an answer."""
    needs = at_hand(trial, waveform=orders.waveform, words=orders.words, aligned=orders.aligned)
    return failure_scores(orders.metrics, needs, reason)


def _offered(trial: Trial) -> str:
    """What a system may be told about the target of a trial, in one word for each kind."""
    return "+".join(sorted(trial.query.kinds - {QueryKind.TRUTH}))
