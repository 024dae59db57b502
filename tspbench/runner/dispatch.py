"""The run's side of a cluster: batches go out to stations, results come home to one journal.

Only names, trials and lines pass through here. What is known of a run is what
its journal says, so a lost station costs the batches that it had in hand, and
those are handed out again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tspbench.baselines import Baselines
from tspbench.errors import CannotMeasure
from tspbench.metrics import Score
from tspbench.runner.answers import Answer, Failure
from tspbench.runner.engine import AHEAD, DEATHS
from tspbench.runner.keep import Keeper
from tspbench.runner.lines import failed_scores, trial_row
from tspbench.runner.orders import Orders, Outage, Progress, Trials
from tspbench.runner.plan import Batch, todo
from tspbench.runner.spool import Spool, write_over
from tspbench.runner.station import Done, Lot, Report
from tspbench.store import FINISHED, RunFolder

LOSSES = 5
"""Stations that may be lost over one batch; after the second it is given out on its own."""
LATE = 3.0
"""At the end of a run, a batch that is out for so many times the usual is given to another station as well."""
STILLBORN = 3
"""Stations in a row that may be lost in one place before they have told anything."""
START_SECONDS = 600.0
"""Without any station for so long, the run breaks off."""


@dataclass(frozen=True)
class Lost:
    """A station is gone, not by its system's doing: how."""

    message: str


class Crew(Protocol):
    """The stations of a run, by number. A request is under way at each; :meth:`wait` hands over what came back."""

    size: int
    pool: int
    """Processes of each station that render and score."""

    def start(self, number: int) -> None:
        """Put a fresh station in this place and ask it to report."""

    def ask(self, number: int, lots: Sequence[Lot]) -> None: ...

    def wait(self, seconds: float) -> list[tuple[int, Report | Lost]]: ...

    def offer(self) -> str:
        """What there is to run stations on, in words."""

    def close(self) -> list[bytes]:
        """End every station; what their systems printed last."""


@dataclass
class Place:
    """One station as it is known here. ``resting``: it waits to be asked."""

    hand: list[Batch] = field(default_factory=list)
    unanswered: int = 0
    alive: bool = False
    resting: bool = False
    stillborn: int = 0


