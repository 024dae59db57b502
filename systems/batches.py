"""Mixtures of one length go through a network together: nothing is padded that the network would hear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


def equal_lengths(lengths: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each length that occurs, and the rows that have it, in ascending order."""
    every = np.asarray(lengths, dtype=np.int64)
    for length in np.unique(every):
        yield int(length), np.flatnonzero(every == length)
