"""A crew of stations in threads of this process: what a cluster does, without one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

from tspbench.runner.dispatch import Lost
from tspbench.runner.station import Lot, Post, Report, Station


class ThreadCluster:
    """Stands for ``RayCluster``.

    ``losses``: the replies (counted over all stations) in whose place a station is lost. ``fatal``: a trial that takes
    every station with it. ``deaf``: no station ever answers; ``stuck``: this one takes work and never answers.
    ``shares``: trials done by each station.
    """

    def __init__(
        self,
        size: int,
        losses: Sequence[int] = (),
        fatal: str | None = None,
        deaf: bool = False,
        stuck: int | None = None,
    ) -> None:
        self.size, self.pool = size, 1
        self.losses, self.fatal, self.deaf, self.stuck = set(losses), fatal, deaf, stuck
        self.shares = [0] * size
        self.lost = 0

    def crew(self, post: Post) -> ThreadCrew:
        return ThreadCrew(self, post)

    def record(self) -> dict[str, Any]:
        return {"name": "threads", "workers": self.size}


class ThreadCrew:
    def __init__(self, cluster: ThreadCluster, post: Post) -> None:
        self.cluster, self.post = cluster, post
        self.size, self.pool = cluster.size, cluster.pool
        # A thread of its own for each: the processes that a thread starts end with it.
        self.threads = [ThreadPoolExecutor(1) for _ in range(self.size)]
        self.stations: dict[int, Station] = {}
        self.calls: dict[Future[Report], int] = {}
        self.doomed: set[int] = set()
        self.replies = 0

    def start(self, number: int) -> None:
        self.stations[number] = Station(self.post, f"place {number}")
        self.ask(number, ())

    def ask(self, number: int, lots: Sequence[Lot]) -> None:
        if any(self.cluster.fatal in lot.batch.trial_ids for lot in lots):
            self.doomed.add(number)
        if not self.cluster.deaf and not (lots and number == self.cluster.stuck):
            self.calls[self.threads[number].submit(self.stations[number].exchange, lots)] = number

    def wait(self, seconds: float) -> list[tuple[int, Report | Lost]]:
        if not self.calls:
            time.sleep(0.1)
        first = self.replies == 0  # all begin at the same time
        timeout, until = (None, "ALL_COMPLETED") if first else (seconds, "FIRST_COMPLETED")
        done, _ = wait_for(self.calls, timeout=timeout, return_when=until)
        return [self.receive(self.calls.pop(call), call) for call in done]

    def receive(self, number: int, call: Future[Report]) -> tuple[int, Report | Lost]:
        self.replies += 1
        report = call.result()
        if number in self.doomed or self.replies in self.cluster.losses:
            self.doomed.discard(number)
            self.cluster.lost += 1
            self.threads[number].submit(self.stations.pop(number).close).result()
            return number, Lost("the node ran out of memory")
        self.cluster.shares[number] += len(report.done)
        return number, report

    def offer(self) -> str:
        return f"there are {self.size} places"

    def close(self) -> list[bytes]:
        printed = [self.threads[number].submit(station.close).result() for number, station in self.stations.items()]
        for thread in self.threads:
            thread.shutdown()
        return printed