@dataclass
class Dispatcher:
    """One run under way on a crew."""

    orders: Orders
    trials: Trials
    folder: RunFolder
    spool: Spool
    crew: Crew
    baselines: Baselines
    keeper: Keeper
    observe: Callable[[Progress], None]

    def __post_init__(self) -> None:
        self.progress = Progress(total=len(self.trials))
        self._places = [Place() for _ in range(self.crew.size)]
        self._losses: Counter[Batch] = Counter()
        self._alone: deque[Batch] = deque()
        self._given: dict[Batch, float] = {}
        self._twice: set[Batch] = set()
        self._took: list[float] = [0.0, 0.0]
        self.lost = self._deaths = 0
        self._sign = time.monotonic()

    def run(self, planned: Sequence[Batch]) -> None:
        """Work until every trial has its lines.

        Raises
        ------
        TspbenchError
            The run cannot go on: what a station could not mend, or no station is left.
        """
        self.progress.count(self.folder.states.values())
        left = todo(planned, self.folder, self.spool)
        for trial_id in left.failed:
            self._finish(Done(trial_id, None, self._failed(trial_id, "the system gave no answer"), {}))
        size, answered = self.orders.batch_size, left.to_score
        rest = [Batch(answered[start : start + size]) for start in range(0, len(answered), size)]
        self._lots, self._answered = deque([*rest, *left.batches]), frozenset(answered)
        try:
            self._work()
        finally:
            for printed in self.crew.close():
                self.log(printed)

    def _work(self) -> None:
        if self._lots:
            for number in range(self.crew.size):
                self.crew.start(number)
        while self._lots or self._alone or self._given:
            for number, news in self.crew.wait(1.0):
                self._take(number, news)
            self._deal()
            self._must_have_stations()
            self.observe(self.progress)

    # -- giving out work ---------------------------------------------------------------------

    def _deal(self) -> None:
        for number, place in enumerate(self._places):
            if not place.resting:
                continue
            batches = list(self._choose(place))
            if batches or place.hand:
                place.resting = False
                place.unanswered += len(batches)
                place.hand += batches
                self._given |= {batch: time.monotonic() for batch in batches if batch not in self._given}
                self.crew.ask(number, [self._lot(batch) for batch in batches])

    def _choose(self, place: Place) -> Iterator[Batch]:
        """What a station gets: enough to be busy, less as the work runs out so that all end together."""
        if self._alone and not place.hand:
            yield self._alone.popleft()
            return
        if any(self._losses[batch] > 1 for batch in place.hand):
            return
        wanted = min(AHEAD + self.crew.pool, max(1, len(self._lots) // self.crew.size)) - place.unanswered
        for _ in range(min(wanted, len(self._lots))):
            yield self._lots.popleft()
        if not place.hand and not place.unanswered and not self._lots:
            yield from self._late()

    def _late(self) -> list[Batch]:
        """The batch that is out longest, where others took far less: the first answer counts."""
        spent, count = self._took
        limit = time.monotonic() - LATE * spent / count if count else 0.0
        barred = self._twice | {batch for batch, losses in self._losses.items() if losses > 1}
        late = [batch for batch, since in self._given.items() if since < limit and batch not in barred][:1]
        self._twice |= set(late)
        return late

    def _lot(self, batch: Batch) -> Lot:
        states = {name: self.folder.states[name] for name in batch.trial_ids if name in self.folder.states}
        finished = frozenset(name for name, state in states.items() if state is FINISHED)
        return Lot(
            batch=batch,
            trials=tuple(self.trials.trial(name) for name in batch.trial_ids),
            states={name: state for name, state in states.items() if name not in finished},
            finished=finished,
            estimates=self._estimates(batch) if self._answered.issuperset(batch.trial_ids) else None,
        )

    def _estimates(self, batch: Batch) -> dict[str, bytes]:
        """The waveforms of answered trials, where they have one."""
        paths = {name: self.spool.estimate(name) for name in batch.trial_ids}
        with_output = [name for name in batch.trial_ids if self.folder.states[name].output_digest is not None]
        return {name: paths[name].read_bytes() for name in with_output if name in self._unfinished(batch)}

    def _unfinished(self, batch: Batch) -> set[str]:
        return {name for name in batch.trial_ids if self.folder.states.get(name) is not FINISHED}

    # -- taking in results -------------------------------------------------------------------

    def _take(self, number: int, news: Report | Lost) -> None:
        place = self._places[number]
        if isinstance(news, Lost):
            self._replace(number, news)
            return
        self._sign = time.monotonic()
        place.alive = place.resting = True
        place.unanswered, place.stillborn = news.unanswered, 0
        if news.loaded:
            self.progress.phase = "running"
        self.log(news.log)
        for input_digest, scores in news.learnt:
            self.baselines.add(input_digest, scores)
        for done in news.done:
            self._finish(done)
        for batch in place.hand:
            if not self._unfinished(batch) and batch in self._given:
                self._took[0] += time.monotonic() - self._given.pop(batch)
                self._took[1] += 1
        place.hand = [batch for batch in place.hand if self._unfinished(batch)]
        if news.trouble is not None:
            raise news.trouble

    def log(self, printed: bytes) -> None:
        """Add what a system printed to ``system.log``."""
        if printed:
            with (self.folder.path / "system.log").open("ab") as file:
                file.write(printed)

    def _finish(self, done: Done) -> None:
        """Write down what a trial left, once."""
        state = self.folder.states.get(done.trial_id)
        if state is FINISHED:
            return
        if state is None:
            assert done.row is not None
            self.folder.add_trial(done.row)
            self.progress.answered += 1
            self.progress.failed += done.row["status"] != "ok"
        if done.kept is not None:
            write_over(self.folder.kept(done.trial_id), done.kept)
        scored = self.folder.states[done.trial_id].scored
        scores = {name: score for name, score in done.scores.items() if name not in scored}
        self.folder.add_scores(done.trial_id, scores, done.baselines)
        self.progress.scored += 1
        self.keeper.scored(self.folder, done.trial_id, scores)
        self.spool.estimate(done.trial_id).unlink(missing_ok=True)
        if state is None and done.row is not None:
            self._count_deaths(done.row["error"])

    def _count_deaths(self, error: dict[str, str] | None) -> None:
        fatal = error is not None and error["type"] in ("worker_died", "timed_out", "station_lost")
        self._deaths = self._deaths + 1 if fatal else 0
        if error is not None and self._deaths >= DEATHS:
            raise CannotMeasure(f"The system failed {DEATHS} trials in a row: {error['message']}. {error['trace']}")

    # -- losses ------------------------------------------------------------------------------

    def _replace(self, number: int, loss: Lost) -> None:
        """Hand out again what a lost station had, and start another in its place."""
        place, self.lost = self._places[number], self.lost + 1
        elsewhere = {batch for other in self._places if other is not place for batch in other.hand}
        for batch in reversed([batch for batch in place.hand if batch in self._given and batch not in elsewhere]):
            del self._given[batch]
            self._losses[batch] += 1
            if self._losses[batch] >= LOSSES:
                self._give_up(batch, loss)
            elif self._losses[batch] > 1:
                self._alone.append(batch)
            else:
                self._lots.appendleft(batch)
        stillborn = 0 if place.alive else place.stillborn + 1
        self._places[number] = Place(stillborn=stillborn)
        if stillborn < STILLBORN:
            self.crew.start(number)
        elif all(place.stillborn >= STILLBORN for place in self._places):
            raise Outage(f"No worker of the cluster could be started: {loss.message}")

    def _give_up(self, batch: Batch, loss: Lost) -> None:
        failure = Failure("station_lost", f"its worker was lost {LOSSES} times: {loss.message}")
        for name in self._unfinished(batch):
            row = trial_row(self.trials.trial(name), None, Answer(name, "failed", failure=failure))
            scores = self._failed(name, f"{failure.type}: {failure.message}")
            self._finish(Done(name, row, scores, {}))

    def _failed(self, trial_id: str, reason: str) -> dict[str, Score]:
        return failed_scores(self.orders, self.trials.trial(trial_id), reason)

    def _must_have_stations(self) -> None:
        waited = time.monotonic() - self._sign
        if any(place.alive for place in self._places) or waited < START_SECONDS:
            return
        raise Outage(
            f"No worker has answered for {waited:.0f} s; {self.crew.offer()}. "
            "Start more nodes and give the same command again: the run goes on."
        )
