"""What a run has to do: batches that depend on the request alone, never on what happened before."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass

from tspbench.metrics import Metric, Need, Score, Status
from tspbench.metrics.evaluate import REASONS
from tspbench.runner.orders import Journal
from tspbench.runner.spool import Spool
from tspbench.store import FINISHED
from tspbench.types import Role, Trial

WINDOW = 32
"""Batches in a row whose trials are put in order of their lengths."""
ORDER = f"longest first in every {WINDOW} batches"
"""How a run's identity tells of that: what a mixture is padded to may change an answer's last digits."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Trials that a system answers together. ``solo`` marks the second try of one trial."""

    trial_ids: tuple[str, ...]
    solo: bool = False

    def seed(self, run_seed: int) -> int:
        """The same batch gets the same seed in every run, resumed or not."""
        text = "\n".join([str(run_seed), *self.trial_ids])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    def singles(self) -> list[Batch]:
        return [Batch((trial_id,), solo=True) for trial_id in self.trial_ids]


@dataclass(frozen=True)
class Todo:
    """``batches`` to answer; ``to_score`` are answered and their estimates lie in the spool."""

    batches: tuple[Batch, ...]
    to_score: tuple[str, ...]
    failed: tuple[str, ...]
    """Failed before; only their score lines are missing."""


def batches(ids: Sequence[str], size: int, seconds: Sequence[float] = ()) -> tuple[Batch, ...]:
    """All trials of a run in batches of ``size``, the last one maybe smaller.

    With ``seconds``, the lengths of the mixtures, every :data:`WINDOW` batches
    in a row are made of their trials from the longest to the shortest: little
    is padded, and what does not fit into memory comes first.
    """
    ordered = list(ids)
    if seconds and size > 1:
        places = range(len(ids))
        windows = (places[start : start + WINDOW * size] for start in range(0, len(ids), WINDOW * size))
        ordered = [ids[i] for window in windows for i in sorted(window, key=lambda i: -seconds[i])]
    return tuple(Batch(tuple(ordered[start : start + size])) for start in range(0, len(ordered), size))


def todo(planned: Sequence[Batch], folder: Journal, spool: Spool) -> Todo:
    """What is left of a run.

    A batch with one unanswered trial is answered again whole: its composition
    may matter to the numbers, so it must not depend on where a run broke off.
    """
    unanswered: set[str] = set()
    to_score, failed = [], []
    for trial_id in (trial_id for batch in planned for trial_id in batch.trial_ids):
        state = folder.states.get(trial_id)
        if state is FINISHED:
            continue
        if state is None:
            unanswered.add(trial_id)
        elif state.status != "ok":
            failed.append(trial_id)
        elif state.output_digest is None or spool.take_back(trial_id, state.output_digest, folder.kept(trial_id)):
            to_score.append(trial_id)
        else:
            unanswered.add(trial_id)
    left = tuple(batch for batch in planned if unanswered.intersection(batch.trial_ids))
    again = {trial_id for batch in left for trial_id in batch.trial_ids}
    return Todo(left, tuple(name for name in to_score if name not in again), tuple(failed))


def failure_scores(metrics: Sequence[Metric], at_hand: Container[Need], reason: str) -> dict[str, Score]:
    """One score line per metric for a trial without an answer; what no answer would have had does not apply."""
    scores = {}
    for metric in metrics:
        lacking = next((need for need in sorted(metric.needs) if need not in at_hand), None)
        scores[metric.id] = (
            Score(None, Status.FAILED, reason)
            if lacking is None
            else Score(None, Status.NOT_APPLICABLE, REASONS[lacking])
        )
    return scores


def at_hand(trial: Trial, *, waveform: bool, words: bool, aligned: bool) -> frozenset[Need]:
    """What metrics would find on a trial if a system that returns a waveform, words or both had answered it."""
    others = any(source.role is not Role.TARGET for source in trial.sources) or trial.mixture is not None
    there = {
        Need.ESTIMATE: waveform,
        Need.HYPOTHESIS: words,
        Need.ALIGNED: aligned,
        Need.TARGET: trial.target_present,
        Need.ABSENCE: not trial.target_present,
        Need.INTERFERERS: others,
        Need.TRANSCRIPT: trial.transcript is not None,
        Need.ENROLMENT: bool(trial.query.enrolment),
    }
    return frozenset(need for need, is_there in there.items() if is_there)
