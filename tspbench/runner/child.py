"""A child process that serves one object.

The parent sends ``(number, method, arguments)`` over a pipe; the child answers
``(number, result)``, the result being a ``Trouble`` when it failed. Whatever the served code
prints goes to the child's log, and a child never outlives its parent.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from tspbench.errors import TspbenchError, UsageError
from tspbench.runner.answers import Trouble


def serve(connection: Connection) -> None:
    """Answer requests until the parent hangs up. The first request names the service."""
    own = os.getpid()
    service: Any = None
    reply: Any
    while True:
        try:
            number, method, arguments = connection.recv()
        except EOFError:
            return
        try:
            if method == "__start__":
                factory, arguments = arguments[0], arguments[1:]
                service, result = factory(*arguments), None
            else:
                result = getattr(service, method)(*arguments)
            reply = result
        except Exception as error:
            reply = _trouble(error)
        if os.getpid() != own:
            os._exit(0)  # the copy that a system's fork let return: one process answers
        try:
            connection.send((number, reply))
        except Exception as error:  # it holds what no other process can know, a lock for instance
            connection.send((number, _plain(reply, error)))


def _trouble(error: Exception) -> Trouble:
    # A system's own subclass of an error is known in this process alone.
    known = error if isinstance(error, TspbenchError) and type(error).__module__ == "tspbench.errors" else None
    if known is None and isinstance(error, UsageError):
        known = UsageError(str(error))
    return Trouble(type(error).__name__, str(error), traceback.format_exc(), known, getattr(error, "errno", None))


def _plain(reply: Any, error: Exception) -> Trouble:
    """What can be told of an answer that cannot be sent."""
    if isinstance(reply, Trouble):
        return Trouble(reply.kind, reply.message, reply.trace)
    return Trouble(type(error).__name__, f"the answer cannot be sent: {error}", "")


def _die_with_parent(parent: int) -> None:
    """Linux: be killed when the parent is, even in the middle of a computation."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be asked for
            sys.exit()


def main(descriptor: int, parent: int) -> None:
    """Serve over an inherited file descriptor until the parent hangs up."""
    faulthandler.enable()
    _die_with_parent(parent)
    connection = Connection(descriptor)
    os.dup2(2, 1)  # what a system prints belongs in the log
    serve(connection)
