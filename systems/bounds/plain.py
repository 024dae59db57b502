"""Bounds without a transform: the mixture, silence and the target itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.system import System
from tspbench.types import Audio, Query, QueryKind


class Mixture(System):
    """The mixture as it came: what doing nothing scores."""

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        return mixtures.copy()


class Silence(System):
    """Zeros: what returning nothing scores."""

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        return np.zeros_like(mixtures)


class Clean(System):
    """The target itself, zeros where it is absent."""

    queries = frozenset({QueryKind.TRUTH})

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        estimates = np.zeros_like(mixtures)
        for estimate, length, query in zip(estimates, lengths, queries, strict=True):
            if query.truth is not None:
                estimate[:length] = audio.fit(query.truth.target, int(length))
        return estimates
