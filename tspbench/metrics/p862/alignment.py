"""Where the utterances of a target lie in an estimate, after P.862: delays may differ from one to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, groupby, pairwise
from operator import itemgetter

from tspbench.metrics.p862.activity import Activity, runs
from tspbench.metrics.p862.delays import Coarse, Frames, coarse
from tspbench.metrics.p862.filters import Single
from tspbench.metrics.p862.tables import SEARCH, Parameters

MOST = 50
"""Utterances that the Recommendation's own program has room for."""
_SHORTEST = 50
"""Windows of an utterance."""
_SPLIT = 200
"""Windows from which on an utterance may be split where its delay changes."""
_BREAKS = 40
"""Places at which that is tried."""
_MORE = 1 + 1e-6
"""By how much a share of votes must be larger to be so beyond the rounding of single precision."""

Run = tuple[int, int]
Votes = Callable[[int, list[int]], list[tuple[int, float]]]


class NoUtterance(ValueError):
    """The target holds no speech that the estimate could hold too."""


class TooManyUtterances(ValueError):
    """There are more than :data:`MOST`."""


@dataclass(frozen=True)
class Utterance:
    """From window ``start`` to ``end`` of the target; the estimate has it ``delay`` samples later.

    ``coarse`` is that delay in windows, as it was found first; ``share`` is how
    much of the utterance votes for ``delay``.
    """

    start: int
    end: int
    coarse: int
    delay: int
    share: float


@dataclass(frozen=True)
class Half:
    """One side of a place where an utterance may be split."""

    coarse: int
    delay: int
    share: float


