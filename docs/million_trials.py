"""A million trials on a thousand workers, simulated: what stragglers, failures, loading and the one journal cost.

Prints the tables of docs/scaling.md: python docs/million_trials.py [TRIALS WORKERS]

Workers take batches and hold a few more in hand; whatever they tell goes through one server, the run's own process,
which takes ``exchange_s`` for a reply and ``line_s`` for the lines of a trial. A failed worker loses what it had in
hand and loads the system anew. That is how tspbench.runner.dispatch works; only the times are drawn.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from collections import deque
from dataclasses import dataclass, replace

from tspbench.runner.dispatch import LATE
from tspbench.runner.engine import AHEAD

HOUR = 3600.0


@dataclass(frozen=True)
class Cluster:
    """``seconds`` a trial takes on average; a batch is lognormal about it, ``straggle`` of them ``slow`` times longer.

    ``exchange_s`` and ``line_s`` are what docs/journal_cost.py measured, with room for Ray's own share.
    """

    workers: int = 1000
    trials: int = 1_000_000
    batch: int = 8
    seconds: float = 1.0
    spread: float = 0.3
    straggle: float = 0.001
    slow: float = 20.0
    failures_per_hour: float = 0.01
    load_s: float = 60.0
    exchange_s: float = 0.001
    line_s: float = 0.0003
    pool: int = 1
    twice: bool = True
    journals: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """Seconds, and shares of them. ``ideal_s``: all trials at their mean time, spread evenly over the workers."""

    makespan_s: float
    ideal_s: float
    failures: int
    repeated: int
    journal_busy: float
    journal_wait_s: float

    @property
    def efficiency(self) -> float:
        return self.ideal_s / self.makespan_s


@dataclass
class Worker:
    """``life`` counts its restarts: events of an earlier life are void."""

    hand: deque[int]
    life: int = 0
    running: int | None = None
    alive: bool = False


class Simulation:
    """One run; see :func:`simulate`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.rng = cluster, random.Random(cluster.seed)
        self.workers = [Worker(deque()) for _ in range(cluster.workers)]
        self.lots = deque(range(math.ceil(cluster.trials / cluster.batch)))
        self.undone = set(self.lots)
        self.given: dict[int, float] = {}
        self.again: set[int] = set()
        self.resting: deque[int] = deque()
        self.events: list[tuple[float, int, str, int, int]] = []
        self.count = self.failures = self.repeated = self.replies = 0
        self.free = self.busy = self.waited = self.took = self.now = 0.0

    def run(self) -> Outcome:
        for number in range(self.cluster.workers):
            self.begin(number)
        self.at(1.0, "look", -1)
        while self.undone:
            self.now, _, what, number, life = heapq.heappop(self.events)
            if number < 0 or life == self.workers[number].life:
                getattr(self, what)(number)
        return Outcome(
            makespan_s=self.free,
            ideal_s=self.cluster.trials * self.cluster.seconds / self.cluster.workers,
            failures=self.failures,
            repeated=self.repeated,
            journal_busy=self.busy / self.free,
            journal_wait_s=self.waited / max(1, self.replies),
        )

    # -- events ------------------------------------------------------------------------------

    def ready(self, number: int) -> None:
        self.workers[number].alive = True
        self.tell(number, trials=0)

    def reply(self, number: int) -> None:
        """The worker is given enough to be busy, less as the work runs out."""
        worker = self.workers[number]
        unanswered = len(worker.hand) + (worker.running is not None)
        wanted = min(AHEAD + self.cluster.pool, max(1, len(self.lots) // self.cluster.workers)) - unanswered
        batches = [self.lots.popleft() for _ in range(min(wanted, len(self.lots)))]
        if not unanswered and not batches:
            batches = self.late()
        for batch in batches:
            self.given.setdefault(batch, self.now)
        worker.hand.extend(batches)
        if worker.running is None and not worker.hand:
            self.resting.append(number)
        self.go_on(number)

    def finish(self, number: int) -> None:
        worker = self.workers[number]
        assert worker.running is not None
        batch, worker.running = worker.running, None
        if batch in self.undone:
            self.undone.remove(batch)
            self.took += self.now - self.given.pop(batch)
            self.tell(number, trials=self.cluster.batch)
        else:
            self.repeated += 1
            self.tell(number, trials=0)
        self.go_on(number)

    def fail(self, number: int) -> None:
        worker = self.workers[number]
        self.failures += 1
        lost = [*worker.hand, *(() if worker.running is None else (worker.running,))]
        lost = [batch for batch in lost if batch in self.undone and batch not in self.again]
        for batch in lost:
            del self.given[batch]
        self.lots.extendleft(lost)
        self.repeated += len(lost)
        self.workers[number] = Worker(deque(), life=worker.life + 1)
        self.begin(number)

    def look(self, number: int) -> None:
        """Every second (``number`` is of no use): those that rest are asked again."""
        resting, self.resting = self.resting, deque()
        for other in dict.fromkeys(resting):
            worker = self.workers[other]
            if worker.alive and worker.running is None and not worker.hand:
                self.reply(other)
        self.at(1.0, "look", -1)

    # -- what they are made of ---------------------------------------------------------------

    def begin(self, number: int) -> None:
        self.at(self.cluster.load_s, "ready", number)
        if self.cluster.failures_per_hour:
            lasts = self.rng.expovariate(self.cluster.failures_per_hour / HOUR)
            self.at(self.cluster.load_s + lasts, "fail", number)

    def tell(self, number: int, trials: int) -> None:
        """Wait for the one process that keeps the journal, and for its answer."""
        cost = self.cluster.exchange_s + trials * self.cluster.line_s
        start = max(self.now, self.free)
        self.waited += start - self.now
        self.replies += 1
        self.busy += cost
        self.free = start + cost
        self.at(self.free - self.now, "reply", number)

    def go_on(self, number: int) -> None:
        worker = self.workers[number]
        if worker.running is None and worker.hand:
            worker.running = worker.hand.popleft()
            self.at(self.draw(), "finish", number)

    def late(self) -> list[int]:
        """The batch that is out longest, where others took far less; out of a run's last ones only."""
        done = math.ceil(self.cluster.trials / self.cluster.batch) - len(self.undone)
        if not self.cluster.twice or not done:
            return []
        limit = self.now - LATE * self.took / done
        late = next((batch for batch in self.given if batch not in self.again), None)
        if late is None or self.given[late] >= limit:
            return []
        self.again.add(late)
        return [late]

    def draw(self) -> float:
        c = self.cluster
        mean = c.batch * c.seconds
        if c.spread == math.inf:
            return self.rng.expovariate(1 / mean)
        seconds = mean * self.rng.lognormvariate(-c.spread * c.spread / 2, c.spread) if c.spread else mean
        return seconds * c.slow if c.straggle and self.rng.random() < c.straggle else seconds

    def at(self, delay: float, what: str, number: int) -> None:
        self.count += 1
        heapq.heappush(
            self.events, (self.now + delay, self.count, what, number, 0 if number < 0 else self.workers[number].life)
        )


def simulate(cluster: Cluster) -> Outcome:
    """One run on one journal, or on several that share trials and workers evenly: the last to end counts."""
    parts = [
        Simulation(
            replace(cluster, workers=cluster.workers // cluster.journals, trials=cluster.trials // cluster.journals,
                    seed=cluster.seed + part)
        ).run()
        for part in range(cluster.journals)
    ]  # fmt: skip
    last = max(parts, key=lambda part: part.makespan_s)
    return replace(
        last,
        ideal_s=sum(part.ideal_s for part in parts) / len(parts),
        failures=sum(part.failures for part in parts),
        repeated=sum(part.repeated for part in parts),
    )


def row(name: str, cluster: Cluster) -> str:
    found = simulate(cluster)
    hours = cluster.workers * found.makespan_s / HOUR
    return (
        f"| {name} | {found.makespan_s / 60:.1f} min | {found.efficiency:.3f} | {hours:.0f} | {found.failures} "
        f"| {found.repeated} | {100 * found.journal_busy:.1f} % |"
    )


HEAD = "| | makespan | efficiency | worker-hours | failures | repeated | journal busy |\n|---|---|---|---|---|---|---|"


def main(trials: int = 1_000_000, workers: int = 1000) -> None:
    base = Cluster(trials=trials, workers=workers)
    plain = replace(base, straggle=0.0, failures_per_hour=0.0, load_s=0.0, spread=0.0)
    print(HEAD)
    print(row("times all equal, nothing else", plain))
    print(row("+ loading, 60 s", replace(plain, load_s=60.0)))
    print(row("+ times spread by 30 %", replace(plain, load_s=60.0, spread=0.3)))
    print(row("+ failures, 1 % an hour", replace(base, straggle=0.0)))
    print(row("+ stragglers, 1 batch in 1,000 takes 20 times as long", replace(base, twice=False)))
    print(row("the same, late batches given to two", base))
    print(row("the same, failures 10 % an hour", replace(base, failures_per_hour=0.1)))
    print(row("the same, batches of 1", replace(base, batch=1)))
    print(row("the same, batches of 64", replace(base, batch=64)))
    print("\n| a trial takes | journals | trials/s | efficiency | journal busy |\n|---|---|---|---|---|")
    for seconds, journals in ((1.0, 1), (0.5, 1), (0.2, 1), (0.2, 4), (0.1, 1), (0.1, 2), (0.1, 4), (0.1, 8)):
        found = simulate(replace(base, seconds=seconds, journals=journals, straggle=0.0))
        rate = trials / found.makespan_s
        print(f"| {seconds} s | {journals} | {rate:.0f} | {found.efficiency:.3f} | {100 * found.journal_busy:.0f} % |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
