"""Gaussian noise on condition vectors, so that a separator does not learn their last detail."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

VARIANCE = 0.001
"""The strength that zelaki/wsac 93d1a45 trains with on CLAP's vectors by default (Kouzelis and Katsouros,
arXiv 2309.12242); CapDec takes 0.016 on CLIP's. That of Ma et al. was not found."""


def inject(vectors: Tensor, variance: float = VARIANCE, generator: Generator | None = None) -> Tensor:
    """Unit vectors (B, size) plus Gaussian noise of this variance in every coordinate, brought back to unit length.

    ``noise_injection`` in ``train.py`` of github.com/DavidHuji/CapDec 0400db1
    (Nukrai et al., Text-only training for image captioning using
    noise-injected CLIP, arXiv 2211.00575). A vector and its noisy version have
    a cosine of about (1 + size * variance) ** -0.5: 0.81 for 512 coordinates
    and 0.001, 0.33 for 0.016.

    The noise is drawn on the CPU, so that it does not depend on the device,
    and from torch's global generator where no other is given.
    """
    vectors = F.normalize(vectors, dim=-1)
    if variance == 0:
        return vectors
    noise = torch.randn(vectors.shape, generator=generator) * variance**0.5
    return F.normalize(vectors + noise.to(vectors), dim=-1)
