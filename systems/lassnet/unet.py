"""LASS-Net's U-Net: a residual U-Net whose every convolution is shifted by a condition.

Modules carry the names of the published ones (``model/`` at
github.com/liuxubo717/LASS), so that a checkpoint's keys are this module's.
Maps are (B, channels, frames, bins).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FRAMES = 64
"""The number of frames is filled up to a multiple of this, two to the power of the encoders."""
OUTSIDE = 2
"""Bins at the top that the network does not see: 511 can be halved and doubled again, 513 cannot."""


class Film(nn.Module):
    """Two linear layers and ReLUs, (B, size) to (B, dim, 1, 1), added to a map: nothing is ever turned down."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(size, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim), nn.ReLU())

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        found: Tensor = x + self.linear(condition)[:, :, None, None]
        return found


class ConvBlock(nn.Module):
    """Two times norm, leaky ReLU, 3 x 3 convolution and shift, beside a shortcut, shifted where it is a convolution."""

    def __init__(self, dim_in: int, dim: int, size: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(dim_in)
        self.bn2 = nn.BatchNorm2d(dim)
        self.conv1 = nn.Conv2d(dim_in, dim, 3, padding=1, bias=False)
        self.film1 = Film(size, dim)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.film2 = Film(size, dim)
        self.plain = dim_in == dim
        if not self.plain:
            self.shortcut = nn.Conv2d(dim_in, dim, 1)
            self.film_res = Film(size, dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.film1(self.conv1(F.leaky_relu_(self.bn1(x), 0.01)), condition)
        y = self.film2(self.conv2(F.leaky_relu_(self.bn2(y), 0.01)), condition)
        found: Tensor = y + (x if self.plain else self.film_res(self.shortcut(x), condition))
        return found


class Encoder(nn.Module):
    """Two blocks, and their map averaged over cells of 2 x 2."""

    def __init__(self, dim_in: int, dim: int, size: int) -> None:
        super().__init__()
        self.conv_block1 = ConvBlock(dim_in, dim, size)
        self.conv_block2 = ConvBlock(dim, dim, size)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.conv_block2(self.conv_block1(x, condition), condition)
        return F.avg_pool2d(fine, 2), fine


class Decoder(nn.Module):
    """The map enlarged, n frames to 2 n and n bins to 2 n + 1, put beside the encoder's, and two blocks."""

    def __init__(self, dim_in: int, dim: int, size: int) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(dim_in, dim, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(dim_in)
        self.conv_block2 = ConvBlock(2 * dim, dim, size)
        self.conv_block3 = ConvBlock(dim, dim, size)

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        coarse = self.conv1(F.relu_(self.bn1(x)))[:, :, :-1]
        x = self.conv_block2(torch.cat((coarse, skip), dim=1), condition)
        found: Tensor = self.conv_block3(x, condition)
        return found


class UNet(nn.Module):
    """Magnitudes (B, 1, frames, bins) and a condition (B, size) to one map of the same shape.

    Parameters
    ----------
    dims
        Channels of the six encoders.
    """

    def __init__(self, dims: Sequence[int], size: int) -> None:
        super().__init__()
        self.levels = range(1, len(dims) + 1)
        for i, dim_in, dim in zip(self.levels, (1, *dims), dims, strict=False):
            self.add_module(f"encoder_block{i}", Encoder(dim_in, dim, size))
        self.conv_block7 = ConvBlock(dims[-1], dims[-1], size)
        up = tuple(reversed(dims))
        for i, dim_in, dim in zip(self.levels, (up[0], *up), up, strict=False):
            self.add_module(f"decoder_block{i}", Decoder(dim_in, dim, size))
        self.after_conv_block1 = ConvBlock(dims[0], dims[0], size)
        self.after_conv2 = nn.Conv2d(dims[0], 1, 1)

    def forward(self, magnitudes: Tensor, condition: Tensor) -> Tensor:
        frames = magnitudes.shape[2]
        x = F.pad(magnitudes, (0, -OUTSIDE, 0, -frames % FRAMES))
        skips: list[Tensor] = []
        for i in self.levels:
            x, skip = self.get_submodule(f"encoder_block{i}")(x, condition)
            skips.append(skip)
        x = self.conv_block7(x, condition)
        for i in self.levels:
            x = self.get_submodule(f"decoder_block{i}")(x, skips.pop(), condition)
        x = self.after_conv2(self.after_conv_block1(x, condition))
        return F.pad(x, (0, OUTSIDE))[:, :, :frames]
