"""Whisper's log-mel features, with the two ways there are of filling them up to 30 s."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tspbench.mel import slaney_filters
from tspbench.types import Audio

RATE = 16_000
N_FFT, HOP = 400, 160
FRAMES = 3000
"""Frames of 10 ms: the 30 s that Whisper always hears."""


def log_mel(samples: Tensor, bands: int) -> Tensor:
    """Log-mel spectra (bands, T // 160) of samples (T,), scaled as Whisper's own.

    Fewer than 400 samples are filled up with zeros: the reflection at the
    ends needs half a window.
    """
    samples = F.pad(samples, (0, max(0, N_FFT - len(samples))))
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(samples, N_FFT, HOP, window=window, return_complex=True)[:, :-1]
    power = _filters(bands).to(samples.device) @ spectrum.abs().square()
    logs = power.clamp(min=1e-10).log10()
    return (torch.maximum(logs, logs.max() - 8) + 4) / 4


@cache
def _filters(bands: int) -> Tensor:
    return torch.from_numpy(slaney_filters(RATE, N_FFT, bands).astype(np.float32))


def heard_in_full(samples: Audio, bands: int, device: torch.device) -> Tensor:
    """Features (bands, 3000) of up to 30 s, the samples filled up with zeros first: Whisper as published."""
    whole = torch.zeros(FRAMES * HOP, device=device)
    whole[: len(samples)] = torch.from_numpy(np.ascontiguousarray(samples))
    return log_mel(whole, bands)


def after_blank(samples: Audio, bands: int, device: torch.device, blank: int) -> Tensor:
    """Features (bands, 3000): ``blank`` zero frames, the samples' own, then zeros.

    Zeros of the scaled features, not of the waveform: so TS-Whisper makes room
    for its prompts and fills up what follows.
    """
    frames = log_mel(torch.from_numpy(np.ascontiguousarray(samples)).to(device), bands)
    frames = frames[:, : FRAMES - blank]
    return F.pad(frames, (blank, FRAMES - blank - frames.shape[1]))