@dataclass(frozen=True)
class Aligner:
    """Aligns an estimate with its target. ``samples``: of the signals with the silence around them."""

    target: Activity
    estimate: Activity
    frames: Frames
    samples: int
    parameters: Parameters

    def utterances(self) -> list[Utterance]:
        """The utterances in order.

        Raises
        ------
        NoUtterance, TooManyUtterances
        """
        shift = self._coarse([(0, len(self.target.log))], 0)[0].delay
        found = self._speech(shift)
        if not found:
            raise NoUtterance("no utterance")
        if len(found) > MOST:
            raise TooManyUtterances(f"{len(found)} utterances, more than {MOST}")
        return self._split_all(self._bounded([self._located(run, shift) for run in found]))

    def _coarse(self, spans: Sequence[Run], shift: int) -> list[Coarse]:
        return coarse(self.target.log, self.estimate.log, spans, shift)

    def _speech(self, shift: int) -> list[Run]:
        """Runs of speech in the target that are long enough, and lie within the estimate."""
        first = _SHORTEST - shift
        last = towards_zero(self.samples - shift * self.parameters.window, self.parameters.window) - _SHORTEST
        longest = len(self.target.power) - 1
        speech = [(start, min(end, longest)) for start, end in runs(self.target.power > 0)]
        return [(start, end) for start, end in speech if end - start >= _SHORTEST and start < last and end > first]

    def _located(self, run: Run, shift: int) -> Utterance:
        window = self.parameters.window
        start, end = max(run[0] - SEARCH, 0), min(run[1] + SEARCH, len(self.target.power) - 1)
        delay = self._coarse([(start, end)], shift)[0].delay
        ((lag, share),) = self._forwards(start, delay, [end])
        return Utterance(*run, delay, delay * window + lag, share)

    def _bounded(self, found: list[Utterance]) -> list[Utterance]:
        """Utterances that meet in the middle of the gap between them, and begin and end within the estimate."""
        window, lead = self.parameters.window, self.parameters.lead
        starts = [SEARCH] + [towards_zero(b.start + a.end, 2) for a, b in pairwise(found)]
        ends = [*starts[1:], len(self.target.power) - SEARCH]
        delays = [utterance.delay for utterance in found]
        if starts[0] * window + delays[0] < lead:
            starts[0] = SEARCH + towards_zero(window - 1 - delays[0], window)
        if ends[-1] * window + delays[-1] > self.samples - lead:
            ends[-1] = towards_zero(self.samples - delays[-1], window) - SEARCH
        for i in range(1, len(found)):
            start, end = starts[i] * window + delays[i], ends[i - 1] * window + delays[i - 1]
            if start < end:  # they overlap in the estimate
                middle = towards_zero(start + end, 2)
                starts[i] = towards_zero(window - 1 + middle - delays[i], window)
                ends[i - 1] = towards_zero(middle - delays[i - 1], window)
        return [replace(each, start=a, end=b) for each, a, b in zip(found, starts, ends, strict=True)]

    # -- changes of the delay within an utterance ----------------------------------------------

    def _split_all(self, found: list[Utterance]) -> list[Utterance]:
        i = 0
        while i < len(found) < MOST:
            halves = self._split(found[i])
            if halves:
                found[i : i + 1] = halves
            else:
                i += 1
        return found

    def _split(self, whole: Utterance) -> list[Utterance]:
        """The two parts of an utterance that agree better on two delays than the whole does on one, if any."""
        speech = self._trimmed(whole)
        if speech[1] - speech[0] < _SPLIT:
            return []
        best: tuple[int, Half, Half] | None = None
        for place, before, after in self._tried(whole, _breaks(*speech, self._step)):
            jump = abs(after.delay - before.delay) >= self.parameters.window
            better = best is None or before.share + after.share > best[1].share + best[2].share
            if jump and better and after.share > whole.share * _MORE:
                best = place, before, after
        return self._halves(whole, *best) if best else []

    @property
    def _step(self) -> int:
        return self.frames.hop // self.parameters.window

    def _trimmed(self, whole: Utterance) -> Run:
        """Where the speech of an utterance begins and ends."""
        power, (start, end) = self.target.power, (whole.start, whole.end)
        while start < whole.end and power[start] <= 0:
            start += 1
        while end > whole.start and power[end] <= 0:
            end -= 1
        return start, end + 1

    def _tried(self, whole: Utterance, places: list[int]) -> list[tuple[int, Half, Half]]:
        """What is before and after some places, where the part before agrees better than the whole."""
        before = self._coarse([(whole.start, place) for place in places], whole.coarse)
        after = self._coarse([(place, whole.end) for place in places], whole.coarse)
        aligner = replace(self, frames=replace(self.frames, window=self._overwritten(before, after)))
        first = aligner._parts(places, before, partial(aligner._forwards, whole.start))
        better = {
            place: each for place, each in zip(places, after, strict=True) if first[place].share > whole.share * _MORE
        }
        second = aligner._parts([*better], [*better.values()], partial(aligner._backwards, whole.end))
        return [(place, first[place], second[place]) for place in better]

    def _overwritten(self, before: Sequence[Coarse], after: Sequence[Coarse]) -> Single:
        """The frames' window as it is when splits are tried.

        In the Recommendation's program it shares its memory with the
        correlations of the coarse delays: those of long utterances reach into it.
        """
        window = self.frames.window.copy()
        below = 3 * window.size + 6
        for found in chain.from_iterable(zip(before, after, strict=True)):
            rest = found.correlation[below:][: window.size]
            window[: rest.size] = rest
        return window

    def _parts(self, places: list[int], found: list[Coarse], votes: Votes) -> dict[int, Half]:
        """One side of each place; those with the same coarse delay share their frames."""
        parts = {}
        by_delay = sorted((each.delay, place) for each, place in zip(found, places, strict=True))
        for delay, group in groupby(by_delay, itemgetter(0)):
            members = [place for _, place in group]
            for place, (lag, share) in zip(members, votes(delay, members), strict=True):
                parts[place] = Half(delay, delay * self.parameters.window + lag, share)
        return parts

    def _forwards(self, start: int, shift: int, ends: list[int]) -> list[tuple[int, float]]:
        """Votes of the frames from window ``start`` to each of ``ends`` (ascending)."""
        window, size, hop = self.parameters.window, self.frames.size, self.frames.hop
        at = max(start, -shift) * window
        later = at + shift * window
        room = self.samples - size - later
        counts = [max(0, min(end * window - size - at, room) // hop + 1) for end in ends]
        return self.frames.agreement(at, later, counts, hop)

    def _backwards(self, end: int, shift: int, starts: list[int]) -> list[tuple[int, float]]:
        """Votes of the frames from window ``end`` back to each of ``starts`` (ascending)."""
        window, size, hop = self.parameters.window, self.frames.size, self.frames.hop
        later = min((end + shift) * window, self.samples) - size
        at = later - shift * window
        counts = [max(0, min(later, at - start * window) // hop + 1) for start in reversed(starts)]
        return self.frames.agreement(at, later, counts, -hop)[::-1]

    def _halves(self, whole: Utterance, place: int, before: Half, after: Half) -> list[Utterance]:
        window, lead = self.parameters.window, self.parameters.lead
        apart = max(0, after.delay - before.delay) // (2 * window)
        start, end = whole.start, whole.end
        if (start - SEARCH) * window + before.delay < 0:
            start = SEARCH + towards_zero(window - 1 - before.delay, window)
        if end * window + after.delay > self.samples - lead:
            end = towards_zero(self.samples - after.delay, window) - SEARCH
        last = len(self.target.power) - 1
        return [
            Utterance(start, min(place + apart, last), before.coarse, before.delay, before.share),
            Utterance(max(place - apart, 0), end, after.coarse, after.delay, after.share),
        ]


def _breaks(start: int, end: int, step: int) -> list[int]:
    """Windows at which to try a split."""
    length = end - start
    apart = step * int((0.801 * length + _BREAKS * step - 1) / (_BREAKS * step))
    pad = max(length // 10, SEARCH)
    return list(range(start + pad, end - pad + 1, apart))[:_BREAKS]


def towards_zero(number: int, by: int) -> int:
    """Division of integers as the Recommendation's program does."""
    return math.trunc(number / by)
