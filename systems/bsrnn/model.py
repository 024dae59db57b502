"""BSRNN with a speaker encoder trained beside it.

S. Wang et al., WeSep: a scalable and flexible toolkit towards generalizable
target speaker extraction, Interspeech 2024 (arXiv 2409.15799);
github.com/wenet-e2e/wesep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from tspbench.systems.bandsplit import EPS, BandMasks, BandSplit
from tspbench.systems.fusion import LEARNED
from tspbench.systems.speaker_encoders.ecapa import Ecapa, EcapaConfig
from tspbench.systems.speaker_encoders.resnet import ResNet, ResNetConfig

RATE = 16000
Fusion = Literal["concat", "additive", "multiply", "film"]


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are those of the published checkpoint.

    Attributes
    ----------
    window
        Samples of the Hann window; the hop is a quarter of it.
    fuse_each
        The speaker's vector is told before every block, not only before the first.
    """

    window: int = 512
    channels: int = 128
    blocks: int = 6
    fusion: Fusion = "multiply"
    fuse_each: bool = False
    encoder: EcapaConfig | ResNetConfig = field(default_factory=EcapaConfig)

    @property
    def bands(self) -> list[int]:
        """Widths in bins: fifteen of 100 Hz, ten of 200 Hz, five of 500 Hz, one of 2 kHz, and the rest."""
        bins = self.window // 2 + 1
        widths = [int(hz / (RATE / 2) * bins) for hz, count in BANDS_HZ for _ in range(count)]
        return [*widths, bins - sum(widths)]


BANDS_HZ = ((100, 15), (200, 10), (500, 5), (2000, 1))


def build(config: Config | None = None) -> BSRNN:
    """The network with random weights."""
    return BSRNN(config or Config())


class BSRNN(nn.Module):
    """A complex mask on the mixture's spectrum, drawn by a network that knows the enrolment's vector."""

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = self.config = config
        self.encoder = Ecapa(c.encoder) if isinstance(c.encoder, EcapaConfig) else ResNet(c.encoder)
        self.split = BandSplit(c.bands, c.channels)
        fusions = c.blocks if c.fuse_each else 1
        self.fusions = nn.ModuleList(LEARNED[c.fusion](c.channels, c.encoder.vector) for _ in range(fusions))
        self.blocks = nn.ModuleList(Block(c.channels) for _ in range(c.blocks))
        self.masks = BandMasks(c.bands, c.channels)
        self.register_buffer("window", torch.hann_window(c.window), persistent=False)

    def forward(self, mixtures: Tensor, features: Tensor) -> Tensor:
        """Estimates (B, T) from mixtures (B, T) at 16 kHz and the enrolments' log energies (B, frames, bins)."""
        return self.extract(mixtures, self.embed(features))

    def embed(self, features: Tensor) -> Tensor:
        """Speakers' vectors (B, size) from log energies (B, frames, bins), their mean over the frames removed."""
        vectors: Tensor = self.encoder(features)
        return vectors

    def extract(self, mixtures: Tensor, vectors: Tensor) -> Tensor:
        """Estimates (B, T) from mixtures (B, T), T more than half a window, and speakers' vectors."""
        size, hop = self.config.window, self.config.window // 4
        spectrum = torch.stft(mixtures, size, hop, window=self.window, return_complex=True)
        x = self.split(spectrum)
        for index, block in enumerate(self.blocks):
            if index < len(self.fusions):
                x = self.fusions[index](x, vectors)
            x = block(x)
        return torch.istft(spectrum * self.masks(x), size, hop, window=self.window, length=mixtures.shape[-1])


class Block(nn.Module):
    """One recurrence along time in every band, then one along the bands in every frame: (B, bands, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.time = Recurrence(channels)
        self.bands = Recurrence(channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, bands, _, frames = x.shape
        x = self.time(x.flatten(0, 1)).unflatten(0, (batch, bands))
        x = self.bands(x.permute(0, 3, 2, 1).flatten(0, 1)).unflatten(0, (batch, frames))
        return x.permute(0, 3, 2, 1)


class Recurrence(nn.Module):
    """What a bidirectional LSTM makes of normalised sequences (N, C, L) is added to them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels, EPS)
        self.rnn = nn.LSTM(channels, 2 * channels, batch_first=True, bidirectional=True)
        self.proj = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        found, _ = self.rnn(self.norm(x).transpose(1, 2))
        return x + self.proj(found).transpose(1, 2)
