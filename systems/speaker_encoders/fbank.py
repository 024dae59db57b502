"""Kaldi's logarithmic mel filterbank, the front end of most speaker encoders.

Frames of 25 ms every 10 ms, as far as whole ones fit; mean removed,
pre-emphasis 0.97, power spectrum, triangles on the mel scale from 20 Hz to
half the rate. No dither.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Window = Literal["povey", "hamming"]
PREEMPHASIS = 0.97
LOWEST_HZ = 20.0
FLOOR = float(torch.finfo(torch.float32).eps)


def fbank(samples: Tensor, rate: int, window: Window = "povey", bins: int = 80) -> Tensor:
    """Log energies (B, frames, bins) of samples (B, T), T at least one frame."""
    size, hop = rate * 25 // 1000, rate * 10 // 1000
    frames = samples.unfold(-1, size, hop)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    before = F.pad(frames, (1, 0), mode="replicate")[..., :-1]
    frames = (frames - PREEMPHASIS * before) * _window(window, size).to(samples)
    points = 2 ** math.ceil(math.log2(size))
    power = torch.fft.rfft(frames, points).abs() ** 2
    energies = power[..., :-1] @ _triangles(rate, points, bins).to(samples)
    return energies.clamp(min=FLOOR).log()


@cache
def _window(kind: Window, size: int) -> Tensor:
    if kind == "hamming":
        return torch.hamming_window(size, periodic=False)
    return torch.hann_window(size, periodic=False) ** 0.85


@cache
def _triangles(rate: int, points: int, bins: int) -> Tensor:
    """Weights (points / 2, bins) of the spectrum's lines, the last line (half the rate) left out."""
    low, high = (1127.0 * math.log(1 + hz / 700) for hz in (LOWEST_HZ, rate / 2))
    edges = low + (high - low) / (bins + 1) * torch.arange(bins + 2)
    mels = 1127.0 * torch.log(1 + rate / points * torch.arange(points // 2) / 700)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)
