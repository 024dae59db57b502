"""Systems for ``test_regressions.py``. ``Query.text`` is the number of the trial."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Literal

from tspbench.errors import MissingWeights, UsageError


class DiesIdle:
    """Its worker dies a little after it was asked for something, when nobody waits for it."""

    def __init__(self, after: Literal["describe", "load", "extract"] = "extract", seconds: float = 0.05) -> None:
        self.after, self.seconds = after, seconds

    def weight_files(self):
        self._die_soon("describe")
        return []

    def load(self, device):
        self._die_soon("load")

    def extract(self, mixtures, lengths, queries):
        self._die_soon("extract")
        return mixtures

    def _die_soon(self, moment):
        if moment == self.after:
            threading.Timer(self.seconds, os._exit, (5,)).start()


class OwnError(UsageError):
    """Nobody but this file knows it, and it takes more than a message."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")
        self.lock = threading.Lock()


class Exotic:
    """Raises what cannot be sent to another process."""

    queries = frozenset({"text"})

    def extract(self, mixtures, lengths, queries):
        number = int(queries[0].text)
        if number == 0:
            raise OwnError("broken", "home")
        if number in (1, 2):
            error = (ValueError if number == 1 else UsageError)("held by a lock")
            error.lock = threading.Lock()
            raise error
        return mixtures


class Text(str):
    """Text with something on it, as tokenisers return."""


class Tokens:
    """Writes down words of a type of its own."""

    def transcribe(self, mixtures, lengths, queries):
        return [Text("some words") for _ in mixtures]


class LooksForWeights:
    """Finds out only while loading that its checkpoint is not there."""

    def load(self, device):
        raise MissingWeights("put net.pt beside the system")

    def extract(self, mixtures, lengths, queries):
        return mixtures


class LosesWeights:
    """Dies on trial 9, and its checkpoint is gone when it is loaded again."""

    queries = frozenset({"text"})

    def __init__(self, marker: Path = Path("marker")) -> None:
        self.marker = marker

    def load(self, device):
        if self.marker.exists():
            raise MissingWeights("net.pt is gone")

    def extract(self, mixtures, lengths, queries):
        if any(query.text == "9" for query in queries):
            self.marker.touch()
            os._exit(1)
        return mixtures


class LeavesAChild:
    """On trial 1 it dies, and a child of its own holds the line to the harness."""

    queries = frozenset({"text"})

    def extract(self, mixtures, lengths, queries):
        if any(query.text == "1" for query in queries):
            if os.fork() == 0:
                time.sleep(120)
            os._exit(7)
        return mixtures


class TwoWeights:
    """Two checkpoints of one name."""

    def __init__(self, root: Path = Path()) -> None:
        self.root = root

    def weight_files(self):
        return [self.root / "encoder" / "net.pt", self.root / "decoder" / "net.pt"]

    def extract(self, mixtures, lengths, queries):
        return mixtures
