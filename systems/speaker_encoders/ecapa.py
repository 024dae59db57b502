"""ECAPA-TDNN as WeSpeaker builds it.

B. Desplanques et al., ECAPA-TDNN: emphasized channel attention, propagation
and aggregation in TDNN based speaker verification, Interspeech 2020 (arXiv
2005.07143); github.com/wenet-e2e/wespeaker (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALE = 8
WIDE = 1536
LEAST_VARIANCE = 1e-7


@dataclass(frozen=True)
class EcapaConfig:
    """``context``: the attention of the pooling also sees the mean and deviation of the whole recording."""

    bins: int = 80
    channels: int = 512
    vector: int = 192
    attention: int = 128
    context: bool = True


class Layer(nn.Module):
    """Convolution, ReLU, batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.relu(self.conv(x)))


class Res2(nn.Module):
    """Eight groups of channels: each but the last is convolved, what came out before it added first."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        convs = (nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation) for _ in range(SCALE - 1))
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(SCALE - 1))

    def forward(self, x: Tensor) -> Tensor:
        *groups, last = x.chunk(SCALE, dim=1)
        found: list[Tensor] = []
        for group, conv, norm in zip(groups, self.convs, self.norms, strict=True):
            found.append(norm(F.relu(conv(group + found[-1] if found else group))))
        return torch.cat([*found, last], dim=1)


class Excitation(nn.Module):
    """Every channel times a number between 0 and 1 that the means of all channels decide."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__()
        self.down = nn.Linear(channels, hidden)
        self.up = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=2)))))[:, :, None]


class Block(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = Layer(channels, channels)
        self.res2 = Res2(channels, dilation)
        self.last = Layer(channels, channels)
        self.excitation = Excitation(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.excitation(self.last(self.res2(self.first(x))))


class AttentiveStatistics(nn.Module):
    """Weighted mean and deviation over time, (B, C, T) to (B, 2 C)."""

    def __init__(self, channels: int, hidden: int, context: bool) -> None:
        super().__init__()
        self.context = context
        self.hidden = nn.Conv1d(channels * (3 if context else 1), hidden, 1)
        self.scores = nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        if self.context:
            mean, variance = x.mean(dim=2, keepdim=True), x.var(dim=2, keepdim=True)
            seen = torch.cat([x, mean.expand_as(x), (variance + LEAST_VARIANCE).sqrt().expand_as(x)], dim=1)
        weights = self.scores(torch.tanh(self.hidden(seen))).softmax(dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * x**2).sum(dim=2) - mean**2
        return torch.cat([mean, variance.clamp(min=LEAST_VARIANCE).sqrt()], dim=1)


class Ecapa(nn.Module):
    """Log energies (B, T, bins), their mean over time removed, to vectors (B, ``config.vector``)."""

    def __init__(self, config: EcapaConfig) -> None:
        super().__init__()
        c = self.config = config
        self.stem = Layer(c.bins, c.channels, kernel=5)
        self.blocks = nn.ModuleList(Block(c.channels, dilation) for dilation in (2, 3, 4))
        self.mix = nn.Conv1d(3 * c.channels, WIDE, 1)
        self.pool = AttentiveStatistics(WIDE, c.attention, c.context)
        self.norm = nn.BatchNorm1d(2 * WIDE)
        self.vector = nn.Linear(2 * WIDE, c.vector)

    def forward(self, features: Tensor) -> Tensor:
        x = self.stem(features.transpose(1, 2))
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return self.vector(self.norm(self.pool(F.relu(self.mix(torch.cat(found, dim=1))))))


RENAMED = (
    (r"layer1\.conv\.", "stem.conv."),
    (r"layer1\.bn\.", "stem.norm."),
    (r"layer([234])\.se_res2block\.0\.conv\.", r"blocks.\1.first.conv."),
    (r"layer([234])\.se_res2block\.0\.bn\.", r"blocks.\1.first.norm."),
    (r"layer([234])\.se_res2block\.1\.convs\.", r"blocks.\1.res2.convs."),
    (r"layer([234])\.se_res2block\.1\.bns\.", r"blocks.\1.res2.norms."),
    (r"layer([234])\.se_res2block\.2\.conv\.", r"blocks.\1.last.conv."),
    (r"layer([234])\.se_res2block\.2\.bn\.", r"blocks.\1.last.norm."),
    (r"layer([234])\.se_res2block\.3\.linear1\.", r"blocks.\1.excitation.down."),
    (r"layer([234])\.se_res2block\.3\.linear2\.", r"blocks.\1.excitation.up."),
    (r"conv\.", "mix."),
    (r"pool\.linear1\.", "pool.hidden."),
    (r"pool\.linear2\.", "pool.scores."),
    (r"bn\.", "norm."),
    (r"linear\.", "vector."),
)


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """WeSpeaker's weights under this network's names; what it has not keeps its name."""
    return {_renamed(key): tensor for key, tensor in published.items()}


def _renamed(key: str) -> str:
    for pattern, name in RENAMED:
        found = re.match(pattern, key)
        if found:
            renamed = found.expand(name) + key[found.end() :]
            return re.sub(r"^blocks\.(\d)", lambda m: f"blocks.{int(m[1]) - 2}", renamed)
    return key


def config(published: Mapping[str, Any]) -> EcapaConfig:
    """The architecture that fits WeSpeaker's state dict."""
    channels, bins, _ = published["layer1.conv.weight"].shape
    attention, seen, _ = published["pool.linear1.weight"].shape
    return EcapaConfig(bins, channels, published["linear.weight"].shape[0], attention, context=seen == 3 * WIDE)
