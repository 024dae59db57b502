"""Training losses as the publications define them: estimates and targets (B, T), or tokens, to one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]

ASTEROID_EPS = 1e-8
IGNORED = -100
"""A token that is not asked for."""


def snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Signal-to-noise ratio in dB, (B,), mean not removed; finite for silence (torchmetrics' epsilons)."""
    eps = torch.finfo(estimate.dtype).eps
    noise = (target - estimate).square().sum(-1)
    return 10 * torch.log10((target.square().sum(-1) + eps) / (noise + eps))


def si_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-noise ratio in dB, (B,), means removed (torchmetrics' epsilons)."""
    eps = torch.finfo(estimate.dtype).eps
    estimate, target = _centred(estimate), _centred(target)
    gain = ((estimate * target).sum(-1, keepdim=True) + eps) / (target.square().sum(-1, keepdim=True) + eps)
    projection = gain * target
    noise = (projection - estimate).square().sum(-1)
    return 10 * torch.log10((projection.square().sum(-1) + eps) / (noise + eps))


def snr_and_si_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """-(0.9 SNR + 0.1 SI-SNR): CLAPSep, ``loss_fn`` in ``model/CLAPSep.py``, github.com/Aisaka0v0/CLAPSep 5404111."""
    return -(0.9 * snr(estimate, target) + 0.1 * si_snr(estimate, target)).mean()


def l1(estimate: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of samples: AudioSep, ``losses.py``, github.com/Audio-AGI/AudioSep 944583f."""
    return (estimate - target).abs().mean()


def negative_si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Negative SI-SDR, means removed, with asteroid's epsilons: ``singlesrc_neg_sisdr``, which SpeakerBeam trains with.

    asteroid, ``losses/sdr.py`` 92c8d83a. WeSep's loss (auraloss) differs from it in the epsilons alone.
    """
    estimate, target = _centred(estimate), _centred(target)
    energy = target.square().sum(-1, keepdim=True) + ASTEROID_EPS
    projection = (estimate * target).sum(-1, keepdim=True) / energy * target
    noise = (estimate - projection).square().sum(-1)
    ratio = projection.square().sum(-1) / (noise + ASTEROID_EPS)
    return -10 * torch.log10(ratio + ASTEROID_EPS).mean()


def cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean over all tokens (B, n) but -100, of logits (B, n, vocabulary): TS-Whisper, ``training_pt.py`` 34dab05."""
    return F.cross_entropy(logits.transpose(1, 2).float(), tokens, ignore_index=IGNORED)


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)


LOSSES: dict[str, Loss] = {"snr_and_si_snr": snr_and_si_snr, "l1": l1, "negative_si_sdr": negative_si_sdr}
"""Of waveforms."""
TEXT_LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy}
"""Of logits and tokens."""
