"""Samples to the log-mel frames that HTSAT hears."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor, nn

from tspbench.mel import slaney_filters

RATE = 48_000
N_FFT = 1024
HOP = 480
MELS = 64
FMIN, FMAX = 50.0, 14_000.0
FLOOR = 1e-10
CLIP = 10 * RATE
"""Samples of the clips that CLAP was trained on."""


class LogMel(nn.Module):
    """Log-mel power in dB: (B, T) at 48 kHz to (B, 1, 1 + T // 480, 64).

    Hann windows of 1024 samples, centred, reflected at the ends; 64 Slaney
    filters from 50 Hz to 14 kHz; 10 log10 of the power, floored at 1e-10. The
    front end of ``laion_clap`` (torchlibrosa's Spectrogram and LogmelFilterBank).

    Parameters
    ----------
    frames
        When given, silence is appended up to this many frames. It is appended
        to the spectrum, so it stands at -100 dB.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, frames: int | None = None) -> None:
        super().__init__()
        self.frames = frames
        filters = torch.from_numpy(slaney_filters(RATE, N_FFT, MELS, FMIN, FMAX).T.copy()).float()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        spectrum = torch.stft(samples, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
        if self.frames is not None:
            power = nn.functional.pad(power, (0, 0, 0, self.frames - power.shape[1]))
        return 10 * torch.log10((power @ self.filters).clamp(min=FLOOR))[:, None]


def resample(samples: Tensor, source: int, target: int) -> Tensor:
    """Samples (B, T) from one rate to another, (B, ceil(T * target / source)).

    A sinc of 6 zero crossings under a Hann window that cuts off at 0.99 of the
    lower Nyquist frequency: torchaudio's ``Resample`` with its defaults, by
    which the published systems change rates.
    """
    if source == target:
        return samples
    divisor = math.gcd(source, target)
    step, phases = source // divisor, target // divisor
    kernels, width = _kernels(step, phases)
    padded = nn.functional.pad(samples[:, None], (width, width + step))
    found = nn.functional.conv1d(padded, kernels.to(samples), stride=step)  # (B, phases, T / step)
    return found.transpose(1, 2).flatten(1)[:, : -(-samples.shape[-1] * phases // step)]


@cache
def _kernels(step: int, phases: int, crossings: int = 6, rolloff: float = 0.99) -> tuple[Tensor, int]:
    """One filter per output phase, (phases, 1, taps), and the samples it reaches to the left."""
    cutoff = min(step, phases) * rolloff
    width = math.ceil(crossings * step / cutoff)
    taps = torch.arange(-width, width + step, dtype=torch.float64) / step
    time = (taps - torch.arange(phases, dtype=torch.float64)[:, None] / phases) * cutoff
    time = time.clamp(-crossings, crossings)
    window = torch.cos(time * math.pi / crossings / 2).square()
    return (torch.sinc(time) * window * cutoff / step)[:, None].float(), width


def ten_seconds(samples: Tensor) -> Tensor:
    """A clip (T,) at 48 kHz as CLAP takes it: 480,000 samples.

    A shorter one is repeated as often as it fits whole and padded with zeros
    (``repeatpad`` in ``laion_clap``). Of a longer one the middle is taken:
    ``laion_clap`` takes a random stretch, which no two runs would share.
    """
    length = samples.shape[-1]
    if length > CLIP:
        start = (length - CLIP) // 2
        return samples[start : start + CLIP]
    repeated = samples.repeat(CLIP // length) if length else samples
    return nn.functional.pad(repeated, (0, CLIP - repeated.shape[-1]))


def rounded(samples: Tensor) -> Tensor:
    """Samples as a 16-bit file would hold them, rounded towards zero: what ``laion_clap`` does to audio it is given."""
    return (samples.clamp(-1, 1) * 32767).trunc() / 32767
