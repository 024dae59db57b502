"""A recogniser that knows nothing of targets, told the mixture or told the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tspbench import audio, instruments
from tspbench.system import System
from tspbench.types import Audio, Query, QueryKind


class Recogniser(System):
    """Writes down the mixture: what ignoring the query scores.

    Parameters
    ----------
    instrument
        The recogniser, one of the harness's own instruments: ``pocketsphinx``
        or ``whisper=MODEL``.
    """

    sample_rate = 16000

    def __init__(self, instrument: str = "pocketsphinx") -> None:
        instruments.kind(instrument, "recogniser")
        self.instrument = instrument
        self._model: instruments.Recogniser | None = None

    def load(self, device: str) -> None:
        self._model = instruments.recogniser(self.instrument)

    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        return [self._write_down(mixture[:length]) for mixture, length in zip(mixtures, lengths, strict=True)]

    def _write_down(self, samples: Audio) -> str:
        if self._model is None:
            raise RuntimeError("load() comes before transcribe().")
        return self._model.transcribe(audio.resample(samples, self.sample_rate, self._model.sample_rate))


class RecogniserClean(Recogniser):
    """Writes down the clean target, and nothing where it is absent: what perfect extraction would score."""

    queries = frozenset({QueryKind.TRUTH})

    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        truths = [query.truth for query in queries]
        return ["" if truth is None else self._write_down(truth.target) for truth in truths]
