"""Batches as a system is given them, read while it is busy with the one before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.runner.answers import Ask, Prepared
from tspbench.runner.priority import Aside
from tspbench.types import Audio, Query


@dataclass(frozen=True)
class Fed:
    """Mixtures (B, T), padded with zeros at the end; their lengths (B,); one query for each."""

    mixtures: Audio
    lengths: npt.NDArray[np.int64]
    queries: tuple[Query, ...]

    @classmethod
    def read(cls, asks: Sequence[Ask]) -> Fed:
        prepared = [Prepared.load(ask.scratch) for ask in asks]
        lengths = np.array([len(item.mixture) for item in prepared], dtype=np.int64)
        mixtures = np.stack([audio.fit(item.mixture, int(lengths.max())) for item in prepared])
        return cls(mixtures, lengths, tuple(item.query for item in prepared))

    def part(self, start: int, end: int) -> Fed:
        """Some of its rows, no longer than they need be."""
        lengths = self.lengths[start:end]
        return Fed(self.mixtures[start:end, : lengths.max()].copy(), lengths, self.queries[start:end])


class Feed:
    """Reads one batch ahead in a thread; reading and padding leave the interpreter to the system."""

    def __init__(self) -> None:
        self._thread = Aside()
        self._ahead: tuple[tuple[Ask, ...], Future[Fed]] | None = None

    def stand_by(self) -> None:
        """Be ready to read at once."""
        self._thread.stand_by()

    def take(self, asks: Sequence[Ask]) -> Fed:
        """A batch; from memory where it is the one that was read ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == tuple(asks):
            return ahead[1].result()
        return Fed.read(asks)

    def read_ahead(self, asks: Sequence[Ask]) -> None:
        """Begin to read what will probably be asked for next."""
        if asks:
            self._ahead = tuple(asks), self._thread.submit(Fed.read, tuple(asks))
