"""HiFi-GAN's generator (J. Kong et al., NeurIPS 2020, arXiv 2010.05646) and its published checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.errors import UsageError
from tspbench.systems import weights

SLOPE = 0.1
LAST_SLOPE = 0.01
"""Of the leaky ReLU before the last convolution; the published code leaves it at torch's default."""
WRAPPER = "generator"


@dataclass(frozen=True)
class HifiGanConfig:
    """Size of a generator; the defaults are those of V1, in which ``UNIVERSAL_V1`` is published.

    Attributes
    ----------
    rates, up_kernels
        Upsampling steps, whose product is the hop of the mel spectrum.
    kernels, dilations
        Of the residual stacks whose mean follows every upsampling.
    """

    bands: int = 80
    channels: int = 512
    rates: tuple[int, ...] = (8, 8, 2, 2)
    up_kernels: tuple[int, ...] = (16, 16, 4, 4)
    kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)


V1 = HifiGanConfig()
V2 = HifiGanConfig(channels=128)


def build(config: HifiGanConfig = V1) -> Generator:
    """The generator with random weights, weight normalisation folded in."""
    return Generator(config)


class Generator(nn.Module):
    """Log-mel spectra (B, bands, N) to waveforms (B, N * product of rates) in [-1, 1]."""

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_pre = nn.Conv1d(config.bands, config.channels, 7, padding=3)
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        channels = config.channels
        for rate, kernel in zip(config.rates, config.up_kernels, strict=True):
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding=(kernel - rate) // 2))
            channels //= 2
            self.resblocks.extend(ResidualStack(channels, size, config.dilations) for size in config.kernels)
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3)

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return math.prod(self.config.rates)

    def forward(self, mel: Tensor) -> Tensor:
        x, stacks = self.conv_pre(mel), len(self.config.kernels)
        for index, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            x = sum(stack(x) for stack in self.resblocks[index * stacks : (index + 1) * stacks]) / stacks
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))[:, 0]


class ResidualStack(nn.Module):
    """Residual pairs of convolutions, the first of each pair dilated."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()

        def convolution(dilation: int) -> nn.Module:
            return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)

        self.convs1 = nn.ModuleList(convolution(dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(convolution(1) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


# -- published checkpoints -----------------------------------------------------------------------


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """Weight normalisation (``weight_g``, ``weight_v``) folded into plain weights; plain ones stay."""
    state = dict(published)
    for name in [key for key in published if key.endswith("weight_v")]:
        stem = name.removesuffix("_v")
        direction, length = state.pop(name), state.pop(f"{stem}_g")
        state[stem] = direction * (length / direction.flatten(1).norm(dim=1).view(length.shape))
    return state


def read(path: Path, trust_pickle: bool = False) -> weights.State:
    """The generator's tensors from a published ``g_…`` file, whose outer key is ``generator``.

    Raises
    ------
    UsageError
        It is something else.
    """
    kind = weights.refuse_other_files(path)
    if kind == "safetensors" or trust_pickle:
        state = weights.read(path, trust_pickle)
    else:
        content = torch.load(path, map_location="cpu", weights_only=True)
        held = content.get(WRAPPER, content) if isinstance(content, dict) else content
        state = weights.unwrapped(held, path)
    if "conv_pre.bias" not in state:
        raise UsageError(f"{path} is not HiFi-GAN's generator (no conv_pre) but {weights.what_is(state)}.")
    return state


def load(state: Mapping[str, Any], path: Path) -> Generator:
    """The generator with the weights of a checkpoint (from :func:`read`), its size read off the shapes.

    Raises
    ------
    UsageError
        A tensor is missing, has another shape, or is one too many.
    """
    converted = convert(state)
    try:
        generator = build(config(converted))
    except (KeyError, IndexError) as error:
        raise UsageError(f"{path} lacks a tensor of HiFi-GAN's generator: {error.args[0]}.") from error
    unexpected = weights.load(generator, converted, path)
    if unexpected:
        raise UsageError(f"{path} has tensors that HiFi-GAN (V1, V2) has not: {weights.some(unexpected)}.")
    return generator.eval()


def config(state: Mapping[str, Any]) -> HifiGanConfig:
    """Size of the generator that fits plain weights; upsampling is by half of each kernel, as published."""
    ups = sum(key.startswith("ups.") and key.endswith(".weight") for key in state)
    stacks = sum(key.endswith(".convs1.0.weight") for key in state) // max(1, ups)
    up_kernels = tuple(state[f"ups.{i}.weight"].shape[2] for i in range(ups))
    channels, bands, _ = state["conv_pre.weight"].shape
    return HifiGanConfig(
        bands=bands,
        channels=channels,
        rates=tuple(kernel // 2 for kernel in up_kernels),
        up_kernels=up_kernels,
        kernels=tuple(state[f"resblocks.{i}.convs1.0.weight"].shape[2] for i in range(stacks)),
    )
