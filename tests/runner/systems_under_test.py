"""Systems for the runner's tests. ``Query.text`` is the number of the trial."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np


class Slow:
    """An honest system whose answer depends on the seed, slow enough to be interrupted."""

    queries = frozenset({"text"})

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds

    def extract(self, mixtures, lengths, queries):
        time.sleep(self.seconds * len(mixtures))
        return mixtures + 0.01 * np.random.standard_normal(mixtures.shape).astype(np.float32)


class Villain:
    """Misbehaves by the number of the trial."""

    queries = frozenset({"text"})

    def extract(self, mixtures, lengths, queries):
        numbers = [int(query.text) for query in queries]
        if any(n % 7 == 3 for n in numbers):
            raise ValueError("seventh")
        if any(n % 11 == 5 for n in numbers):
            return mixtures[:, :-1]
        if any(n % 13 == 6 for n in numbers):
            time.sleep(3600)
        if any(n % 17 == 8 for n in numbers):
            os._exit(9)
        if any(n % 19 == 9 for n in numbers):
            ctypes.string_at(0)
        return np.stack([m * np.nan if n % 5 == 4 else m for n, m in zip(numbers, mixtures, strict=True)])


class DiesLater:
    """Is killed in its fifth call, when answers of earlier ones may still be on their way; never again."""

    queries = frozenset({"text"})

    def __init__(self, mark: str = "") -> None:
        self.mark, self.calls = Path(mark), 0

    def extract(self, mixtures, lengths, queries):
        self.calls += 1
        if self.calls == 5 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), 9)
        return mixtures * np.float32([[int(query.text) + 1] for query in queries])


class Crowded:
    """Says in its answer whom it was asked about together; the process ends over the trial ``bad``."""

    queries = frozenset({"text"})

    def __init__(self, bad: int = -1) -> None:
        self.bad = bad

    def extract(self, mixtures, lengths, queries):
        numbers = [int(query.text) for query in queries]
        time.sleep(0.1)
        if self.bad in numbers:
            os._exit(1)
        return np.full_like(mixtures, 1 + sum(numbers))


class Mute:
    """Returns silence."""

    def extract(self, mixtures, lengths, queries):
        return np.zeros_like(mixtures)


class Hungry:
    """Has memory for two mixtures at a time; keeps count in ``log``, a file."""

    def __init__(self, log: str = "") -> None:
        self.log = log

    def extract(self, mixtures, lengths, queries):
        with Path(self.log).open("a") as file:
            file.write(f"{len(mixtures)} ")
        if len(mixtures) > 2:
            raise MemoryError
        return mixtures


class Doomed:
    """Dies on every trial."""

    def extract(self, mixtures, lengths, queries):
        os._exit(1)


class CannotLoad:
    def load(self, device):
        raise RuntimeError("the weights are somewhere else")

    def extract(self, mixtures, lengths, queries):
        return mixtures


class DiesOnce:
    """Dies the first time that it meets trial 2, as after a passing shortage of memory."""

    queries = frozenset({"text"})

    def __init__(self, marker: Path = Path("marker")) -> None:
        self.marker = marker

    def extract(self, mixtures, lengths, queries):
        if any(query.text == "2" for query in queries) and not self.marker.exists():
            self.marker.touch()
            os._exit(1)
        return mixtures


class Scribe:
    """Writes down words, and prints, which must not disturb the protocol."""

    queries = frozenset({"enrolment"})

    def transcribe(self, mixtures, lengths, queries):
        print("scribbling")
        print("scribbling", file=sys.stderr)
        return ["some words"] * len(mixtures)


class NeedsAudio:
    queries = frozenset({"audio"})

    def extract(self, mixtures, lengths, queries):
        return mixtures


class Options:
    def __init__(self, gain: float = 1.0, taps: int = 3, fast: bool = False) -> None:
        self.gain = gain

    def extract(self, mixtures, lengths, queries):
        return mixtures * self.gain


class BatchAware:
    """Its answer depends on the company of a trial, as some networks' do."""

    queries = frozenset({"text"})

    def extract(self, mixtures, lengths, queries):
        return mixtures / (1 + len(mixtures))


class Counted:
    """Leaves a mark every time that it is asked."""

    def __init__(self, marker: Path = Path("marker")) -> None:
        self.marker = marker

    def extract(self, mixtures, lengths, queries):
        with self.marker.open("a") as file:
            file.write("." * len(mixtures))
        return mixtures / 3


class Generative:
    aligned = False

    def extract(self, mixtures, lengths, queries):
        return mixtures


class Weighty:
    def weight_files(self):
        return [Path("nowhere/net.pt")]

    def extract(self, mixtures, lengths, queries):
        return mixtures
