"""Low-rank updates of frozen linear maps (E. Hu et al., LoRA, ICLR 2022, arXiv 2106.09685)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.gen_tse.config import LoraConfig


class LoraLinear(nn.Module):
    """A linear map plus ``alpha / rank`` times B A; at first B is zero, so nothing is changed."""

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base, self.scale = base, config.alpha / config.rank
        self.lora_A = nn.Parameter(torch.empty(config.rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, config.rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        low: Tensor = F.linear(F.linear(x, self.lora_A), self.lora_B)
        return self.base(x) + self.scale * low


def adapt(encoder: Any, config: LoraConfig) -> None:
    """Put updates beside the projections of every attention module of transformers' Whisper encoder."""
    for layer in encoder.layers:
        for name in config.projections:
            setattr(layer.self_attn, name, LoraLinear(getattr(layer.self_attn, name), config))
