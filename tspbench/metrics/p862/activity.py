"""Which windows of a signal hold speech, after P.862."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tspbench.metrics.ratios import Double, Samples

_ROUNDS = 12
"""In which the threshold between noise and speech settles."""
_SHORTEST, _JOINED = 4, 50
"""Windows: no longer a burst is no speech; no longer a gap is part of it."""


@dataclass(frozen=True)
class Activity:
    """The power of each window, zero where it holds no speech; and how far it lies above the threshold."""

    power: Double
    log: Double


def activity(filtered: Samples, window: int) -> Activity:
    """The activity of a signal, one value for every ``window`` samples that fit into it."""
    count = len(filtered) // window
    frames = filtered[: count * window].reshape(count, window)
    power = np.einsum("nt,nt->n", frames, frames).astype(np.float64) / window
    mean = power.mean()
    least = 1e-4 * power.max() if power.max() > 0 else 1.0
    power = np.maximum(power, least)
    threshold = _threshold(power, mean)
    loud = power > threshold
    if not loud.any():
        threshold = -1.0
    speech = _speech(np.where(power <= threshold, -power, power), power, loud, threshold, least)
    _soften(speech)
    power = np.maximum(speech, 0.0)
    if threshold <= 0:
        threshold = least
    log = np.log(np.maximum(power, threshold) / threshold)
    return Activity(power, log)


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, end) of every run of True."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _threshold(power: Double, threshold: float) -> float:
    """Two deviations above the mean of what lies below the threshold, again and again."""
    for _ in range(_ROUNDS):
        noise = power[power <= threshold]
        threshold = 1.001 * (noise.mean() + 2 * noise.std()) if noise.size else 0.0
    return float(threshold)


def _speech(signed: Double, power: Double, loud: npt.NDArray[np.bool_], threshold: float, least: float) -> Double:
    """Positive where there is speech: no short or faint bursts, no short gaps."""
    signed[[0, -1]] = -least
    for start, end in runs(signed > 0):
        if end - start <= _SHORTEST:
            signed[start:end] *= -1
    noise = power[~loud].mean() if not loud.all() else 1.0
    if loud.any() and power[loud].mean() >= 1000 * noise:
        for start, end in runs(signed > 0):
            if signed[start:end].sum() < 3 * threshold * (end - start):
                signed[start:end] *= -1
    found = runs(signed > 0)
    for (_, end), (start, _) in pairwise(found):
        if start - end <= _JOINED:
            signed[end:start] = least
    if not found:
        signed = np.abs(signed)
        signed[[0, -1]] = -least
    return signed


def _soften(speech: Double) -> None:
    """Two windows of slope before and after every run of speech."""
    last = len(speech) - 2
    for start, end in runs(speech > 0):
        top = max(start, 3)
        if start >= 2:
            speech[top - 2 : top] = np.array([0.1, 0.3]) * speech[top]
        if end < last:
            speech[end : end + 2] = np.array([0.3, 0.1]) * speech[end - 1]
