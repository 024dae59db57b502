"""The log-mel spectra that HiFi-GAN was trained on (``meldataset.py``, github.com/jik876/hifi-gan 4769534)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tspbench.mel import slaney_filters

FLOOR = 1e-5
POWER_FLOOR = 1e-9


@dataclass(frozen=True)
class MelConfig:
    """How a waveform becomes a mel spectrum; the defaults are those of every HiFi-GAN published at 22.05 kHz.

    Attributes
    ----------
    rate, lowest, highest
        In Hz.
    window, hop
        In samples; the window is also the size of the transform.
    """

    rate: int = 22050
    window: int = 1024
    hop: int = 256
    bands: int = 80
    lowest: float = 0.0
    highest: float = 8000.0

    def frames(self, samples: int) -> int:
        """Frames of so many samples."""
        return samples // self.hop


def log_mel(samples: Tensor, config: MelConfig) -> Tensor:
    """Natural logarithms of mel magnitudes, (B, bands, T // hop), of samples (B, T).

    Fewer samples than the reflection at the ends needs are filled up with zeros.
    """
    margin = (config.window - config.hop) // 2
    samples = F.pad(samples, (0, max(0, margin + 1 - samples.shape[-1], config.hop - samples.shape[-1])))
    padded = F.pad(samples[:, None], (margin, margin), mode="reflect")[:, 0]
    window = torch.hann_window(config.window, device=samples.device)
    spectrum = torch.stft(padded, config.window, config.hop, window=window, center=False, return_complex=True)
    magnitudes = (spectrum.abs().square() + POWER_FLOOR).sqrt()
    filters = slaney_filters(config.rate, config.window, config.bands, config.lowest, config.highest)
    return (torch.from_numpy(filters.astype(np.float32)).to(samples.device) @ magnitudes).clamp(min=FLOOR).log()
