"""The loop that drives a run: render ahead, answer, score, record.

One parent, one worker process that holds the system, and a pool that renders
and scores. The parent moves file names and short messages only; samples go
through the run folder's spool. Every trial leaves by one of two doors, scored
or failed, and each writes its lines before the trial is forgotten.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from typing import Any

from tspbench.errors import CannotMeasure
from tspbench.metrics import Score, resolve
from tspbench.runner.answers import Answer, Ask, Failure, Trouble
from tspbench.runner.keep import Keeper
from tspbench.runner.lines import failed_scores, trial_row
from tspbench.runner.orders import DiskFull, Journal, Known, Orders, Progress, Trials
from tspbench.runner.plan import Batch, Todo, todo
from tspbench.runner.priority import standing_back
from tspbench.runner.process import Child, ChildDied
from tspbench.runner.spool import Spool
from tspbench.runner.workbench import RenderReport, ScoreJob, ScoreReport
from tspbench.store import FINISHED, TrialState
from tspbench.types import Trial

AHEAD = 2
"""Batches that may lie rendered while the system is busy."""
UNDER_WAY = 2
"""Batches that the system's process is asked for at a time: it finds the next one at hand when it has answered one,
and need not wait until this process gets a turn of the processor."""
BACKLOG = 64
"""Answers that may wait to be scored before the system has to wait."""
DEATHS = 10
"""Trials in a row over which a system may die or hang before it is given up."""
POOL_SECONDS = 900.0
LOAD_SECONDS = 3600.0
SETTLE = "settle"
"""Asks the system's process for the answers that it has not handed over."""


@dataclass
class Live:
    """A trial between its rendering and its last line."""

    trial: Trial
    report: RenderReport | None = None
    has_estimate: bool = False
    text: str | None = None


@dataclass(frozen=True)
class PoolJob:
    """``method`` and ``arguments`` for a :class:`Workbench`; ``tries`` so far."""

    method: str
    trial_id: str
    batch: Batch | None = None
    tries: int = 0


