"""A spectrum as a sequence of bands, each mapped to the same number of channels, and masks for the way back.

Y. Luo and J. Yu, Music source separation with band-split RNN, TASLP 2023 (arXiv 2209.15174).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPS = float(torch.finfo(torch.float32).eps)


class BandSplit(nn.Module):
    """Real and imaginary parts of every band, normalised, mapped to ``channels``."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.widths = list(widths)
        self.norms = nn.ModuleList(nn.GroupNorm(1, 2 * width, EPS) for width in widths)
        self.maps = nn.ModuleList(nn.Conv1d(2 * width, channels, 1) for width in widths)

    def forward(self, spectrum: Tensor) -> Tensor:
        """(B, F, T) complex to (B, bands, channels, T)."""
        bands = torch.view_as_real(spectrum).permute(0, 3, 1, 2).split(self.widths, dim=2)
        found = [m(norm(x.flatten(1, 2))) for x, norm, m in zip(bands, self.norms, self.maps, strict=True)]
        return torch.stack(found, dim=1)


class BandMasks(nn.Module):
    """A complex mask for every band: values times gates, from three pointwise layers."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.bands = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels, EPS), nn.Conv1d(channels, hidden, 1), nn.Tanh(),
                nn.Conv1d(hidden, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, 4 * width, 1),
            )
            for width in widths
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, bands, channels, T) to (B, F, T) complex."""
        found = []
        for index, band in enumerate(self.bands):
            values, gates = band(x[:, index]).chunk(2, dim=1)
            real, imaginary = (values * torch.sigmoid(gates)).chunk(2, dim=1)
            found.append(torch.complex(real, imaginary))
        return torch.cat(found, dim=1)
