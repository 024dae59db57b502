"""ResUNet30: a residual U-Net over magnitude spectra whose every block a condition shifts.

Modules carry the names of the published ones (``models/resunet.py`` at
github.com/Audio-AGI/AudioSep), so that a checkpoint's keys are this module's.
Maps are (B, channels, frames, bins).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.01
POOLS = ((2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (1, 2))
"""How far each of the six encoders goes down, in frames and bins, and its decoder up again."""
FRAMES = 32
"""The number of frames is filled up to a multiple of this, the product of all those steps."""
MAPS = 3
"""What comes out: a magnitude mask, and the real and the imaginary part of a rotation."""


class FiLM(nn.ModuleDict):
    """One linear layer per name, (B, size) to (B, width, 1, 1): what is added to a map. There is no factor."""

    def __init__(self, size: int, widths: Mapping[str, int]) -> None:
        super().__init__({name: nn.Linear(size, width) for name, width in widths.items()})

    def forward(self, condition: Tensor) -> dict[str, Tensor]:
        return {name: layer(condition)[:, :, None, None] for name, layer in self.items()}


class ConvBlock(nn.Module):
    """Two times norm, shift, leaky ReLU and 3 x 3 convolution, beside a shortcut."""

    def __init__(self, dim_in: int, dim: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(dim_in, momentum=MOMENTUM)
        self.bn2 = nn.BatchNorm2d(dim, momentum=MOMENTUM)
        self.conv1 = nn.Conv2d(dim_in, dim, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(dim_in, dim, 1) if dim_in != dim else nn.Identity()

    def forward(self, x: Tensor, shifts: Sequence[Tensor]) -> Tensor:
        y = self.conv1(activated(self.bn1, x, shifts[0]))
        y = self.conv2(activated(self.bn2, y, shifts[1]))
        found: Tensor = self.shortcut(x) + y
        return found


class Encoder(nn.Module):
    """A block, and its map averaged over cells of ``pool``."""

    def __init__(self, dim_in: int, dim: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv_block1 = ConvBlock(dim_in, dim)
        self.pool = pool

    def forward(self, x: Tensor, shifts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        fine = self.conv_block1(x, shifts)
        return F.avg_pool2d(fine, self.pool), fine


class Decoder(nn.Module):
    """The map enlarged by ``pool``, put beside the encoder's, and a block."""

    def __init__(self, dim_in: int, dim: int, pool: tuple[int, int]) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(dim_in, dim, pool, pool, bias=False)
        self.bn1 = nn.BatchNorm2d(dim_in, momentum=MOMENTUM)
        self.conv_block2 = ConvBlock(2 * dim, dim)
        # Not used, and neither is its shift, beta2; the published checkpoint holds both.
        self.bn2 = nn.BatchNorm2d(dim_in, momentum=MOMENTUM)

    def forward(self, x: Tensor, skip: Tensor, shift: Tensor, shifts: Sequence[Tensor]) -> Tensor:
        x = torch.cat((self.conv1(activated(self.bn1, x, shift)), skip), dim=1)
        found: Tensor = self.conv_block2(x, shifts)
        return found


class UNet(nn.Module):
    """Magnitudes (B, bins, frames) to three maps (B, 3, frames, bins - 1); the top bin stays outside.

    Parameters
    ----------
    dims
        Channels of the six encoders.
    """

    def __init__(self, dims: Sequence[int], bins: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(bins, momentum=MOMENTUM)
        self.pre_conv = nn.Conv2d(1, dims[0], 1)
        for i, (dim_in, dim, pool) in enumerate(zip((dims[0], *dims), dims, POOLS, strict=False), start=1):
            self.add_module(f"encoder_block{i}", Encoder(dim_in, dim, pool))
        self.conv_block7a = Encoder(dims[-1], dims[-1], (1, 1))
        up = tuple(reversed(dims))
        for i, (dim_in, dim, pool) in enumerate(zip((up[0], *up), up, reversed(POOLS), strict=False), start=1):
            self.add_module(f"decoder_block{i}", Decoder(dim_in, dim, pool))
        self.after_conv = nn.Conv2d(dims[0], MAPS, 1)

    def forward(self, magnitudes: Tensor, shifts: Mapping[str, Tensor]) -> Tensor:
        x = self.bn0(magnitudes[..., None]).transpose(1, 3)  # (B, 1, frames, bins)
        frames = x.shape[2]
        x = self.pre_conv(F.pad(x, (0, -1, 0, -frames % FRAMES)))
        skips: list[Tensor] = []
        for i in range(1, len(POOLS) + 1):
            x, skip = self.get_submodule(f"encoder_block{i}")(x, _pair(shifts, f"encoder_block{i}->conv_block1"))
            skips.append(skip)
        x, _ = self.conv_block7a(x, _pair(shifts, "conv_block7a->conv_block1"))
        for i in range(1, len(POOLS) + 1):
            name = f"decoder_block{i}"
            own = shifts[f"{name}->beta1"]
            x = self.get_submodule(name)(x, skips.pop(), own, _pair(shifts, f"{name}->conv_block2"))
        found: Tensor = self.after_conv(x)
        return found[:, :, :frames]


def widths(unet: nn.Module) -> dict[str, int]:
    """The shifts of a U-Net and their sizes: one for each norm of a block, under ``block->block->beta``."""
    found = {}
    for path, module in unet.named_modules():
        if isinstance(module, ConvBlock | Decoder):
            home = path.replace(".", "->")
            found[f"{home}->beta1"] = module.bn1.num_features
            found[f"{home}->beta2"] = module.bn2.num_features
    return found


def activated(norm: nn.Module, x: Tensor, shift: Tensor) -> Tensor:
    """Normalised, shifted, rectified."""
    return F.leaky_relu_(norm(x).add_(shift), 0.01)


def _pair(shifts: Mapping[str, Tensor], home: str) -> tuple[Tensor, Tensor]:
    return shifts[f"{home}->beta1"], shifts[f"{home}->beta2"]