@dataclass
class Engine:
    """One run under way. ``system`` serves describe/load/answer; each of ``pool`` serves a Workbench."""

    orders: Orders
    trials: Trials
    folder: Journal
    spool: Spool
    system: Child
    pool: Sequence[Child]
    baselines: Known
    keeper: Keeper
    observe: Callable[[Progress], None]
    loaded: bool = False
    """Has the system its weights?"""
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(total=len(self.trials))
        self._batches: deque[Batch] = deque()
        self._to_score: deque[str] = deque()
        self._live: dict[str, Live] = {}
        self._unrendered: dict[Batch, set[str]] = {}
        self._ready: deque[Batch] = deque()
        self._owed: list[Batch] = []
        self._jobs: deque[PoolJob] = deque()
        self._deaths = 0

    def run(self, planned: Sequence[Batch]) -> None:
        """Work until every trial has its lines.

        Raises
        ------
        TspbenchError
            The run cannot go on: weights missing, disk full, system unusable.
        """
        self.progress.count(self.folder.states.values())
        self.take_up(todo(planned, self.folder, self.spool))
        del planned  # each batch is let go when it is done
        while self.step():
            self.observe(self.progress)

    def take_up(self, left: Todo) -> None:
        """Add to the work that is to be done."""
        self._batches.extend(left.batches)
        self._to_score.extend(left.to_score)
        for trial_id in left.failed:
            self._record_scores(trial_id, self._failed(self.trials.trial(trial_id), "the system gave no answer"))

    def step(self) -> bool:
        """Give out work and take in what is done within a second; False when nothing is left to do."""
        with standing_back():
            if not self.dispatch():
                return False
            self._collect()
        return True

    @property
    def unanswered(self) -> int:
        """Batches that the system has not answered."""
        asked = sum(isinstance(work, Batch) for work in self.system.works)
        return len(self._batches) + len(self._unrendered) + len(self._ready) + len(self._owed) + asked

    # -- giving out work ---------------------------------------------------------------------

    def dispatch(self) -> bool:
        """Give every idle child something to do; False when all is done."""
        self._plan_ahead()
        self._dispatch_system()
        for child in self.pool:
            if child.busy_with is None and self._jobs:
                self._send_job(child, self._jobs.popleft())
        busy = any(child.busy_with is not None for child in (self.system, *self.pool))
        return busy or bool(self._ready or self._jobs)

    def _plan_ahead(self) -> None:
        waiting = sum(job.method == "score" for job in self._jobs)
        while self._to_score and waiting < BACKLOG:
            self._resume_scoring(self._to_score.popleft())
            waiting += 1
        while self._batches and len(self._unrendered) + len(self._ready) < AHEAD + len(self.pool):
            batch = self._batches.popleft()
            self._unrendered[batch] = set(batch.trial_ids)
            for trial_id in batch.trial_ids:
                self._live[trial_id] = Live(self.trials.trial(trial_id))
                self.spool.claim(trial_id)
                self._jobs.append(PoolJob("render", trial_id, batch))

    def _dispatch_system(self) -> None:
        """Ask for batches, ahead of time; loading and settling wait for their turn, and nothing overtakes them."""
        waiting = sum(job.method == "score" for job in self._jobs)
        if not self._ready or waiting >= BACKLOG:
            if self._owed and not self.system.works:
                self._give(self.system, SETTLE, SETTLE, seconds=POOL_SECONDS)
            return
        if not self.loaded and not self.system.works:
            self.load()
        while self.loaded and self._ready and self._room():
            self._ask_for(self._ready.popleft())

    def _room(self) -> bool:
        """May the system be asked for one more batch?"""
        works = self.system.works
        return len(works) < UNDER_WAY and all(isinstance(work, Batch) for work in works)

    def _ask_for(self, batch: Batch) -> None:
        self.progress.phase = "running"
        orders = self.orders
        asks = self._asks(batch)
        upcoming = self._asks(self._ready[0]) if self._ready else []
        seconds = orders.time_limit_s * len(asks)
        arguments = (asks, batch.seed(orders.seed), orders.words, orders.waveform, upcoming)
        self._give(self.system, batch, "answer", *arguments, seconds=seconds)

    def _asks(self, batch: Batch) -> list[Ask]:
        return [Ask(name, self.spool.scratch(name), self.spool.estimate(name)) for name in batch.trial_ids]

    def load(self) -> None:
        """Have the system load its weights; done when :attr:`loaded` says so."""
        self.progress.phase = "loading"
        self._give(self.system, "load", "load", self.orders.device, seconds=LOAD_SECONDS)

    def _give(self, child: Child, work: Any, method: str, *arguments: Any, seconds: float) -> None:
        """Ask a child; one that died while it was idle is replaced, and the work taken as lost."""
        try:
            child.send(method, *arguments, busy_with=work, seconds=seconds)
        except ChildDied as death:
            self._bury(child, work, Failure("worker_died", str(death), death.log))

    def _send_job(self, child: Child, job: PoolJob) -> None:
        live = self._live[job.trial_id]
        scratch = self.spool.scratch(job.trial_id)
        payload: Any = (live.trial, scratch) if job.method == "render" else (self._score_job(live),)
        self._give(child, job, job.method, *payload, seconds=POOL_SECONDS)

    def _score_job(self, live: Live) -> ScoreJob:
        trial_id = live.trial.trial_id
        metrics = [m for m in self.orders.metrics if m.id not in self.folder.states[trial_id].scored]
        bases = [resolve(m.improvement_of) for m in metrics if m.improvement_of]
        known = self.baselines.find(live.report.input_digest, bases) if live.report and bases else {}
        return ScoreJob(
            trial=live.trial,
            scratch=self.spool.scratch(trial_id),
            estimate=self.spool.estimate(trial_id) if live.has_estimate else None,
            text=live.text,
            metrics=tuple(metric.id for metric in metrics),
            baselines=known,
            keep=self.keeper.place(self.folder, trial_id),
        )

    def _resume_scoring(self, trial_id: str) -> None:
        """A trial that was answered before the run broke off: only score it."""
        state = self.folder.states[trial_id]
        assert state.input_digest is not None
        report = RenderReport(state.input_digest, 0.0, 0.0)
        has_estimate = state.output_digest is not None
        self._live[trial_id] = Live(self.trials.trial(trial_id), report, has_estimate, state.text)
        self._jobs.append(PoolJob("score", trial_id))

    # -- taking in results -------------------------------------------------------------------

    def _collect(self) -> None:
        """Wait for at least one child, then take in everything that is there."""
        busy = {child.connection: child for child in (self.system, *self.pool) if child.busy_with is not None}
        wait(list(busy), timeout=1.0)
        for connection, child in busy.items():
            if connection.poll():
                self._take(child)
            elif child.exited or child.overdue:
                self._bury(child, child.busy_with, _obituary(child))

    def _take(self, child: Child) -> None:
        work = child.busy_with
        try:
            value = child.receive()
        except ChildDied as death:
            self._bury(child, work, Failure("worker_died", str(death), death.log))
            return
        if isinstance(value, Trouble):
            _stop_if_fatal(value)
        if child is not self.system and self._jobs:
            self._send_job(child, self._jobs.popleft())  # it works on while this result is written down
        if work == "load":
            self._take_load(value)
        elif isinstance(work, Batch):
            self._take_answers(work, value)
        elif work == SETTLE:
            self._take_owed(value)
        elif work.method == "render":
            self._take_render(work, value)
        else:
            self._take_scores(work, value)

    def _bury(self, child: Child, work: Any, failure: Failure) -> None:
        """A child died or hung over some work; put a fresh one in its place."""
        behind = [asked for asked in child.works if asked is not work]
        child.replace()
        self._ready.extendleft(reversed(behind))  # it had not come to these
        self._lost(child, work, failure)

    def _lost(self, child: Child, work: Any, failure: Failure) -> None:
        """Do again what can be done again, and find out who is to blame for the rest."""
        if isinstance(work, PoolJob):
            if work.tries == 0:
                self._jobs.appendleft(replace(work, tries=1))
            elif work.method == "render":
                self._unrenderable(work, failure)
            else:
                reason = f"scoring failed: {failure.message}"
                self._finish(work.trial_id, self._failed(self._live[work.trial_id].trial, reason))
            return
        self.loaded = False
        self._ready.extendleft(reversed(self._owed))  # answered, but the answers are lost: nobody's fault
        self._owed.clear()
        if work == "load":
            raise CannotMeasure(f"The system failed while loading: {failure.message}. {failure.trace}".strip())
        if work == SETTLE:
            self._deaths += 1
        else:
            self._blame(work, failure, again=failure.type != "timed_out")
        if self._deaths >= DEATHS:
            raise CannotMeasure(
                f"The system failed {DEATHS} trials in a row: {failure.message}. {failure.trace}".strip()
            )

    def _blame(self, batch: Batch, failure: Failure, again: bool) -> None:
        """Find out which trial of a batch it was: one at a time, each once more."""
        if len(batch.trial_ids) > 1 or (again and not batch.solo):
            self._ready.extendleft(reversed(batch.singles()))
            return
        self._deaths += failure.type in ("worker_died", "timed_out")
        self._fail(batch.trial_ids[0], failure)

    def _take_load(self, value: Any) -> None:
        if isinstance(value, Trouble):
            raise value.error or CannotMeasure(
                f"The system failed to load: {value.kind}: {value.message}\n{value.trace}"
            )
        self.loaded = True

    def _take_render(self, job: PoolJob, value: RenderReport | Trouble) -> None:
        if isinstance(value, Trouble):
            self._unrenderable(job, Failure("unreadable", value.message, value.trace))
            return
        self._live[job.trial_id].report = value
        self._rendered(job)

    def _unrenderable(self, job: PoolJob, failure: Failure) -> None:
        """A trial whose audio cannot be made costs its place in the batch, not the batch."""
        self._fail(job.trial_id, failure)
        self._rendered(job)

    def _rendered(self, job: PoolJob) -> None:
        assert job.batch is not None
        self._unrendered[job.batch].discard(job.trial_id)
        if self._unrendered[job.batch]:
            return
        del self._unrendered[job.batch]
        ready = tuple(trial_id for trial_id in job.batch.trial_ids if trial_id in self._live)
        if ready:
            self._ready.append(replace(job.batch, trial_ids=ready))

    def _take_answers(self, batch: Batch, value: list[Answer] | Trouble) -> None:
        self._deaths = 0
        if isinstance(value, Trouble):
            self._blame(batch, Failure(value.kind, value.message, value.trace), again=False)
            return
        self._owed.append(batch)
        self._settled(value)

    def _take_owed(self, value: list[Answer] | Trouble) -> None:
        if isinstance(value, Trouble):
            self.system.replace()
            self._lost(self.system, SETTLE, Failure(value.kind, value.message, value.trace))
        else:
            self._settled(value)

    def _settled(self, answers: Sequence[Answer]) -> None:
        """Take in the answers of some batches, which may come later than the batches' own replies."""
        found = {answer.trial_id for answer in answers}
        self._owed = [batch for batch in self._owed if found.isdisjoint(batch.trial_ids)]
        self._dispatch_system()  # it works on while these are written down
        for answer in answers:
            if answer.failure is not None:
                self._fail(answer.trial_id, answer.failure)
            else:
                self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        trial_id = answer.trial_id
        live, state = self._live[trial_id], self.folder.states.get(trial_id)
        live.has_estimate, live.text = answer.output is not None, answer.text
        if state is FINISHED:
            self._forget(trial_id)
            return
        if state is None:
            self._add_trial(live, answer)
        else:
            self._must_be_as_before(live, answer, state)
        self._jobs.append(PoolJob("score", trial_id))

    def _must_be_as_before(self, live: Live, answer: Answer, state: TrialState) -> None:
        """Two halves of a run are one run only if audio and answers are those of the first half."""
        assert live.report is not None
        digest = answer.output.digest if answer.output else None
        self._must_be_same_audio(live, live.report.input_digest, state.input_digest)
        if state.status == "ok" and (digest, answer.text) != (state.output_digest, state.text):
            raise CannotMeasure(
                f"Trial {live.trial.trial_id!r}: the system's output differs from its earlier one in this run, "
                "so the two cannot be put together. Start over with --fresh."
            )

    def _must_be_same_audio(self, live: Live, now: str, before: str | None) -> None:
        if before not in (None, now):
            raise CannotMeasure(
                f"Trial {live.trial.trial_id!r}: its audio has changed since this run began. Start over with --fresh."
            )

    def _take_scores(self, job: PoolJob, value: ScoreReport | Trouble) -> None:
        if isinstance(value, Trouble):
            if value.error is not None:
                raise value.error
            reason = f"{value.kind}: {value.message}"
            self._finish(job.trial_id, self._failed(self._live[job.trial_id].trial, reason))
            return
        live = self._live[job.trial_id]
        assert live.report is not None
        if value.rendered is not None:
            self._must_be_same_audio(live, value.rendered, live.report.input_digest)
        self.baselines.add(live.report.input_digest, value.scored.baselines)
        self._finish(job.trial_id, value.scored.scores, value.scored.baselines)

    # -- the two doors -----------------------------------------------------------------------

    def _fail(self, trial_id: str, failure: Failure) -> None:
        if trial_id not in self.folder.states:
            late = failure.type == "timed_out"
            answer = Answer(trial_id, "timed_out" if late else "failed", failure=failure)
            self._add_trial(self._live[trial_id], answer)
        self._finish(trial_id, self._failed(self._live[trial_id].trial, f"{failure.type}: {failure.message}"))

    def _failed(self, trial: Trial, reason: str) -> dict[str, Score]:
        return failed_scores(self.orders, trial, reason)

    def _finish(self, trial_id: str, scores: dict[str, Score], baselines: dict[str, Score] | None = None) -> None:
        self._record_scores(trial_id, scores, baselines)
        self.keeper.scored(self.folder, trial_id, scores)
        self._forget(trial_id)

    def _record_scores(
        self, trial_id: str, scores: dict[str, Score], baselines: dict[str, Score] | None = None
    ) -> None:
        state = self.folder.states[trial_id]
        if state is FINISHED:
            return
        new = {name: score for name, score in scores.items() if name not in state.scored}
        self.folder.add_scores(trial_id, new, baselines or {})
        self.progress.scored += 1

    def _forget(self, trial_id: str) -> None:
        del self._live[trial_id]
        self.spool.release(trial_id)

    def _add_trial(self, live: Live, answer: Answer) -> None:
        self.folder.add_trial(trial_row(live.trial, live.report, answer))
        self.progress.answered += 1
        self.progress.failed += answer.status != "ok"


def _obituary(child: Child) -> Failure:
    if child.exited:
        return Failure("worker_died", str(child.death()), child.death().log)
    return Failure("timed_out", "it did not answer within the time limit")


def _stop_if_fatal(trouble: Trouble) -> None:
    """A full disk is nobody's fault and costs no trial: the run stops and can be resumed."""
    if trouble.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFull(trouble.message)
