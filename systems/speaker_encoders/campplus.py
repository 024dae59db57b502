"""CAM++ as 3D-Speaker and WeSpeaker build it.

H. Wang et al., CAM++: a fast and efficient network for speaker verification
using context-aware masking, Interspeech 2023 (arXiv 2303.00332);
github.com/modelscope/3D-Speaker and github.com/wenet-e2e/wespeaker (both
Apache-2.0), whose checkpoints have one layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SEGMENT = 100
"""Frames whose mean makes the local context."""
LEAST_VARIANCE = 1e-7


@dataclass(frozen=True)
class CamPlusConfig:
    """The defaults are the Mandarin and English model with vectors of 192; WeSpeaker's have 512.

    ``layers`` and ``dilations`` of each dense block.
    """

    bins: int = 80
    vector: int = 192
    stem: int = 32
    channels: int = 128
    growth: int = 32
    layers: tuple[int, ...] = (12, 24, 16)
    dilations: tuple[int, ...] = (1, 2, 2)


class Residual(nn.Module):
    """Two 3 x 3 convolutions; the stride is along frequency alone."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            conv = nn.Conv2d(channels, channels, 1, (stride, 1), bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(found + self.shortcut(x))


class Head(nn.Module):
    """Spectra (B, bins, T) to (B, stem * bins / 8, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.residuals = nn.Sequential(*(Residual(channels, stride) for stride in (2, 1, 2, 1)))
        self.conv2 = nn.Conv2d(channels, channels, 3, (2, 1), padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.residuals(F.relu(self.norm1(self.conv1(x[:, None]))))
        return F.relu(self.norm2(self.conv2(x))).flatten(1, 2)


class Masked(nn.Module):
    """A dilated convolution whose channels are scaled by the mean so far and near: context-aware masking."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.local = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.down = nn.Conv1d(inputs, inputs // 2, 1)
        self.up = nn.Conv1d(inputs // 2, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = F.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, dim=-1)
        context = x.mean(dim=-1, keepdim=True) + near[..., : x.shape[-1]]
        return self.local(x) * torch.sigmoid(self.up(F.relu(self.down(context))))


class Dense(nn.Module):
    """Adds ``growth`` channels to its input's."""

    def __init__(self, inputs: int, growth: int, dilation: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm1d(inputs)
        self.linear = nn.Conv1d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(4 * growth)
        self.masked = Masked(4 * growth, growth, dilation)

    def forward(self, x: Tensor) -> Tensor:
        found = self.masked(F.relu(self.norm2(self.linear(F.relu(self.norm1(x))))))
        return torch.cat([x, found], dim=1)


class Halve(nn.Module):
    """Half as many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(F.relu(self.norm(x)))


class CamPlus(nn.Module):
    """Log energies (B, T, bins), their mean over time removed, to vectors (B, ``config.vector``)."""

    def __init__(self, config: CamPlusConfig) -> None:
        super().__init__()
        c = self.config = config
        self.head = Head(c.stem)
        self.first = nn.Conv1d(c.stem * (c.bins // 8), c.channels, 5, 2, padding=2, bias=False)
        self.first_norm = nn.BatchNorm1d(c.channels)
        self.blocks, self.halves, channels = nn.ModuleList(), nn.ModuleList(), c.channels
        for layers, dilation in zip(c.layers, c.dilations, strict=True):
            self.blocks.append(
                nn.Sequential(*(Dense(channels + i * c.growth, c.growth, dilation) for i in range(layers)))
            )
            channels += layers * c.growth
            self.halves.append(Halve(channels))
            channels //= 2
        self.last_norm = nn.BatchNorm1d(channels)
        self.vector = nn.Conv1d(2 * channels, c.vector, 1, bias=False)
        self.vector_norm = nn.BatchNorm1d(c.vector, affine=False)

    def forward(self, features: Tensor) -> Tensor:
        x = F.relu(self.first_norm(self.first(self.head(features.transpose(1, 2)))))
        for block, halve in zip(self.blocks, self.halves, strict=True):
            x = halve(block(x))
        x = F.relu(self.last_norm(x))
        deviation = (x.var(dim=-1) + LEAST_VARIANCE).sqrt()
        return self.vector_norm(self.vector(torch.cat([x.mean(dim=-1), deviation], dim=1)[..., None])[..., 0])


RENAMED = (
    (r"head\.layer([12])\.(\d)\.", lambda m: f"head.residuals.{2 * int(m[1]) - 2 + int(m[2])}."),
    (r"xvector\.tdnn\.linear\.", "first."),
    (r"xvector\.tdnn\.nonlinear\.batchnorm\.", "first_norm."),
    (r"xvector\.block(\d)\.tdnnd(\d+)\.", lambda m: f"blocks.{int(m[1]) - 1}.{int(m[2]) - 1}."),
    (r"xvector\.transit(\d)\.", lambda m: f"halves.{int(m[1]) - 1}."),
    (r"xvector\.out_nonlinear\.batchnorm\.", "last_norm."),
    (r"xvector\.dense\.linear\.", "vector."),
    (r"xvector\.dense\.nonlinear\.batchnorm\.", "vector_norm."),
    (r"\.nonlinear([12])\.batchnorm\.", r".norm\1."),
    (r"\.nonlinear\.batchnorm\.", ".norm."),
    (r"\.cam_layer\.linear_local\.", ".masked.local."),
    (r"\.cam_layer\.linear1\.", ".masked.down."),
    (r"\.cam_layer\.linear2\.", ".masked.up."),
    (r"\.linear1\.", ".linear."),
    (r"\.bn([12])\.", r".norm\1."),
)


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """3D-Speaker's or WeSpeaker's weights under this network's names; what it has not keeps its name."""
    return {_renamed(key): tensor for key, tensor in published.items()}


def _renamed(key: str) -> str:
    for pattern, name in RENAMED:
        key = re.sub(pattern, name, key)
    return key


def config(published: Mapping[str, Any]) -> CamPlusConfig:
    """The architecture that fits a state dict; what leaves no trace in shapes is as published."""
    stem = published["head.conv1.weight"].shape[0]
    channels, spread, _ = published["xvector.tdnn.linear.weight"].shape
    found = {m.groups() for key in published if (m := re.match(r"xvector\.block(\d)\.tdnnd(\d+)\.", key))}
    layers = tuple(sum(block == each for block, _ in found) for each in sorted({block for block, _ in found}))
    growth = published["xvector.block1.tdnnd1.cam_layer.linear_local.weight"].shape[0]
    vector = published["xvector.dense.linear.weight"].shape[0]
    return CamPlusConfig(8 * spread // stem, vector, stem, channels, growth, layers, (1, 2, 2)[: len(layers)])
