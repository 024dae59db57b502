"""Separation by dictionaries that are learned from the query (Smaragdis, Raj and Shashanka 2007)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems.nmf.factorise import TINY, Matrix, explain, learn
from tspbench.systems.stft import STFT
from tspbench.types import Audio, Query, QueryKind


class NMF(System):
    """KL-NMF with a target dictionary from the audio query or the enrolment.

    The interference has a dictionary from the negative audio query, or, where
    there is none, components that are learned on the mixture itself. The mask
    is T^p / (T^p + N^p) of the two modelled magnitudes.

    Parameters
    ----------
    rank
        Components of each dictionary that is learned from examples.
    background_rank, background_sparsity
        Components for interference without an example, and the L1 penalty on
        their activations. Few and lightly penalised, for many would explain
        the target too; against a second voice more of them (16) do better.
    iterations
        Of every factorisation.
    mask_exponent
        p. 2 is the Wiener filter; 0.5, the default, is more cautious and so
        loses less where the target's sound differs from its example.
    window_ms, hop_ms
        Of the STFT.
    use_negative
        False leaves a negative query unheard.
    """

    queries = frozenset({QueryKind.AUDIO, QueryKind.NEGATIVE_AUDIO, QueryKind.ENROLMENT})

    def __init__(
        self,
        rank: int = 32,
        background_rank: int = 2,
        background_sparsity: float = 0.2,
        iterations: int = 50,
        mask_exponent: float = 0.5,
        window_ms: float = 32.0,
        hop_ms: float = 16.0,
        use_negative: bool = True,
    ) -> None:
        counts = {"rank": rank, "background_rank": background_rank, "iterations": iterations}
        for name, value in counts.items():
            if value < 1:
                raise UsageError(f"{name}={value}: it must be at least 1.")
        if not (mask_exponent > 0 and background_sparsity >= 0):
            raise UsageError("mask_exponent must be positive and background_sparsity must not be negative.")
        STFT.at(16000, window_ms, hop_ms)
        self.rank, self.background_rank, self.iterations = rank, background_rank, iterations
        self.background_sparsity, self.mask_exponent = background_sparsity, mask_exponent
        self.window_ms, self.hop_ms, self.use_negative = window_ms, hop_ms, use_negative

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        estimates = np.zeros_like(mixtures)
        for estimate, mixture, length, query in zip(estimates, mixtures, lengths, queries, strict=True):
            estimate[:length] = self._extract(mixture[:length], query)
        return estimates

    def _extract(self, mixture: Audio, query: Query) -> Audio:
        examples = (*query.audio, *query.enrolment)
        if not examples:
            raise UsageError("NMF learns its target from an example: give it an audio query or an enrolment.")
        stft = STFT.at(query.sample_rate, self.window_ms, self.hop_ms)
        target = self._dictionary(stft, examples)
        negative = self._dictionary(stft, query.negative_audio if self.use_negative else ())
        spectrum = stft.forward(mixture)
        return stft.inverse(self._mask(_magnitude(spectrum), target, negative) * spectrum, len(mixture))

    def _dictionary(self, stft: STFT, examples: Sequence[Audio]) -> Matrix:
        """Dictionary (rank, bins) of some examples, each counted at the same level; no rows if all are silent."""
        heard = [_magnitude(stft.forward(example)) for example in examples if np.any(example)]
        if not heard:
            return np.zeros((0, stft.points // 2 + 1), dtype=np.float32)
        return learn(np.concatenate(heard), self.rank, self.iterations)

    def _mask(self, magnitude: Matrix, target: Matrix, negative: Matrix) -> Matrix:
        known = np.concatenate([target, negative])
        free = self._background(magnitude) if not len(negative) else negative[:0]
        activations, free = explain(magnitude, known, free, self.iterations, self.background_sparsity)
        power = np.float32(self.mask_exponent)
        split = len(target)
        wanted = (activations[:, :split] @ target) ** power
        rest = (activations[:, split:] @ np.concatenate([negative, free])) ** power
        return np.asarray(wanted / (wanted + rest + TINY), dtype=np.float32)

    def _background(self, magnitude: Matrix) -> Matrix:
        """Free components (background_rank, bins) to start from: the mixture's mean spectrum, slightly varied."""
        mean = magnitude.mean(axis=0) + TINY
        varied = np.random.default_rng(0).uniform(0.9, 1.1, (self.background_rank, len(mean)))
        start = (mean * varied).astype(np.float32)
        return np.asarray(start / start.sum(axis=1, keepdims=True), dtype=np.float32)


def _magnitude(spectrum: npt.NDArray[np.complex64]) -> Matrix:
    """Magnitudes scaled to a mean of 1, so that results do not depend on level; zeros stay zeros."""
    magnitude = np.abs(spectrum)
    mean = magnitude.mean(dtype=np.float64)
    return np.asarray(magnitude / mean if mean > 0 else magnitude, dtype=np.float32)
