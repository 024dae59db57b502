"""LASS-Net's network, and its published checkpoint as this network's weights.

X. Liu et al., Separate what you describe: Language-queried audio source
separation, Interspeech 2022 (arXiv 2203.15147); github.com/liuxubo717/LASS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from tspbench.systems.lassnet.unet import UNet

RATE = 32_000
N_FFT = 1024
HOP = 512
SHORTEST = 10 * RATE
"""Samples: what is shorter is filled up to with zeros, as in the published inference."""
HEAD = 64
"""Width of the text encoder's attention heads."""
BERT_MINI: dict[str, int] = {
    "vocab_size": 30_522,
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
}
"""``prajjwal1/bert-mini``."""


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the published one."""

    dims: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    text: Mapping[str, int] = field(default_factory=lambda: BERT_MINI)


def build(config: Config | None = None) -> LASSNet:
    """The network with random weights, drawn as for the published training."""
    network = LASSNet(config or Config())
    network.UNet.apply(_initialise)
    return network


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class TextEncoder(nn.Module):
    """Tokens to a condition: BERT's vector of the first token, a linear layer, a ReLU."""

    def __init__(self, config: Mapping[str, int]) -> None:
        super().__init__()
        self.bert_layer = transformers.BertModel(transformers.BertConfig(**config), add_pooling_layer=False)
        self.linear_layer = nn.Sequential(nn.Linear(config["hidden_size"], config["hidden_size"]), nn.ReLU())

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Conditions (n, size) of token numbers and an attention mask, each (n, L)."""
        hidden = self.bert_layer(input_ids=ids, attention_mask=mask).last_hidden_state
        found: Tensor = self.linear_layer(hidden[:, 0])
        return found


class LASSNet(nn.Module):
    """A mixture and a condition to the target, by a mask on the magnitude spectrum; the phase is the mixture's."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.text_embedder = TextEncoder(config.text)
        self.UNet = UNet(config.dims, config.text["hidden_size"])
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mixtures: Tensor, condition: Tensor) -> Tensor:
        """Estimates (B, T).

        Parameters
        ----------
        mixtures
            (B, T) at 32 kHz, T a multiple of :data:`HOP`. (The published
            transform drops what is left over; its inverse is not stable there.)
        condition
            (B, size), from :class:`TextEncoder`.
        """
        spectrum = torch.stft(mixtures, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        logits = self.UNet(spectrum.abs().transpose(1, 2)[:, None], condition)[:, 0]
        masked = spectrum * logits.float().sigmoid().transpose(1, 2)
        return torch.istft(masked, N_FFT, HOP, window=self.window, length=mixtures.shape[-1])


def padded(length: int) -> int:
    """Samples that a mixture is filled up to."""
    return max(SHORTEST, -(-length // HOP) * HOP)


# -- the published checkpoint --------------------------------------------------------------------

COUNTERS = re.compile(r"text_embedder\.bert_layer\.embeddings\.(position|token_type)_ids$")
"""Buffers that older versions of transformers stored, and that follow from the architecture."""
POOLER = "text_embedder.bert_layer.pooler."
"""A part of BERT that LASS-Net is built without."""


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """The published weights under this network's names: without counters, and without ``module.``."""
    state = {key.removeprefix("module."): tensor for key, tensor in published.items()}
    return {key: tensor for key, tensor in state.items() if not COUNTERS.match(key) and not key.startswith(POOLER)}


def config(state: Mapping[str, Any]) -> Config:
    """The architecture that fits a state dict from :func:`convert`, read off its shapes."""
    bert = "text_embedder.bert_layer."
    layer = re.compile(rf"{re.escape(bert)}encoder\.layer\.\d+\.output\.dense\.bias")
    words = state[f"{bert}embeddings.word_embeddings.weight"].shape
    text = {
        "vocab_size": words[0],
        "hidden_size": words[1],
        "num_hidden_layers": sum(bool(layer.fullmatch(key)) for key in state),
        "num_attention_heads": max(1, words[1] // HEAD),
        "intermediate_size": state[f"{bert}encoder.layer.0.intermediate.dense.weight"].shape[0],
        "max_position_embeddings": state[f"{bert}embeddings.position_embeddings.weight"].shape[0],
    }
    kernels = [state[f"UNet.encoder_block{i}.conv_block1.conv1.weight"] for i in range(1, 7)]
    return Config(tuple(kernel.shape[0] for kernel in kernels), text)
