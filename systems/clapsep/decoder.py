"""CLAPSep's decoder: features of the audio encoder and a condition to a mask.

Modules carry the names of the published ones (``model/CLAPSep_decoder.py`` at
github.com/Aisaka0v0/CLAPSep), so that a checkpoint's keys are this module's.
Maps are sequences of tokens, (B, side * side, dim), row by row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 8
PATCH = 4
SIDE = 64
"""Tokens along each side of the finest map: 256 rows or columns in patches of 4."""
MELS = 64
FOLDS = 4
"""The 1024 frames are folded into four rows of 256 columns, 64 mels each: a square image."""


class FiLM(nn.Module):
    """gamma(e) * x + beta(e): x of shape (B, L, dim), e of shape (B, size)."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.beta = nn.Linear(size, dim)
        self.gamma = nn.Linear(size, dim)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        found: Tensor = self.gamma(e)[:, None] * x + self.beta(e)[:, None]
        return found


class SkipTrans(nn.Module):
    """An encoder feature under the condition, merged into the decoder's map: LN(FiLM(linear(skip), e) + x)."""

    def __init__(self, size: int, dim_in: int, dim: int) -> None:
        super().__init__()
        self.skip_conv = FiLM(size, dim)
        self.feature_proj = nn.Linear(dim_in, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, skip: Tensor, e: Tensor, x: Tensor | None = None) -> Tensor:
        found = self.skip_conv(self.feature_proj(skip), e)
        merged: Tensor = self.norm(found if x is None else found + x)
        return merged


