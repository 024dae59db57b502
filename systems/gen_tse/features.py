"""From samples to what the network takes; training and inference do it alike."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tspbench import audio
from tspbench.systems.gen_tse.config import STEP, Config
from tspbench.systems.vocoders.mel import log_mel as vocoder_mel
from tspbench.systems.whisper.mel import log_mel as whisper_mel
from tspbench.types import Audio

RATE = 16_000


def gain(mixture: Audio, level: float) -> float:
    """What brings a mixture (T,) to a level in dB re full scale; 1 for silence."""
    rms = float(np.sqrt(np.mean(np.square(mixture, dtype=np.float64)))) if len(mixture) else 0.0
    return float(10 ** (level / 20) / rms) if rms > 0 else 1.0


def heard(samples: Audio, length: int, bands: int, device: torch.device) -> Tensor:
    """Whisper's log-mel spectrum (bands, length // 160) of samples, cut or followed by silence to ``length``."""
    return whisper_mel(torch.from_numpy(audio.fit(samples, length)).to(device), bands)


def enrolment_mel(enrolment: Audio, config: Config, device: torch.device) -> Tensor:
    """Whisper's log-mel spectrum (bands, 2 * frames) of an enrolment at 16 kHz; of no frames without the prompt."""
    if not config.prompt.enrolment:
        return torch.zeros(config.whisper.mels, 0, device=device)
    return heard(enrolment, config.prompt.frames * STEP, config.whisper.mels, device)


def target_mel(target: Audio, config: Config) -> Tensor:
    """The vocoder's log-mel spectrum (bands, N) of a target at 16 kHz."""
    samples = audio.resample(target, RATE, config.mel.rate)
    return vocoder_mel(torch.from_numpy(samples)[None], config.mel)[0]


def frames(length: int, config: Config) -> tuple[int, int]:
    """Tokens, and frames of the vocoder's mel spectrum, that cover so many samples at 16 kHz."""
    return -(-length // STEP), -(-length * config.mel.rate // (RATE * config.mel.hop))
