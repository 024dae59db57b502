"""The temporal convolutional network of Conv-TasNet and of what was built on it.

Y. Luo and N. Mesgarani, Conv-TasNet: surpassing ideal time-frequency magnitude
masking for speech separation, TASLP 2019 (arXiv 1809.07454).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["global", "channel"]
Adapt = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Index of a block, its residual and its skip output, (B, C, T) each, to what takes their places."""


@dataclass(frozen=True)
class TcnConfig:
    """A network of ``repeats`` times ``blocks`` blocks; dilations 1, 2, 4 … start again with every repeat.

    Attributes
    ----------
    inputs, outputs
        Channels of what comes in and goes out.
    channels, hidden, skip
        Between the blocks, inside them, and of the skip connections, whose sum makes the output.
    bias
        Of every convolution.
    first_norm
        The normalisation before the first convolution; inside the blocks it is always global.
    last_prelu
        A PReLU before the last convolution.
    """

    inputs: int
    outputs: int
    channels: int = 128
    hidden: int = 512
    skip: int = 128
    kernel: int = 3
    blocks: int = 8
    repeats: int = 3
    bias: bool = True
    first_norm: Norm = "global"
    eps: float = 1e-8
    last_prelu: bool = True


class GlobalNorm(nn.Module):
    """Mean and variance over channels and time; a gain and an offset for every channel (gLN)."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, 1, self.weight, self.bias, self.eps)


class ChannelNorm(GlobalNorm):
    """Mean and variance over the channels of every frame (cLN)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.transpose(1, 2), self.weight.shape, self.weight, self.bias, self.eps).transpose(1, 2)


NORMS = {"global": GlobalNorm, "channel": ChannelNorm}


class Block(nn.Module):
    """One dilated depthwise convolution between two pointwise ones: (B, C, T) to residual and skip."""

    def __init__(self, config: TcnConfig, dilation: int) -> None:
        super().__init__()
        c, padding = config, (config.kernel - 1) * dilation // 2
        self.expand = nn.Conv1d(c.channels, c.hidden, 1, bias=c.bias)
        self.expand_prelu = nn.PReLU()
        self.expand_norm = GlobalNorm(c.hidden, c.eps)
        self.depthwise = nn.Conv1d(
            c.hidden, c.hidden, c.kernel, padding=padding, dilation=dilation, groups=c.hidden, bias=c.bias
        )
        self.depthwise_prelu = nn.PReLU()
        self.depthwise_norm = GlobalNorm(c.hidden, c.eps)
        self.residual = nn.Conv1d(c.hidden, c.channels, 1, bias=c.bias)
        self.skip = nn.Conv1d(c.hidden, c.skip, 1, bias=c.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.expand_norm(self.expand_prelu(self.expand(x)))
        x = self.depthwise_norm(self.depthwise_prelu(self.depthwise(x)))
        return self.residual(x), self.skip(x)


class TCN(nn.Module):
    """Features (B, inputs, T) to (B, outputs, T), before any last nonlinearity."""

    def __init__(self, config: TcnConfig) -> None:
        super().__init__()
        self.norm = NORMS[config.first_norm](config.inputs, config.eps)
        self.bottleneck = nn.Conv1d(config.inputs, config.channels, 1, bias=config.bias)
        dilations = [2**i for i in range(config.blocks)] * config.repeats
        self.blocks = nn.ModuleList([Block(config, dilation) for dilation in dilations])
        self.last_prelu = nn.PReLU() if config.last_prelu else nn.Identity()
        self.last = nn.Conv1d(config.skip, config.outputs, 1, bias=config.bias)

    def forward(self, features: Tensor, adapt: Adapt | None = None) -> Tensor:
        """``adapt`` may change what a block hands on."""
        x = self.bottleneck(self.norm(features))
        total = torch.zeros((), device=x.device, dtype=x.dtype)
        for index, block in enumerate(self.blocks):
            residual, skip = block(x)
            if adapt is not None:
                residual, skip = adapt(index, residual, skip)
            x, total = x + residual, total + skip
        return self.last(self.last_prelu(total))