class WindowAttention(nn.Module):
    """Self-attention within windows of 8 x 8 tokens, with a bias for each relative position: (n, 64, dim)."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_positions())
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        heard = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        found: Tensor = self.proj(heard.transpose(1, 2).flatten(2))
        return found


def relative_positions() -> Tensor:
    """For every pair of the 64 tokens of a window the row of the bias table, (64, 64)."""
    row, column = torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")
    place = torch.stack([row.flatten(), column.flatten()])
    offset = place[:, :, None] - place[:, None, :] + WINDOW - 1
    return offset[0] * (2 * WINDOW - 1) + offset[1]


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return found


class SwinBlock(nn.Module):
    """One block of a Swin transformer without shift, on a map of ``side`` x ``side`` tokens.

    ``drop`` is the probability that a residual branch is left out in training (stochastic depth).
    """

    def __init__(self, dim: int, side: int, heads: int, drop: float) -> None:
        super().__init__()
        self.side, self.drop = side, drop
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self._joined(self.attn(self._windows(self.norm1(x)))))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _windows(self, x: Tensor) -> Tensor:
        """(B, side * side, dim) to (B * windows, 64, dim)."""
        tiles = self.side // WINDOW
        x = x.unflatten(1, (tiles, WINDOW, tiles, WINDOW))
        return x.transpose(2, 3).reshape(-1, WINDOW**2, x.shape[-1])

    def _joined(self, windows: Tensor) -> Tensor:
        """The reverse of :meth:`_windows`."""
        tiles = self.side // WINDOW
        x = windows.reshape(-1, tiles, tiles, WINDOW, WINDOW, windows.shape[-1])
        return x.transpose(2, 3).reshape(-1, self.side**2, windows.shape[-1])

    def _kept(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop == 0:
            return branch
        keep = 1 - self.drop
        return branch * branch.new_empty(branch.shape[0], 1, 1).bernoulli_(keep) / keep


class PatchExpand(nn.Module):
    """Twice the tokens along each side, half the channels; the inverse of Swin's patch merging.

    Of the four parts of the expanded channels, part k becomes the token at row
    k mod 2 and column k div 2 of its cell.
    """

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.expand = nn.Linear(dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(dim // 2)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.expand(x).unflatten(-1, (2, 2, -1)).unflatten(1, (self.side, self.side))
        image = parts.permute(0, 1, 4, 2, 3, 5)  # (B, row, row in cell, column, column in cell, dim)
        found: Tensor = self.norm(image.reshape(x.shape[0], 4 * self.side**2, -1))
        return found


class Stage(nn.Module):
    """Upsampling, but for the deepest stage, then one Swin block of width ``dim``."""

    def __init__(self, dim: int, side: int, heads: int, drop: float, upsample: bool) -> None:
        super().__init__()
        self.downsample = PatchExpand(2 * dim, side // 2) if upsample else None
        self.blocks = nn.ModuleList([SwinBlock(dim, side, heads, drop)])

    def forward(self, x: Tensor) -> Tensor:
        if self.downsample is not None:
            x = self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x


class InversePatchEmbed(nn.Module):
    """The finest map (B, 4096, dim) to an image (B, 256, 256)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.ConvTranspose2d(dim, 1, kernel_size=PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = self.proj(self.norm(x).transpose(1, 2).unflatten(2, (SIDE, SIDE)))
        return image[:, 0]


class Decoder(nn.Module):
    """Features and a condition to a mask.

    Parameters
    ----------
    size
        Of the condition.
    dim, encoder_dim
        Width of the finest map, here and in the encoder; each coarser one doubles it.
    heads
        Of the stages, the finest map's first.
    bins
        Of the magnitude spectrum.
    d_mask, mask_layers
        Width and depth of the transformer that draws the mask.
    """

    def __init__(
        self,
        size: int,
        dim: int,
        encoder_dim: int,
        heads: Sequence[int],
        bins: int,
        d_mask: int,
        mask_layers: int,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        depths = range(len(heads))
        deepest = depths[-1]
        stages = [
            Stage(dim * 2**i, SIDE // 2**i, heads[i], drop * i / max(deepest, 1), upsample=i < deepest) for i in depths
        ]
        skips = [SkipTrans(size, encoder_dim * 2**i, dim * 2**i) for i in depths]
        self.inverse_patch_embed = InversePatchEmbed(dim)
        self.layers = nn.ModuleList(reversed(stages))
        self.skip = nn.ModuleList(reversed(skips))
        self.film = SkipTrans(size, encoder_dim * 2**deepest, dim * 2**deepest)
        self.spec_norm = nn.BatchNorm2d(bins, momentum=0.01)
        block = nn.TransformerEncoderLayer(d_mask, nhead=8, dim_feedforward=4 * d_mask, dropout=0, batch_first=True)
        self.mask_net = nn.Sequential(
            nn.Linear(MELS + bins, d_mask),
            nn.LayerNorm(d_mask),
            nn.TransformerEncoder(block, mask_layers, enable_nested_tensor=False),
            nn.Linear(d_mask, bins),
        )

    def forward(self, features: Sequence[Tensor], magnitude: Tensor, e: Tensor) -> Tensor:
        """The mask (B, frames, bins), between 0 and 1.

        Parameters
        ----------
        features
            What the encoder found: patches, then each of its stages; the last one enters at the bottom.
        magnitude
            Of the mixture, (B, frames, bins), frames at most 1024.
        e
            The condition, (B, size).
        """
        *skips, deepest = features
        x = self.film(deepest, e)
        for stage, merge, skip in zip(self.layers, self.skip, reversed(skips), strict=True):
            x = merge(skip, e, stage(x))
        mels = unfolded(self.inverse_patch_embed(x))[:, : magnitude.shape[1]]
        spectrum = self.spec_norm(magnitude.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)
        mask: Tensor = torch.sigmoid(self.mask_net(torch.cat([spectrum, mels], dim=-1)))
        return mask


def unfolded(image: Tensor) -> Tensor:
    """An image (B, 4 * 64, 256) to frames (B, 4 * 256, 64): frame 256 r + c is column c of the r-th row of mels."""
    return image.unflatten(1, (FOLDS, MELS)).transpose(2, 3).flatten(1, 2)
