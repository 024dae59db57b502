"""CLAP: captions and sounds to unit vectors of one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from tspbench.instruments.base import weights_digest
from tspbench.systems.clap import laion
from tspbench.systems.clap.cache import EmbeddingCache, folder_for
from tspbench.systems.clap.frontend import RATE, LogMel, rounded, ten_seconds
from tspbench.systems.clap.tokens import Tokens
from tspbench.systems.seeded import randomise
from tspbench.types import Audio

HTSAT_BASE: dict[str, Any] = {
    "projection_dim": 512,
    "audio_config": {
        "patch_embeds_hidden_size": 128,
        "hidden_size": 1024,
        "depths": [2, 2, 12, 2],
        "num_attention_heads": [4, 8, 16, 32],
    },
    "text_config": {"layer_norm_eps": 1e-5},
}
"""HTSAT-base beside RoBERTa-base: ``music_audioset_epoch_15_esc_90.14.pt`` and its kin."""


def build(config: Mapping[str, Any] = HTSAT_BASE) -> nn.Module:
    """A ``ClapModel`` with random weights, ready for inference; ``config`` as :func:`laion.config` gives it."""
    return transformers.ClapModel(build_config(config)).eval()


def build_config(config: Mapping[str, Any]) -> transformers.ClapConfig:
    audio = transformers.ClapAudioConfig(**config["audio_config"]).to_dict()
    text = transformers.ClapTextConfig(**config["text_config"]).to_dict()
    return transformers.ClapConfig(audio_config=audio, text_config=text, projection_dim=config["projection_dim"])


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """A LAION state dict under the names of ``ClapModel``."""
    return laion.convert(published)


def random_clap(config: Mapping[str, Any], seed: int) -> nn.Module:
    """A ``ClapModel`` whose weights are drawn from a seed."""
    model: nn.Module = randomise(build(config), seed)
    return model


class Clap:
    """Embeds captions and sounds, each content once.

    One at a time by default: an embedding then does not depend, in its last
    digit, on what else was in the batch.

    Parameters
    ----------
    model
        A ``ClapModel`` on its device.
    tokens
        What cuts captions into tokens.
    cache
        Embeddings by content. By default in memory, and on disk where
        ``TSPBENCH_EMBEDDINGS`` names a folder.
    """

    sample_rate = RATE

    def __init__(self, model: nn.Module, tokens: Tokens, cache: EmbeddingCache | None = None) -> None:
        self.model, self.tokens = model.eval(), tokens
        self.device = next(model.parameters()).device
        self.log_mel = LogMel().to(self.device)
        self.cache = cache or EmbeddingCache(folder=folder_for(lambda: weights_digest(model.state_dict())))

    def text(self, captions: Sequence[str], at_once: int = 1) -> Tensor:
        """Unit vectors (n, 512) of some captions."""
        return self._cached(captions, lambda text: b"text\0" + text.encode(), self._embed_text, at_once)

    def audio(self, clips: Sequence[Audio], at_once: int = 1, sixteen_bit: bool = True) -> Tensor:
        """Unit vectors (n, 512) of some clips, each (T,) at 48 kHz and of any length.

        ``sixteen_bit`` rounds the samples as ``laion_clap`` does to files and arrays.
        """
        kind = b"audio16\0" if sixteen_bit else b"audio\0"
        contents = [np.ascontiguousarray(clip, dtype=np.float32).tobytes() for clip in clips]

        def embed(some: Sequence[bytes]) -> Audio:
            found = torch.stack([ten_seconds(torch.frombuffer(bytearray(each), dtype=torch.float32)) for each in some])
            return self._embed_audio(rounded(found) if sixteen_bit else found)

        return self._cached(contents, lambda samples: kind + samples, embed, at_once)

    def _cached(self, contents: Sequence[Any], name: Any, embed: Any, at_once: int) -> Tensor:
        return torch.from_numpy(self.cache.of(contents, name, embed, at_once)).to(self.device)

    @torch.inference_mode()
    def _embed_text(self, captions: Sequence[str]) -> Audio:
        ids, mask = (each.to(self.device) for each in self.tokens(captions))
        return self._as_array(self.model.get_text_features(input_ids=ids, attention_mask=mask))

    @torch.inference_mode()
    def _embed_audio(self, clips: Tensor) -> Audio:
        features = self.log_mel(clips.to(self.device))
        return self._as_array(self.model.get_audio_features(input_features=features))

    def _as_array(self, found: Any) -> Audio:
        vectors: Audio = found.pooler_output.float().cpu().numpy()
        return vectors
