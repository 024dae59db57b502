"""The parent's side of a child process: start, ask, time out, replace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from tspbench.errors import UsageError
from tspbench.runner import priority
from tspbench.runner.answers import Trouble

LOG_TAIL = 2000
AHEAD_BYTES = 32 * 1024
"""What may lie in the pipe ahead of its turn. To write more than the pipe holds would be to wait for a child that may
itself wait for its parent to read."""
PIPE_BYTES = 4 * AHEAD_BYTES
"""What the pipe is made to hold each way: macOS gives it 8 KiB unasked."""
INSIDE = "TSPBENCH_WORKER"
BOOT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from tspbench.runner.child import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""
"""A child finds the modules that its parent finds, whatever folder it starts in."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""For processes of which there are several: their threads would fight for the cores."""
OPENBLAS = {"OPENBLAS_NUM_THREADS": "1"}
"""NumPy's threads cost systems more than they give, and sums would depend on their number. torch's are its own."""
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""Without it glibc gives every large array back to the kernel only to ask for it again."""


class ChildDied(Exception):
    """The child process is gone; the message says how, ``log`` is the end of what it printed."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass
class _Request:
    """What the child is asked; ``sent`` once it lies in the pipe."""

    number: int
    work: Any
    seconds: float | None
    message: bytes
    sent: bool = False


class Child:
    """One child process serving ``factory(*arguments)``.

    :meth:`send`, then wait on :attr:`connection`, then :meth:`receive`;
    :meth:`ask` does all three. Several requests may be under way: they are
    answered in their order, and the child goes from one to the next without
    waiting for its parent. What it prints is added to ``log_to`` when it ends.
    ``variables`` are set in its environment. A ``background`` child is one of
    several that work beside a system: it computes in one thread, and gives way.
    """

    def __init__(
        self,
        factory: Callable[..., Any],
        *arguments: Any,
        background: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        if os.environ.get(INSIDE):
            raise UsageError(
                "A system's file starts a run when it is imported. "
                'Put the call of tspbench.run under: if __name__ == "__main__":'
            )
        self._start = (0, "__start__", (factory, *arguments))
        self._number = 0
        self._environment = {
            **KEEP_MEMORY,
            **OPENBLAS,
            **os.environ,
            INSIDE: "1",
            **(ONE_THREAD if background else {}),
            **(variables or {}),
        }
        usual = priority.policy()
        self._policy = priority.giving_way(usual) if background else usual
        self.log_to: Path | None = None
        self.deadline: float | None = None
        self._under_way: deque[_Request] = deque()
        self._launch()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIPE_BYTES)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                BOOT,
                json.dumps([str(folder) for folder in sys.path]),
                str(theirs.fileno()),
                str(os.getpid()),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        priority.put_under(self._policy, self._process.pid)
        theirs.close()
        self.connection = Connection(ours.detach())
        self.connection.send(self._start)
        self._started = False

    @property
    def works(self) -> list[Any]:
        """What it was asked for and has not answered, as :meth:`send` was told; the first is what it is busy with."""
        return [request.work for request in self._under_way]

    @property
    def busy_with(self) -> Any:
        """The first of :attr:`works`, or None."""
        return self._under_way[0].work if self._under_way else None

    def send(self, method: str, *arguments: Any, busy_with: Any = None, seconds: float | None = None) -> None:
        """Ask without waiting. ``seconds`` sets :attr:`deadline` once the requests before are answered."""
        self._number += 1
        message = bytes(ForkingPickler.dumps((self._number, method, arguments)))
        work = busy_with if busy_with is not None else method
        self._under_way.append(_Request(self._number, work, seconds, message))
        try:
            if len(self._under_way) == 1:
                self._settle()
                self._begin()
            else:
                self._hand_over()
        except OSError:
            if len(self._under_way) == 1:
                raise self.death() from None
            # Its death is heard of when the answer before this one is waited for.

    def _begin(self) -> None:
        """The turn of the first request has come."""
        self.deadline = None
        if self._under_way:
            seconds = self._under_way[0].seconds
            self.deadline = None if seconds is None else time.monotonic() + seconds
            self._hand_over()

    def _hand_over(self) -> None:
        """Send the first request, and those behind it while there is room in the pipe, in their order."""
        ahead = 0
        for place, request in enumerate(self._under_way):
            ahead += len(request.message) if place else 0
            if ahead > AHEAD_BYTES:
                return
            if not request.sent:
                request.sent = True
                self.connection.send_bytes(request.message)

    def receive(self) -> Any:
        """The next answer, or the :class:`Trouble` that came instead of it; ChildDied when there is none."""
        request = self._under_way.popleft()
        try:
            number, value = self.connection.recv()
            while number != request.number:  # the echo of a process that forked in the middle of an earlier answer
                number, value = self.connection.recv()
        except (EOFError, OSError):
            self.deadline = None
            raise self.death() from None
        except Exception as error:  # what the child sent names something that only it knows
            value = Trouble(type(error).__name__, f"the answer cannot be read here: {error}", "")
        with contextlib.suppress(OSError):  # it died since: the next answer is the end of the line
            self._begin()
        return value

    def ask(self, method: str, *arguments: Any) -> Any:
        self.send(method, *arguments)
        return self.receive()

    @property
    def pid(self) -> int:
        return self._process.pid

    def replace(self) -> None:
        """Kill the process, whatever it does, and start a fresh one."""
        self.close()
        self._launch()

    def close(self) -> None:
        self._under_way.clear()
        self.deadline = None
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and whatever it started
        self._process.wait()
        if self.log_to is not None:
            self._keep_log(self.log_to)
        self._log.close()

    @property
    def exited(self) -> bool:
        """Is the process gone? A child of its own may still hold the line."""
        return self._process.poll() is not None

    @property
    def overdue(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def _keep_log(self, path: Path) -> None:
        self._log.seek(0)
        with contextlib.suppress(OSError):
            printed = self._log.read()
            if printed:
                with path.open("ab") as file:
                    file.write(printed)

    def _settle(self) -> None:
        """Take in the answer to the start request before anything else is asked."""
        if self._started:
            return
        try:
            _, value = self.connection.recv()
        except EOFError:
            raise self.death() from None
        self._started = True
        if isinstance(value, Trouble):
            raise value.error or ChildDied(f"{value.kind}: {value.message}", value.trace)

    def death(self) -> ChildDied:
        """How the process ended, and the end of what it printed."""
        code = self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - LOG_TAIL))
        return ChildDied(f"the worker process {how}", self._log.read().decode(errors="replace"))
