"""The speaker vectors of a batch: those that the trials carry, or an encoder's, of the enrolments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tspbench import audio, instruments
from tspbench.errors import UsageError
from tspbench.systems.ts_whisper.prompts import VECTOR
from tspbench.types import Audio, Query, QueryKind

WEIGHTS = (".json", ".safetensors", ".bin", ".ckpt")
HINT = (
    "Give each trial a vector of 512 numbers (speaker_vector, a .npy file, as published: one x-vector per speaker), "
    "or compute it from the enrolment: --option encoder=wavlm-sv=MODEL."
)


class Vectors:
    """``encoder`` names one of the harness's speaker encoders, for trials without a vector; empty: none."""

    def __init__(self, encoder: str) -> None:
        if encoder:
            instruments.kind(encoder, "speaker encoder")
        self.encoder = encoder

    @property
    def queries(self) -> frozenset[QueryKind]:
        return frozenset({QueryKind.SPEAKER_VECTOR, *([QueryKind.ENROLMENT] if self.encoder else [])})

    def files(self) -> list[Path]:
        """What a local encoder consists of; a hub id names its content itself."""
        folder = Path(self.encoder.partition("=")[2] or "-").expanduser()
        return sorted(path for path in folder.glob("*") if path.suffix in WEIGHTS) if folder.is_dir() else []

    def load(self) -> str:
        """Load the encoder; returns what it is, for the record of the run."""
        return instruments.encoder(self.encoder).version if self.encoder else ""

    def of(self, queries: Sequence[Query]) -> Tensor:
        """Shape (B, 512).

        Raises
        ------
        UsageError
            A trial has neither a vector nor a usable enrolment, or the vector is of another size.
        """
        return torch.from_numpy(np.stack([self._one(query) for query in queries]))

    def _one(self, query: Query) -> Audio:
        given = query.speaker_vector
        vector = np.asarray(given, dtype=np.float32).squeeze() if given is not None else self._encoded(query)
        if vector.shape != (VECTOR,):
            source = "The trial's speaker vector" if given is not None else f"The vector of {self.encoder!r}"
            raise UsageError(f"{source} has shape {vector.shape}; these weights take {VECTOR} numbers. {HINT}")
        return vector

    def _encoded(self, query: Query) -> Audio:
        if not self.encoder or not query.enrolment:
            raise UsageError(f"This trial has no speaker vector. {HINT}")
        encoder = instruments.encoder(self.encoder)
        heard = [audio.resample(clip, query.sample_rate, encoder.sample_rate) for clip in query.enrolment]
        vectors = [vector for vector in map(encoder.embed, heard) if vector is not None]
        if not vectors:
            raise UsageError(f"{self.encoder!r} finds no speech, or too little, in this trial's enrolment.")
        mean: Audio = np.mean(vectors, axis=0, dtype=np.float32)
        return mean
