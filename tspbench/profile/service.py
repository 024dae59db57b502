"""The process in which a system is profiled: it builds, loads, calls and counts."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tspbench.prefix import cut_off, put_before
from tspbench.profile import memory
from tspbench.profile.material import Material
from tspbench.profile.memory import Memory
from tspbench.profile.model import Macs, Parameters, count_macs, count_parameters, held_modules
from tspbench.profile.timing import Lap, Stopwatch
from tspbench.runner.inference import SystemService, checked_estimates, checked_texts, seed_everything, to_numpy
from tspbench.system import SystemRef
from tspbench.types import Audio, Query


@dataclass(frozen=True)
class Calls:
    """What is asked of the system, as in a run of the task, and the seed before every call."""

    words: bool
    waveform: bool
    seed: int = 0


@dataclass(frozen=True)
class Loaded:
    """Seconds and bytes of getting ready.

    ``import_s``: importing the class and building it. ``rss_bare`` was taken
    before that, ``rss_before`` and ``rss_after`` around ``load``.
    """

    import_s: float
    load_s: float
    rss_bare: int | None
    rss_before: int | None
    rss_after: int | None
    rss_peak: int | None
    peaks_start_over: bool


class ProfileService(SystemService):
    """Serves one system for measuring."""

    def __init__(self, ref: SystemRef, options: Mapping[str, str]) -> None:
        self._rss_bare = memory.rss()
        start = time.perf_counter()
        super().__init__(ref, options)
        self._import_s = time.perf_counter() - start
        self._cuda: Any = None

    def take(self, material: Material, calls: Calls) -> None:
        """What the system will be called with; it counts as memory in use before loading."""
        self.material, self.calls = material, calls

    def load_timed(self, device: str) -> Loaded:
        """Load the weights and wait until they lie on the device."""
        before = memory.rss()
        start = time.perf_counter()
        self.load(device)
        if device == "cuda" and "torch" in sys.modules:
            self._cuda = sys.modules["torch"].cuda
            self._cuda.synchronize()
        seconds = time.perf_counter() - start
        after = memory.measure(self._cuda)
        reset = memory.start_over(self._cuda)
        return Loaded(self._import_s, seconds, self._rss_bare, before, after.rss, after.rss_peak, reset)

    def start_over(self) -> None:
        """Give free memory back; high-water marks start again."""
        memory.start_over(self._cuda)

    def memory(self) -> Memory:
        return memory.measure(self._cuda)

    def burst(self, seconds: float, size: int, most: int, most_s: float) -> list[Lap]:
        """Time up to ``most`` calls on ``size`` excerpts of ``seconds``, starting none after ``most_s``."""
        stopwatch = Stopwatch(self._cuda)
        laps: list[Lap] = []
        end = time.perf_counter() + most_s
        while not laps or (len(laps) < most and time.perf_counter() < end):
            laps.append(self._lap(stopwatch, seconds, size))
        return laps

    def parameters(self) -> Parameters | None:
        return count_parameters(self.system)

    def macs(self, seconds: float) -> Macs | None:
        """Of one call on one excerpt; None for a system that holds no torch module."""
        if not any(held_modules(self.system)):
            return None
        inputs = put_before(*self.material.batch(seconds, 1), self.prefix)
        return count_macs(lambda: self._call(*inputs))

    def threads(self) -> int | None:
        """torch's threads within an operator; None without torch."""
        torch = sys.modules.get("torch")
        return int(torch.get_num_threads()) if torch else None

    def extract_one(self, mixture: Audio, query: Query) -> Audio:
        """The estimate (T,) of one mixture (T,)."""
        seed_everything(self.calls.seed)
        alone = np.array([len(mixture)], dtype=np.int64)
        given, lengths, queries = put_before(mixture[None].copy(), alone, [query], self.prefix)
        shape = given.shape
        estimate = checked_estimates(self.system.extract(given, lengths, queries), shape)
        found: Audio = cut_off(estimate, lengths, queries, len(mixture))[0]
        return found

    def _lap(self, stopwatch: Stopwatch, seconds: float, size: int) -> Lap:
        inputs = put_before(*self.material.batch(seconds, size), self.prefix)
        shape = inputs[0].shape
        seed_everything(self.calls.seed)
        answers: list[tuple[Any, Any]] = []
        lap = stopwatch.time(lambda: answers.append(self._call(*inputs)))
        texts, estimates = answers[0]
        if self.calls.words:
            checked_texts(texts, size)
        if self.calls.waveform:
            checked_estimates(estimates, shape)
        return lap

    def _call(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: list[Query]) -> tuple[Any, Any]:
        """One call as in a run, to the end: an estimate on the GPU is brought home."""
        texts = estimates = None
        if self.calls.words:
            texts = self.system.transcribe(mixtures.copy() if self.calls.waveform else mixtures, lengths, queries)
        if self.calls.waveform:
            estimates = to_numpy(self.system.extract(mixtures, lengths, queries))
        return texts, estimates
