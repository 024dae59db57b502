"""How the two trainings learn: losses, a learning rate over time, averaged weights, validation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from tspbench.systems.clapsep_mini.data import Batch, Pairs
from tspbench.systems.clapsep_mini.model import Encoder, Separator, condition, side
from tspbench.systems.clapsep_mini.sounds import Library
from tspbench.types import Audio

LIMIT = 1e-3
"""Noise below the target by more than 30 dB is no longer worth anything."""
QUIETEST = 1e-2


@dataclass(frozen=True)
class Cosine:
    """Up to the rate in a straight line for ``warm_up`` steps, then down to nearly nothing along half a cosine."""

    warm_up: int

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        def factor(step: int) -> float:
            if step < self.warm_up:
                return (step + 1) / self.warm_up
            done = min(1.0, (step - self.warm_up) / max(1, steps - self.warm_up))
            return 0.005 + 0.995 * (1 + math.cos(math.pi * done)) / 2

        return LambdaLR(optimiser, factor)


class Averaged(nn.Module):
    """A network that learns, and the running mean of its weights, which is the one to use.

    The mean follows by ``1 - decay`` at every call of :meth:`follow`, faster at first.
    """

    updates: Tensor

    def __init__(self, live: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        self.live, self.decay = live, decay
        self.mean = copy.deepcopy(live).requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self) -> None:
        self.updates += 1
        count = int(self.updates)
        share = 1 - min(self.decay, (1 + count) / (10 + count))
        for mean, live in zip(self.mean.state_dict().values(), self.live.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(live, share)
            else:
                mean.copy_(live)


# -- the encoder ---------------------------------------------------------------------------------


def contrast(encoder: Encoder, pairs: Pairs) -> Tensor:
    """CLIP's loss where several captions may fit a sound: they share the probability evenly.

    Spectra are varied before the tower sees them: shifted and filtered a
    little, stretches of time and frequency left out (SpecAugment, arXiv 1904.08779).
    """
    bands = encoder.front.bands(encoder.front.spectrum(pairs.sounds))
    heard = encoder.sounds(_masked(bands))[1]
    products = encoder.scale.exp() * heard @ encoder.words(pairs.captions).T
    wanted = pairs.fits.to(products)
    both = (
        F.cross_entropy(products, wanted / wanted.sum(1, keepdim=True)),
        F.cross_entropy(products.T, wanted.T / wanted.T.sum(1, keepdim=True)),
    )
    return sum(both, products.new_zeros(())) / 2


def _masked(bands: Tensor) -> Tensor:
    loud, place = bands.unbind(1)
    out = loud.clone()
    for row in out:
        shift = int(torch.randint(-3, 4, ()))
        row.copy_(row.roll(shift, 0))
        for axis, most in ((0, 16), (1, 48)):
            width = int(torch.randint(0, most + 1, ()))
            start = int(torch.randint(0, row.shape[axis] - width + 1, ()))
            row.narrow(axis, start, width).fill_(float(row.mean()))
    return torch.stack([out, place], dim=1)


def accuracy(encoder: Encoder, library: Library, captions: dict[str, str]) -> float:
    """Share of sounds whose vector is nearest to the caption of their own class."""
    names = list(captions)
    texts = encoder.text([captions[name] for name in names])
    heard = encoder.audio([library[i] for i in range(len(library))])
    found = (heard @ texts.T).argmax(1).tolist()
    return float(np.mean([names[i] == name for i, name in zip(found, library.names, strict=True)]))


# -- the separator -------------------------------------------------------------------------------


def separation(separator: Separator, batch: Batch) -> Tensor:
    """Half SNR and half SI-SDR in dB, negative; where the target is silent, how loud the estimate is in dB."""
    estimate = separator(batch.mixture, batch.condition)
    target, power = batch.target, batch.target.square().sum(-1)
    present = power > 0
    energy = power.clamp_min(1e-9)
    scaled = target * ((estimate * target).sum(-1) / energy)[:, None]
    snr = _ratio(energy, (target - estimate).square().sum(-1), LIMIT)
    si_sdr = _ratio(scaled.square().sum(-1) + 1e-9, (scaled - estimate).square().sum(-1), LIMIT)
    left = estimate.square().sum(-1) / batch.mixture.square().sum(-1).clamp_min(1e-9)
    silent = 10 * torch.log10(left + QUIETEST)
    return torch.where(present, -(snr + si_sdr) / 2, silent).mean()


def _ratio(signal: Tensor, noise: Tensor, limit: float) -> Tensor:
    return 10 * torch.log10(signal / (noise + limit * signal + 1e-9))


@dataclass(frozen=True)
class Trial:
    """A mixture of two sounds at equal energy, the target, and what is asked for."""

    mixture: Audio
    target: Audio
    caption: str


def trials(library: Library, count: int, seed: int, caption: Callable[[str], str]) -> list[Trial]:
    """Mixtures of two classes at 0 dB, classes in turn."""
    rng = np.random.default_rng(seed)
    names = sorted(set(library.names))
    found = []
    for i in range(count):
        name = names[i % len(names)]
        other = rng.choice([each for each in names if each != name])
        one, two = (
            library[int(rng.choice([j for j, n in enumerate(library.names) if n == each]))] for each in (name, other)
        )
        two = two * np.float32(np.linalg.norm(one) / (np.linalg.norm(two) + 1e-9))
        found.append(Trial(one + two, one, caption(name)))
    return found


@torch.inference_mode()
def improvement(separator: Separator, encoder: Encoder, some: Sequence[Trial]) -> tuple[float, float]:
    """Mean SI-SDR improvement in dB, and the share of trials that it is negative in."""
    gains = []
    for start in range(0, len(some), 8):
        part = some[start : start + 8]
        conditions = torch.stack(
            [
                condition(side(encoder.size, text, None), torch.zeros(encoder.size))
                for text in encoder.text([t.caption for t in part])
            ]
        )
        mixtures = torch.from_numpy(np.stack([t.mixture for t in part]))
        targets = torch.from_numpy(np.stack([t.target for t in part]))
        with torch.autocast(mixtures.device.type, torch.bfloat16):
            estimates = separator(mixtures, conditions)
        gains += (_si_sdr(estimates, targets) - _si_sdr(mixtures, targets)).tolist()
    return float(np.mean(gains)), float(np.mean(np.array(gains) < 0))


def _si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    scaled = target * ((estimate * target).sum(-1) / target.square().sum(-1).clamp_min(1e-9))[:, None]
    return _ratio(scaled.square().sum(-1) + 1e-9, (scaled - estimate).square().sum(-1), 0.0)
