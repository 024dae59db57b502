"""What is left to do when a system has answered: check, measure, write. It happens beside the next batch."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from tspbench import audio
from tspbench.runner.answers import Answer, Ask, Failure, Output
from tspbench.runner.priority import Aside
from tspbench.runner.spool import write_samples
from tspbench.types import Audio


@dataclass(frozen=True)
class Reply:
    """What a system said on one mixture: words, a waveform (T,) at a rate, or both.

    ``seconds`` and ``idle_s`` are its share of the batch's: of computing, and
    of waiting before that since the last batch (None before the first).
    """

    sample_rate: int
    text: str | None
    estimate: Audio | None
    seconds: float
    idle_s: float | None = None


class Finisher:
    """Makes answers of replies in a thread. Hashing, sums and writing leave the interpreter to the system."""

    def __init__(self) -> None:
        self._thread = Aside()
        self._waiting: list[tuple[tuple[Ask, ...], tuple[Reply, ...]]] = []
        self._owed: deque[Future[list[Answer]]] = deque()

    def stand_by(self) -> None:
        """Be ready to finish at once."""
        self._thread.stand_by()

    def add(self, asks: Sequence[Ask], replies: Sequence[Reply]) -> None:
        """Keep a batch to be finished."""
        self._waiting.append((tuple(asks), tuple(replies)))

    def start(self) -> None:
        """Begin with what is kept, when the next batch is at hand: until then the thread would be in the way."""
        self._owed.extend(self._thread.submit(_answers, *batch) for batch in self._waiting)
        self._waiting.clear()

    def take(self, behind: int) -> list[Answer]:
        """Answers that are finished, batch by batch in order; waits while more than ``behind`` batches are not."""
        found: list[Answer] = []
        if len(self._waiting) > behind:
            self.start()
        while self._owed and (len(self._owed) + len(self._waiting) > behind or self._owed[0].done()):
            found += self._owed.popleft().result()
        return found


def _answers(asks: Sequence[Ask], replies: Sequence[Reply]) -> list[Answer]:
    return [_answer(ask, reply) for ask, reply in zip(asks, replies, strict=True)]


def _answer(ask: Ask, reply: Reply) -> Answer:
    told = Answer(ask.trial_id, text=reply.text, compute_s=reply.seconds, idle_s=reply.idle_s)
    estimate = reply.estimate
    if estimate is None:
        return told
    if not np.isfinite(estimate).all():
        return Answer(ask.trial_id, "failed", failure=Failure("not_finite", "the output holds NaN or infinity"))
    try:
        write_samples(ask.estimate, estimate)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # stops the run, which can be resumed
            raise
        return Answer(ask.trial_id, "failed", failure=Failure("not_written", str(error)))
    return replace(told, output=measure(estimate, reply.sample_rate))


def measure(estimate: Audio, rate: int, notes: tuple[str, ...] = ()) -> Output:
    """The facts of an estimate (T,) that go into ``trials.jsonl``."""
    peak = float(np.abs(estimate).max(initial=0.0))
    rms = float(np.sqrt(np.mean(np.square(estimate, dtype=np.float64)))) if len(estimate) else 0.0
    return Output(
        digest=audio.digest(estimate),
        samples=len(estimate),
        sample_rate=rate,
        peak=peak,
        rms=rms,
        silent=peak == 0.0,
        clipped=peak > 1.0,
        notes=notes,
    )
