"""ECAPA-TDNN through speechbrain, for speaker similarity. Not yet run with the published weights."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from tspbench.instruments.base import missing_weights, one_thread, package, versions, weights_digest
from tspbench.types import Audio

SHORTEST = 1_600
"""Samples (0.1 s): below some 9 frames the network's reflected padding breaks."""


class Ecapa:
    """The network of ``speechbrain/spkrec-ecapa-voxceleb`` (80 bands, 1024 channels, vectors of 192) on the CPU.

    It is built here from speechbrain's layers and only the weights are read:
    speechbrain's own loader runs whatever the checkpoint's YAML says, and
    fetches the files that the YAML names.

    Parameters
    ----------
    model
        A folder that holds ``embedding_model.ckpt``.
    """

    sample_rate = 16_000

    def __init__(self, model: str) -> None:
        self.name = f"ecapa={model}"
        what = f"The speaker encoder {self.name!r}"
        self._torch = package("torch", what, "speechbrain")
        features = package("speechbrain.lobes.features", what, "speechbrain")
        processing = package("speechbrain.processing.features", what, "speechbrain")
        network = package("speechbrain.lobes.models.ECAPA_TDNN", what, "speechbrain")
        weights = Path(model).expanduser() / "embedding_model.ckpt"
        if not weights.is_file():
            published = "speechbrain/spkrec-ecapa-voxceleb on the Hugging Face hub, file embedding_model.ckpt"
            raise missing_weights(what, model, published, "the speaker encoder 'resemblyzer'", hub=False)
        self._features = features.Fbank(n_mels=80)
        self._normalise = processing.InputNormalization(norm_type="sentence", std_norm=False)
        self._network = network.ECAPA_TDNN(
            input_size=80,
            channels=[1024, 1024, 1024, 1024, 3072],
            kernel_sizes=[5, 3, 3, 3, 1],
            dilations=[1, 2, 3, 4, 1],
            attention_channels=128,
            lin_neurons=192,
        ).eval()
        self._network.load_state_dict(self._torch.load(weights, weights_only=True, map_location="cpu"))

    @cached_property
    def version(self) -> str:
        return f"{versions('speechbrain', 'torch')}, weights sha256 {weights_digest(self._network.state_dict())}"

    def embed(self, samples: Audio) -> Audio | None:
        """Shape (192,), norm 1; None for silence and for less than 0.1 s."""
        if samples.size < SHORTEST or not samples.any():
            return None
        with one_thread(self._torch):
            whole = self._torch.ones(1)
            features = self._normalise(self._features(self._torch.from_numpy(samples)[None]), whole)
            vector: Audio = self._network(features, whole)[0, 0].numpy()
        norm = np.linalg.norm(vector)
        return vector / norm if np.isfinite(norm) and norm > 0 else None
