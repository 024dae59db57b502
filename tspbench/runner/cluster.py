"""Stations as actors of a Ray cluster.

Ray places them, carries what passes between them and the run, and says when
one is gone. ``ray`` is imported here alone, and only when it is asked for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tspbench.errors import MissingExtra, UsageError
from tspbench.runner.dispatch import Lost
from tspbench.runner.station import Lot, Post, Report, Station

SYSTEM_CPUS = 1
"""CPUs that a station takes for its system, beside those that render and score."""
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 900.0
"""A station that lives by Ray's word but answers nothing for so long is taken as lost."""
CLOSE_SECONDS = 10.0


@dataclass(frozen=True)
class Need:
    """What one station takes of a node."""

    cpus: int
    gpus: float

    def fits(self, resources: dict[str, float]) -> int:
        """How many of them a node has room for."""
        by_cpu = int(resources.get("CPU", 0) // self.cpus)
        return min(by_cpu, int(resources.get("GPU", 0) // self.gpus)) if self.gpus else by_cpu

    def __str__(self) -> str:
        return f"{_count(self.cpus, 'CPU')}" + (f" and {_count(self.gpus, 'GPU')}" if self.gpus else "")


class RayCluster:
    """A connection to a running cluster.

    Parameters
    ----------
    address
        ``HOST:PORT`` of the head node; None for the cluster that runs on this machine or that
        ``RAY_ADDRESS`` names.
    workers
        Stations; None for as many as the cluster has room for.
    pool
        Processes of each that render and score.
    gpus
        GPUs of each; a part of one where several share it.

    Raises
    ------
    MissingExtra
        Ray is not installed.
    UsageError
        No cluster answers, or it has no room for so many stations.
    """

    def __init__(self, address: str | None, workers: int | None, pool: int, gpus: float) -> None:
        self.need, self.pool = Need(SYSTEM_CPUS + pool, gpus), pool
        self._ours = _connect(address)
        room = sum(self.need.fits(node["Resources"]) for node in self._nodes())
        if room < max(1, workers or 1):
            offer = self.offer(room)
            self.close()
            raise UsageError(
                f"The cluster has {offer} of {self.need}, so --ray-workers {workers or 1} cannot start. "
                "Ask for fewer, or start more nodes."
            )
        self.size = workers or room

    def crew(self, post: Post) -> RayCrew:
        return RayCrew(self, post)

    def offer(self, room: int | None = None) -> str:
        """What the cluster has, in words."""
        nodes = self._nodes()
        total = {kind: sum(node["Resources"].get(kind, 0) for node in nodes) for kind in ("CPU", "GPU")}
        there = f"{_count(len(nodes), 'node')} with {_count(total['CPU'], 'CPU')} and {_count(total['GPU'], 'GPU')}"
        return there if room is None else f"{there}: room for {_count(room, 'worker')}"

    def record(self) -> dict[str, Any]:
        """How a run was carried out, for ``run.json``."""
        import ray

        return {
            "name": "ray",
            "version": ray.__version__,
            "workers": self.size,
            "nodes": len(self._nodes()),
            "cpus_per_worker": self.need.cpus,
            "gpus_per_worker": self.need.gpus,
        }

    def close(self) -> None:
        import ray

        if self._ours:
            ray.shutdown()

    def _nodes(self) -> list[dict[str, Any]]:
        import ray

        return [node for node in ray.nodes() if node["Alive"]]


class RayCrew:
    """The :class:`~tspbench.runner.dispatch.Crew` of a cluster."""

    def __init__(self, cluster: RayCluster, post: Post) -> None:
        import ray

        self._ray: Any = ray
        self._cluster = cluster
        self.size, self.pool = cluster.size, cluster.pool
        self._post = ray.put(post)
        # Not restarted by Ray: a fresh one needs other work than the one that is gone.
        self._make = ray.remote(Actor).options(
            num_cpus=cluster.need.cpus, num_gpus=cluster.need.gpus, max_restarts=0, max_task_retries=0
        )
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        self._asked: dict[int, float] = {}

    def start(self, number: int) -> None:
        """Ray starts it when and where there is room; until then the call waits."""
        self._actors[number] = self._make.remote(self._post)
        self._calls[self._actors[number].exchange.remote(())] = number

    def ask(self, number: int, lots: Sequence[Lot]) -> None:
        self._calls[self._actors[number].exchange.remote(lots)] = number
        self._asked[number] = time.monotonic()

    def wait(self, seconds: float) -> list[tuple[int, Report | Lost]]:
        calls = list(self._calls)
        if not calls:  # all rest; ray.wait wants something to wait for
            time.sleep(seconds)
            return []
        self._ray.wait(calls, timeout=seconds)
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        news = [(self._calls.pop(call), call) for call in ready]
        return [(number, self._receive(number, call)) for number, call in news] + self._silent()

    def offer(self) -> str:
        return f"the cluster has {self._cluster.offer()}"

    def close(self) -> list[bytes]:
        """End every station; what their systems printed last."""
        calls = [self._actors[number].close.remote() for number in self._asked if number in self._actors]
        printed = []
        with contextlib.suppress(Exception):
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=CLOSE_SECONDS) if calls else ([], [])
            for call in ready:
                with contextlib.suppress(self._ray.exceptions.RayError):
                    printed.append(self._ray.get(call))
        for actor in self._actors.values():
            self._ray.kill(actor)
        return printed

    def _receive(self, number: int, call: Any) -> Report | Lost:
        errors = self._ray.exceptions
        try:
            report: Report = self._ray.get(call)
        except errors.RayTaskError:
            raise  # a mistake of ours
        except errors.RayError as error:
            return self._loss(number, str(error))
        self._asked.setdefault(number, time.monotonic())
        return report

    def _silent(self) -> list[tuple[int, Report | Lost]]:
        now = time.monotonic()
        late = [
            (call, number)
            for call, number in self._calls.items()
            if now - self._asked.get(number, now) > SILENCE_SECONDS
        ]
        for call, _ in late:
            del self._calls[call]
        return [(number, self._loss(number, f"it gave no sign for {SILENCE_SECONDS:.0f} s")) for _, number in late]

    def _loss(self, number: int, how: str) -> Lost:
        self._asked.pop(number, None)
        self._ray.kill(self._actors.pop(number))  # where only the line to it is cut
        return Lost(f"the worker was lost ({' '.join(how.split())[:300]})")


class Actor:
    """A :class:`Station` that knows which node it is on."""

    def __init__(self, post: Post) -> None:
        import ray

        context = ray.get_runtime_context()
        address = ray.util.get_node_ip_address()
        self._station = Station(post, f"node {address} ({context.get_node_id()[:8]})")

    def exchange(self, lots: Sequence[Lot]) -> Report:
        return self._station.exchange(lots)

    def close(self) -> bytes:
        return self._station.close()


def _connect(address: str | None) -> bool:
    """Join the cluster; False where this process had joined one before."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # keeps Ray from warning about its future
    try:
        import ray
    except ImportError:
        raise MissingExtra("--executor ray", "ray") from None
    if ray.is_initialized():
        return False
    if address is not None:
        _must_answer(address)
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray cluster"
        raise UsageError(
            f"Cannot join {where}: {' '.join(str(error).split())[:300]} "
            "Start one with 'ray start --head' (docs/scaling.md), and run this on one of its nodes."
        ) from error
    return True


def _must_answer(address: str) -> None:
    """Ray itself would try for a minute."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal():
        raise UsageError(f"--ray-address {address}: write HOST:PORT of the head node, such as 10.0.0.1:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"--ray-address {address}: nothing answers there ({error.strerror or error}). "
            "Start the head node with: ray start --head --port=6379"
        ) from error


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"
