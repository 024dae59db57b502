"""Cutting what is longer than the network's ten seconds, and joining the pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tspbench.types import Audio


@dataclass(frozen=True)
class Chunks:
    """Where chunks of ``size`` samples start in a signal of ``length``, and how much neighbours overlap.

    With ``overlap`` 0 they lie side by side and the last is filled up with
    zeros. Otherwise each starts ``size - overlap`` after the one before, the
    last ends where the signal ends, and they are faded into one another.
    """

    length: int
    size: int
    overlap: int

    @property
    def starts(self) -> list[int]:
        if self.overlap == 0:
            return list(range(0, max(self.length, 1), self.size))
        last = max(0, self.length - self.size)
        return [*range(0, last, self.size - self.overlap), last]

    def cut(self, signal: Audio) -> Audio:
        """Shape (chunks, size)."""
        found = np.zeros((len(self.starts), self.size), dtype=np.float32)
        for chunk, start in zip(found, self.starts, strict=True):
            piece = signal[start : start + self.size]
            chunk[: len(piece)] = piece
        return found

    def join(self, chunks: Audio) -> Audio:
        """Shape (length,): the weighted mean of the chunks, weights falling linearly over the overlap."""
        total = np.zeros(self.starts[-1] + self.size)
        weight = np.zeros_like(total)
        for chunk, start in zip(chunks, self.starts, strict=True):
            total[start : start + self.size] += self._fade * chunk
            weight[start : start + self.size] += self._fade
        return np.asarray(total / weight, dtype=np.float32)[: self.length]

    @property
    def _fade(self) -> npt.NDArray[np.float64]:
        rise = np.minimum(1, np.arange(1, self.size + 1) / (self.overlap + 1))
        return np.minimum(rise, rise[::-1])
