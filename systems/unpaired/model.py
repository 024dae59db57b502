"""The networks of a training without captions: a separator, and, of little size, the encoder that tells it.

H. Ma et al., Language-queried target sound extraction without parallel
training data, ICASSP 2025 (arXiv 2409.09398). The authors published neither
code nor weights. The separator here is CLAPSep's (by the same first author),
told by one vector of CLAP, that of what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tspbench.systems.clap import laion
from tspbench.systems.clapsep import model as clapsep
from tspbench.systems.unpaired.small import SmallClap, SmallSeparator

SEPARATOR, QUERY = "separator.", "query."
ENCODER, DECODER = "encoder.", "decoder."


@dataclass(frozen=True)
class Small:
    """The network of little size, its own encoder included."""

    size: int = 64
    buckets: int = 4096
    encoder_width: int = 128
    width: int = 128
    blocks: int = 5


@dataclass(frozen=True)
class Config:
    """CLAPSep's separator, told by a single vector."""

    separator: clapsep.Config = field(default_factory=lambda: clapsep.Config(size=512))


class Network(nn.Module):
    """``separator`` and, of little size, ``query``, which turns captions into conditions."""

    def __init__(self, separator: nn.Module, query: SmallClap | None = None) -> None:
        super().__init__()
        self.separator, self.query = separator, query

    def forward(self, mixtures: Tensor, conditions: Tensor) -> Tensor:
        """Estimates (B, T) of mixtures (B, T) at 32 kHz; conditions (B, size)."""
        found: Tensor = self.separator(mixtures, conditions)
        return found


def build(config: Config | Small | None = None) -> Network:
    """The network with random weights."""
    if isinstance(config, Small):
        query = SmallClap(config.size, config.buckets, config.encoder_width)
        return Network(SmallSeparator(config.size, config.width, config.blocks), query)
    return Network(clapsep.build((config or Config()).separator))


def convert(trained: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a checkpoint of the trainer that are this network's; there is no published layout."""
    return {key: tensor for key, tensor in trained.items() if key.startswith((SEPARATOR, QUERY))}


def config(trained: Mapping[str, Any]) -> Config | Small:
    """The architecture that fits a checkpoint, read off its shapes.

    Raises
    ------
    KeyError
        A tensor that tells is missing.
    """
    own = {key.removeprefix(SEPARATOR): tensor for key, tensor in trained.items() if key.startswith(SEPARATOR)}
    if any(key.startswith(QUERY) for key in trained):
        grams, words = trained[f"{QUERY}grams.weight"], trained[f"{QUERY}words.weight"]
        blocks = {key.split(".")[1] for key in own if key.startswith("blocks.")}
        return Small(words.shape[0], grams.shape[0], grams.shape[1], own["enter.weight"].shape[0], len(blocks))
    encoder = {
        laion.AUDIO + key.removeprefix(ENCODER): tensor for key, tensor in own.items() if key.startswith(ENCODER)
    }
    decoder = {
        clapsep.DECODER + key.removeprefix(DECODER): tensor for key, tensor in own.items() if key.startswith(DECODER)
    }
    return Config(clapsep.config({**laion.revert(encoder, torch.cat), **decoder}))


def for_clap(clap: Any, d_mask: int = 640) -> Network:
    """A network to be trained beside a ``ClapModel``: its encoder is CLAP's and stays as it is, its decoder is new."""
    audio = clap.config.audio_config
    told = ("patch_embeds_hidden_size", "hidden_size", "depths", "num_attention_heads")
    separator = clapsep.build(
        clapsep.Config(
            size=clap.config.projection_dim,
            dim=audio.patch_embeds_hidden_size,
            heads=tuple(audio.num_attention_heads),
            d_mask=d_mask,
            encoder={name: getattr(audio, name) for name in told},
        )
    )
    separator.encoder.load_state_dict(clap.audio_model.audio_encoder.state_dict())
    separator.encoder.requires_grad_(False)
    return Network(separator)
