"""TD-SpeakerBeam's network.

M. Delcroix et al., Improving speaker discrimination of target speech
extraction with time-domain SpeakerBeam, ICASSP 2020 (arXiv 2001.08378). Two
builds of it have been published; what tells them apart are fields of
:class:`Config`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.fusion import Concat, Scale
from tspbench.systems.tcn import TCN, Norm, TcnConfig

Fusion = Literal["multiply", "multiply_add", "concat"]
VECTORS: dict[Fusion, int] = {"multiply": 1, "multiply_add": 2, "concat": 1}
"""Numbers of the speaker's vector for every channel that it adapts."""


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are those of the Libri2Mix recipe at 8 kHz.

    Attributes
    ----------
    filters, kernel, stride
        Of the learned filterbank; samples.
    adapted
        Index of the block whose two outputs the speaker's vector changes.
    shared_encoder, encoder_relu
        The enrolment goes through the mixture's filterbank, not one of its own; a ReLU follows.
    """

    filters: int = 512
    kernel: int = 16
    stride: int = 8
    channels: int = 128
    hidden: int = 512
    block_kernel: int = 3
    blocks: int = 8
    repeats: int = 3
    adapted: int = 7
    fusion: Fusion = "multiply"
    shared_encoder: bool = False
    encoder_relu: bool = False
    bias: bool = True
    first_norm: Norm = "global"
    eps: float = 1e-8
    last_prelu: bool = True

    @property
    def vector(self) -> int:
        """Numbers that describe a speaker: for the residual first, then for the skip connection."""
        return 2 * self.channels * VECTORS[self.fusion]

    def tcn(self, outputs: int, repeats: int) -> TcnConfig:
        return TcnConfig(
            inputs=self.filters, outputs=outputs, channels=self.channels, hidden=self.hidden, skip=self.channels,
            kernel=self.block_kernel, blocks=self.blocks, repeats=repeats, bias=self.bias,
            first_norm=self.first_norm, eps=self.eps, last_prelu=self.last_prelu,
        )  # fmt: skip


LIBRI2MIX_8K = Config()
"""The authors' recipe, and the example checkpoint beside it."""
FLOAT_EPS = float(torch.finfo(torch.float32).eps)
ESPNET = Config(shared_encoder=True, encoder_relu=True, bias=False, first_norm="channel", eps=FLOAT_EPS)
"""What every ESPnet build has in common; the sizes are those of :data:`LIBRI2MIX_8K`."""
ESPNET_LIBRIMIX_16K = Config(
    filters=256, kernel=32, stride=16, channels=256, repeats=4, shared_encoder=True, encoder_relu=True, bias=False,
    first_norm="channel", eps=FLOAT_EPS,
)  # fmt: skip
MINI_16K = Config(filters=256, kernel=128, stride=64, channels=128, hidden=128, blocks=5, repeats=3, adapted=4)
"""Ours: longer filters and fewer blocks, so that a CPU trains it in an hour."""


def build(config: Config = LIBRI2MIX_8K) -> SpeakerBeam:
    """The network with random weights."""
    return SpeakerBeam(config)


class SpeakerBeam(nn.Module):
    """A mask on a learned filterbank's output; one block of it hears whom it is about."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c = self.config = config
        self.encoder = nn.Conv1d(1, c.filters, c.kernel, c.stride, bias=False)
        self.auxiliary_encoder = None if c.shared_encoder else nn.Conv1d(1, c.filters, c.kernel, c.stride, bias=False)
        self.auxiliary = TCN(c.tcn(outputs=c.vector, repeats=1))
        self.masker = TCN(c.tcn(outputs=c.filters, repeats=c.repeats))
        self.fusion = nn.ModuleList(make_fusion(c.fusion, c.channels) for _ in range(2))
        self.decoder = nn.ConvTranspose1d(c.filters, 1, c.kernel, c.stride, bias=False)

    def forward(self, mixtures: Tensor, enrolments: Tensor) -> Tensor:
        """Estimates (B, T) from mixtures (B, T) and enrolments (B, S)."""
        return self.extract(mixtures, self.embed(enrolments))

    def embed(self, enrolments: Tensor) -> Tensor:
        """Speakers' vectors (B, ``config.vector``) from enrolments (B, S), S at least ``config.kernel``."""
        features = self._features(self.auxiliary_encoder or self.encoder, enrolments)
        return self.auxiliary(features).mean(dim=-1)

    def extract(self, mixtures: Tensor, vectors: Tensor) -> Tensor:
        """Estimates (B, T) from mixtures (B, T), T at least ``config.kernel``, and speakers' vectors."""
        halves = vectors.chunk(2, dim=1)

        def adapt(index: int, residual: Tensor, skip: Tensor) -> tuple[Tensor, Tensor]:
            if index != self.config.adapted:
                return residual, skip
            return self.fusion[0](residual, halves[0]), self.fusion[1](skip, halves[1])

        features = self._features(self.encoder, mixtures)
        mask = F.relu(self.masker(features, adapt))
        estimates = self.decoder(features * mask)[:, 0]
        return F.pad(estimates, (0, mixtures.shape[-1] - estimates.shape[-1]))

    def _features(self, encoder: nn.Module, x: Tensor) -> Tensor:
        features: Tensor = encoder(x[:, None])
        return F.relu(features) if self.config.encoder_relu else features


def make_fusion(kind: Fusion, channels: int) -> nn.Module:
    """How a speaker's vector changes activations."""
    return Concat(channels, channels) if kind == "concat" else Scale()
