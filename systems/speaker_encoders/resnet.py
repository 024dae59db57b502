"""ResNet as WeSpeaker builds it for speaker verification: 32 channels at first, basic blocks, no pooling before them.

K. He et al., Deep residual learning for image recognition, CVPR 2016 (arXiv
1512.03385); github.com/wenet-e2e/wespeaker (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_VARIANCE = 1e-7


@dataclass(frozen=True)
class ResNetConfig:
    """The defaults are ResNet34; ``blocks`` of each stage."""

    bins: int = 80
    channels: int = 32
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    vector: int = 256


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(found + self.shortcut(x))


class ResNet(nn.Module):
    """Log energies (B, T, bins), their mean over time removed, to vectors (B, ``config.vector``)."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        c = self.config = config
        self.stem = nn.Conv2d(1, c.channels, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(c.channels)
        self.stages = nn.ModuleList()
        inputs = c.channels
        for stage, count in enumerate(c.blocks):
            outputs = c.channels * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (count - 1)
            self.stages.append(
                nn.Sequential(*(Block(inputs if i == 0 else outputs, outputs, s) for i, s in enumerate(strides)))
            )
            inputs = outputs
        halvings = len(c.blocks) - 1
        self.vector = nn.Linear(2 * inputs * (c.bins // 2**halvings), c.vector)

    def forward(self, features: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(features.transpose(1, 2)[:, None])))
        for stage in self.stages:
            x = stage(x)
        deviation = (x.var(dim=-1) + LEAST_VARIANCE).sqrt()
        return self.vector(torch.cat([x.mean(dim=-1).flatten(1), deviation.flatten(1)], dim=1))


RENAMED = (
    (r"conv1\.", "stem."),
    (r"bn1\.", "stem_norm."),
    (r"layer(\d)\.(\d+)\.bn", r"stages.\1.\2.norm"),
    (r"layer(\d)\.", r"stages.\1."),
    (r"seg_1\.", "vector."),
)


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """WeSpeaker's weights under this network's names; what it has not keeps its name."""
    return {_renamed(key): tensor for key, tensor in published.items()}


def _renamed(key: str) -> str:
    for pattern, name in RENAMED:
        found = re.match(pattern, key)
        if found:
            renamed = found.expand(name) + key[found.end() :]
            return re.sub(r"^stages\.(\d)", lambda m: f"stages.{int(m[1]) - 1}", renamed)
    return key


def config(published: Mapping[str, Any]) -> ResNetConfig:
    """The architecture that fits WeSpeaker's state dict."""
    found = {match.groups() for key in published if (match := re.match(r"layer(\d)\.(\d+)\.", key))}
    stages = sorted({stage for stage, _ in found})
    blocks = tuple(sum(stage == each for stage, _ in found) for each in stages)
    channels = published["conv1.weight"].shape[0]
    vector, statistics = published["seg_1.weight"].shape
    halved = 2 ** (len(blocks) - 1)
    return ResNetConfig(statistics // (2 * channels * halved) * halved, channels, blocks, vector)
