"""AudioSep's network, and its published checkpoint as this network's weights.

X. Liu et al., Separate anything you describe, 2023 (arXiv 2308.05037);
github.com/Audio-AGI/AudioSep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.audiosep.resunet import POOLS, FiLM, UNet, widths

RATE = 32_000
N_FFT = 2048
HOP = 320
SHORTEST = N_FFT // 2 + 1
FLOOR = 1e-10
"""Of the power whose root the network hears, and of the length of a rotation before it is made 1."""
LEFT, CENTRE, RIGHT = RATE, 3 * RATE, RATE
"""Samples: the published ``chunk_inference`` keeps the middle three of five seconds."""


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the published one (``config/audiosep_base.yaml``)."""

    dims: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    size: int = 512


def build(config: Config | None = None) -> Separator:
    """The network with random weights, drawn as for the published training."""
    return Separator(config or Config()).apply(_initialise)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Separator(nn.Module):
    """A mixture and a condition to the target, by a magnitude mask and a rotation of the phase, bin by bin."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.base = UNet(config.dims, N_FFT // 2 + 1)
        self.film = FiLM(config.size, widths(self.base))
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mixtures: Tensor, condition: Tensor) -> Tensor:
        """Estimates (B, T).

        Parameters
        ----------
        mixtures
            (B, T) at 32 kHz, at least :data:`SHORTEST` samples.
        condition
            (B, size): CLAP's vector of what is wanted.
        """
        spectrum = torch.stft(mixtures, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        magnitudes = (spectrum.real.square() + spectrum.imag.square()).clamp(min=FLOOR).sqrt()
        maps = self.base(magnitudes, self.film(condition))
        masked = spectrum * F.pad(_mask(maps.float()), (0, 0, 0, 1))  # nothing is left of the top bin
        return torch.istft(masked, N_FFT, HOP, window=self.window, length=mixtures.shape[-1])


def _mask(maps: Tensor) -> Tensor:
    """The complex mask (B, bins, frames) that three maps (B, 3, frames, bins) stand for."""
    magnitude, real, imaginary = maps.transpose(2, 3).unbind(dim=1)
    rotation = torch.complex(real.tanh(), imaginary.tanh())
    return magnitude.sigmoid() * rotation / rotation.abs().clamp(min=FLOOR)


def in_chunks(network: Callable[[Tensor, Tensor], Tensor], mixtures: Tensor, condition: Tensor) -> Tensor:
    """Estimates (B, T), five seconds at a time, of which the outer ones are heard but not kept.

    The published ``chunk_inference``, but that five seconds and less are
    separated whole; there, they come back as zeros.
    """
    length, window = mixtures.shape[-1], LEFT + CENTRE + RIGHT
    last = max(0, -(-(length - window) // CENTRE)) * CENTRE
    found = torch.empty_like(mixtures)
    for start in range(0, last + 1, CENTRE):
        piece = network(mixtures[:, start : start + window], condition)
        begin = LEFT if start else 0
        end = window - RIGHT if start < last else length - start
        found[:, start + begin : start + end] = piece[:, begin:end]
    return found


# -- the published checkpoint --------------------------------------------------------------------

SEPARATOR = "ss_model."
KERNELS = ("base.stft.", "base.istft.")
"""The transforms as convolutions, which follow from their definition."""


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """The separator's published weights under this network's names.

    Parameters
    ----------
    published
        A state dict of the whole system, or of its separator alone (``base.*`` and ``film.*``).
    """
    home = SEPARATOR if any(key.startswith(SEPARATOR) for key in published) else ""
    own = {key.removeprefix(home): tensor for key, tensor in published.items() if key.startswith(home)}
    return {key: tensor for key, tensor in own.items() if not key.startswith(KERNELS)}


def config(state: Mapping[str, Any]) -> Config:
    """The architecture that fits a state dict from :func:`convert`, read off its shapes."""
    kernels = [state[f"base.encoder_block{i}.conv_block1.conv1.weight"] for i in range(1, len(POOLS) + 1)]
    return Config(tuple(kernel.shape[0] for kernel in kernels), state["film.decoder_block1->beta1.weight"].shape[1])
