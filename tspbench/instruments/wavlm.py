"""WavLM with an x-vector head through transformers, for speaker similarity."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tspbench.instruments.base import one_thread, package, versions, weights_digest
from tspbench.instruments.hub import pretrained
from tspbench.types import Audio

SHORTEST = 5_200
"""Samples: the head's context. Below it the network returns NaN or breaks."""


class WavLMSpeaker:
    """``WavLMForXVector`` in float32 on the CPU, the whole signal at once.

    Parameters
    ----------
    model
        A folder with a transformers checkpoint, or a hub id such as ``microsoft/wavlm-base-plus-sv``.
    """

    sample_rate = 16_000

    def __init__(self, model: str) -> None:
        self.name = f"wavlm-sv={model}"
        what = f"The speaker encoder {self.name!r}"
        transformers = package("transformers", what, "transformers")
        self._torch = package("torch", what, "transformers")
        self._features, loaded = pretrained(
            transformers,
            ("Wav2Vec2FeatureExtractor", "WavLMForXVector"),
            model,
            what,
            published="microsoft/wavlm-base-plus-sv on the Hugging Face hub",
            without="the speaker encoder 'resemblyzer'",
        )
        self._model = loaded.float().eval()

    @cached_property
    def version(self) -> str:
        return f"{versions('transformers', 'torch')}, weights sha256 {weights_digest(self._model.state_dict())}"

    def embed(self, samples: Audio) -> Audio | None:
        """None for silence and for less than 0.325 s."""
        if samples.size < SHORTEST or not samples.any():
            return None
        inputs = self._features(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        with one_thread(self._torch):
            vector: Audio = self._model(inputs.input_values).embeddings[0].numpy()
        norm = np.linalg.norm(vector)
        return vector / norm if np.isfinite(norm) and norm > 0 else None
