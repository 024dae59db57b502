"""Who gives way on a busy machine.

Linux lets a process that is woken interrupt the one that woke it, on the same
core. So a system that hands over its answers would stand still while they are
written down, and its device with it. What renders, scores and writes is
marked as batch work, which waits for its turn. Elsewhere nothing is done.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

NORMAL: int | None = getattr(os, "SCHED_OTHER", None)
BATCH: int | None = getattr(os, "SCHED_BATCH", None)


def policy() -> int | None:
    """The scheduling policy of the calling thread, which what it starts inherits; None where there is no such thing."""
    return os.sched_getscheduler(0) if BATCH is not None else None


def giving_way(found: int | None) -> int | None:
    """The policy for batch work, where a process is under no other than the usual one."""
    return BATCH if found == NORMAL else found


def put_under(wanted: int | None, process: int = 0) -> None:
    """Put a process (0: the calling thread) under a policy."""
    if wanted is not None:
        with contextlib.suppress(OSError):  # some sandboxes forbid it, and the process may be gone
            os.sched_setscheduler(process, wanted, os.sched_param(0))


@contextlib.contextmanager
def standing_back() -> Iterator[None]:
    """The calling thread gives way for a while."""
    found = policy()
    put_under(giving_way(found))
    try:
        yield
    finally:
        put_under(found)


class Aside(ThreadPoolExecutor):
    """One thread of a system's process for the work beside the system, to which it gives way."""

    def __init__(self) -> None:
        super().__init__(1, initializer=_give_way)

    def stand_by(self) -> None:
        """Start the thread. Otherwise whoever has the first work for it waits until it runs."""
        self.submit(int)


def _give_way() -> None:
    put_under(giving_way(policy()))
