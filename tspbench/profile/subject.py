"""The parent's side of a system that is profiled: ask, give up in time, start again after a crash."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tspbench.errors import CannotMeasure
from tspbench.profile import memory
from tspbench.profile.material import Material
from tspbench.profile.memory import Memory
from tspbench.profile.service import Calls, Loaded, ProfileService
from tspbench.profile.timing import Lap
from tspbench.runner.answers import SystemInfo, Trouble
from tspbench.runner.process import Child, ChildDied
from tspbench.runner.request import describe
from tspbench.system import Card, SystemRef
from tspbench.types import Audio, Query

OUT_OF_MEMORY = re.compile(r"out of memory|memoryerror|outofmemory|(can't|unable to|cannot) allocate", re.IGNORECASE)


class Failed(Exception):
    """The system gave no answer; the message says why. ``memory``: for want of memory, it seems."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.memory = bool(OUT_OF_MEMORY.search(message))


class Subject:
    """A system in a child process of its own.

    Raises
    ------
    UsageError
        The system cannot be built.
    """

    def __init__(self, ref: SystemRef, options: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.ref = ref
        self._driver_before = memory.driver_used()
        self._child = Child(ProfileService, ref, options, variables=variables)
        try:
            self.info: SystemInfo = describe(self._child)
        except BaseException:
            self._child.close()
            raise
        self._ready = False

    @property
    def card(self) -> Card | None:
        return self.ref.card

    def set_up(self, material: Material, calls: Calls, device: str, time_limit_s: float) -> None:
        """Settle what every call is made with."""
        self._set_up = (material, calls)
        self.calls, self.device, self.time_limit_s = calls, device, time_limit_s

    def load(self) -> Loaded:
        """Load, for the first time or after a crash; CannotMeasure (or the user's error) when that fails."""
        try:
            self._ask("take", *self._set_up)
            loaded = self._ask("load_timed", self.device)
        except Failed as failure:
            raise CannotMeasure(f"{self.info.label} cannot be loaded: {failure}") from failure
        assert isinstance(loaded, Loaded)
        self._ready = True
        return loaded

    def ask(self, method: str, *arguments: Any) -> Any:
        """A request to the loaded system; Failed when it raises, dies or takes too long."""
        if not self._ready:
            self.load()
        return self._ask(method, *arguments)

    def burst(self, seconds: float, size: int, most: int, most_s: float) -> list[Lap]:
        laps: list[Lap] = self.ask("burst", seconds, size, most, most_s)
        return laps

    def extract(self, mixture: Audio, query: Query) -> Audio:
        estimate: Audio = self.ask("extract_one", mixture, query)
        return estimate

    def memory(self) -> Memory:
        found = self.ask("memory")
        assert isinstance(found, Memory)
        return found

    def driver_bytes(self) -> tuple[int | None, str]:
        """GPU memory that the driver counts for the child now, and how that was found."""
        return memory.driver_bytes(self._child.pid, self._driver_before)

    @contextmanager
    def lent(self) -> Iterator[Child]:
        """The process itself, loaded, for other work than calls."""
        if not self._ready:
            self.load()
        pid = self._child.pid
        try:
            yield self._child
        finally:
            self._ready = self._child.pid == pid and not self._child.exited and self._child.busy_with is None
            if not self._ready:
                self._child.replace()

    def close(self) -> None:
        self._child.close()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._child.send(method, *arguments)
            if not self._child.connection.poll(self.time_limit_s):
                self._restart()
                raise Failed(f"no answer within {self.time_limit_s:g} s")
            value = self._child.receive()
        except ChildDied as death:
            self._restart()
            killed = " (out of memory?)" if "SIGKILL" in str(death) else ""
            raise Failed(f"{death}{killed} {_last_line(death.log)}".strip()) from death
        if isinstance(value, Trouble):
            if value.error is not None and not self._ready:
                raise value.error
            raise Failed(f"{value.kind}: {value.message}")
        return value

    def _restart(self) -> None:
        self._child.replace()
        self._ready = False


def _last_line(log: str) -> str:
    lines = log.strip().splitlines()
    return lines[-1][:200] if lines else ""
