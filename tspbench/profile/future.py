"""Algorithmic latency, found by test: change the future and see from where on the answer changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tspbench.profile.material import Excerpt, with_truth
from tspbench.types import Audio, Query

Extract = Callable[[Audio, Query], Audio]
"""Estimate (T,) of one mixture (T,)."""

TOLERANCE = 1e-5
"""Of the answer's peak: smaller changes are float32's rounding."""
LOUDER = 10.0
"""The other future is 20 dB above the signal: more would lift the rounding of long Fourier transforms over the bar."""
NEAR_START = 0.05
"""Of the length: an answer that changes before it, wherever the future begins, depends on the whole file."""
POSITIONS = 6
FEWEST_CALLS = 2 + POSITIONS
MOST_CALLS = 30


@dataclass(frozen=True)
class Lookahead:
    """``samples`` of the future that an output sample depends on; None for the whole file or when not found."""

    samples: int | None
    whole_file: bool = False
    reason: str = ""
    calls: int = 0


def find_lookahead(extract: Extract, excerpt: Excerpt, calls: int = MOST_CALLS) -> Lookahead:
    """How far into the future a system looks.

    From sample t on, mixture (and truth) are replaced by noise, 20 dB louder.
    The first output sample that changes by more than 1e-5 of the peak,
    subtracted from t, is the look-ahead seen there. Six t are tried; from the
    one that showed most, t is moved to the end of its frame by bisection. It
    is a lower bound: the edges of a tapered window, which weigh next to
    nothing, are not seen.

    Parameters
    ----------
    calls
        Most calls of the system, at least :data:`FEWEST_CALLS`.
    """
    probe = _Probe(extract, _noisy(excerpt))
    if not probe.answer.any() or not np.isfinite(probe.answer).all():
        what = "silent" if not probe.answer.any() else "not finite"
        return Lookahead(None, reason=f"the answer is {what}", calls=1)
    if probe.first_difference(extract(probe.excerpt.mixture, probe.excerpt.query)) is not None:
        return Lookahead(None, reason="two calls with the same input and seed differ", calls=probe.calls)
    length = len(excerpt.mixture)
    found = {t: i for t in _positions(length) if (i := probe.first_change(t)) is not None}
    if not found:
        return Lookahead(None, reason="the answer does not depend on the mixture", calls=probe.calls)
    if max(found.values()) <= NEAR_START * length:
        return Lookahead(None, whole_file=True, calls=probe.calls)
    best = max(found, key=lambda t: t - found[t])
    return Lookahead(_to_end_of_frame(probe, best, best - found[best], calls), calls=probe.calls)


class _Probe:
    """The answer to the unchanged input, and where answers to others part from it."""

    def __init__(self, extract: Extract, excerpt: Excerpt) -> None:
        self._extract, self.excerpt = extract, excerpt
        self.calls = 2  # this one and the repetition of it
        self.answer = extract(excerpt.mixture, excerpt.query)
        self._threshold = TOLERANCE * float(np.abs(self.answer).max(initial=0.0))

    def first_change(self, t: int) -> int | None:
        """The first output sample that changes when the future begins at sample t."""
        self.calls += 1
        mixture = _other_future(self.excerpt.mixture, t)
        query = with_truth(self.excerpt.query, lambda signal: _other_future(signal, t))
        return self.first_difference(self._extract(mixture, query))

    def first_difference(self, answer: Audio) -> int | None:
        changed = np.flatnonzero(np.abs(answer - self.answer) > self._threshold)
        return int(changed[0]) if len(changed) else None


def _to_end_of_frame(probe: _Probe, t: int, most: int, calls: int) -> int:
    """The most look-ahead from t on, where it grows with t up to the end of a frame: steps that double, then halve."""
    low, high, step = t, None, 32
    limit = len(probe.answer) - 1
    while probe.calls < calls and (high is None or high - low > 1):
        middle = min(low + step, limit) if high is None else (low + high) // 2
        reached = probe.first_change(middle) if middle > low else None
        if reached is not None and middle - reached > most:
            low, most, step = middle, middle - reached, step * 2
        else:
            high = middle
    return most


def _positions(length: int) -> list[int]:
    """Six odd places in the third quarter, at as many phases of any frame."""
    spread = (0.618033988749895 * np.arange(POSITIONS)) % 1
    return sorted({int(length * (0.5 + 0.3 * part)) | 1 for part in spread})


def _noisy(excerpt: Excerpt) -> Excerpt:
    """With noise 20 dB below it: a change in a silent stretch would not be seen."""
    noise = np.random.default_rng(11).standard_normal(len(excerpt.mixture)).astype(np.float32)
    added = noise * np.float32(0.1 * max(_level(excerpt.mixture), 1e-3))
    return Excerpt(
        trial_id=excerpt.trial_id,
        mixture=excerpt.mixture + added,
        target=excerpt.target,
        query=with_truth(excerpt.query, lambda signal: signal + added),
    )


def _other_future(signal: Audio, t: int) -> Audio:
    """The signal with everything from sample t on replaced by loud noise."""
    changed = signal.copy()
    noise = np.random.default_rng(t).standard_normal((*signal.shape[:-1], signal.shape[-1] - t))
    changed[..., t:] = noise * (LOUDER * max(_level(signal), 1e-3))
    return changed


def _level(signal: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if signal.size else 0.0
