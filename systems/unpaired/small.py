"""Networks of little size: an encoder that stands for CLAP, and a separator. Enough to try the method on a CPU."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.mel import slaney_filters
from tspbench.types import Audio

RATE = 32_000
N_FFT, HOP = 1024, 320
MELS = 64
SHORTEST = N_FFT // 2 + 1
GRAMS = 3
TINY = 1e-8
SILENCE = 1e-20


def stft(samples: Tensor, window: Tensor) -> Tensor:
    """Complex spectra (B, bins, frames)."""
    return torch.stft(samples, N_FFT, HOP, window=window, pad_mode="reflect", return_complex=True)


class SmallClap(nn.Module):
    """Captions and sounds to unit vectors of one space, as CLAP does, of what it was shown.

    A sound is the mean and the spread over time of its log-mel frames, its
    level taken off; a caption is the bag of its words' trigrams. A trigram
    that was never trained on adds nothing.
    """

    sample_rate = RATE
    window: Tensor
    filters: Tensor

    def __init__(self, size: int = 64, buckets: int = 4096, width: int = 128) -> None:
        super().__init__()
        self.buckets = buckets
        self.grams = nn.EmbeddingBag(buckets, width, mode="mean")
        self.words = nn.Linear(width, size)
        self.sounds = nn.Sequential(
            nn.BatchNorm1d(2 * MELS), nn.Linear(2 * MELS, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, size)
        )
        self.scale = nn.Parameter(torch.tensor(2.6))
        nn.init.zeros_(self.grams.weight)
        filters = slaney_filters(RATE, N_FFT, MELS, 50.0, 14_000.0).T.copy()
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters).float(), persistent=False)

    def embed_text(self, captions: Sequence[str]) -> Tensor:
        """Unit vectors (n, size)."""
        bags = [[zlib.crc32(gram.encode()) % self.buckets for gram in trigrams(caption)] for caption in captions]
        starts = np.cumsum([0, *map(len, bags)])[:-1]
        device = self.window.device
        whole = torch.tensor([gram for bag in bags for gram in bag], dtype=torch.int64, device=device)
        return F.normalize(self.words(self.grams(whole, torch.from_numpy(starts).to(device))), dim=-1)

    def embed_audio(self, samples: Tensor) -> Tensor:
        """Unit vectors (B, size) of samples (B, T) at :data:`RATE`, of :data:`SHORTEST` samples at least."""
        power = stft(samples, self.window).abs().square().transpose(1, 2) @ self.filters
        floor = TINY * power.mean((1, 2), keepdim=True) + SILENCE
        loud = (power + floor).log()
        loud = loud - loud.mean((1, 2), keepdim=True)
        return F.normalize(self.sounds(torch.cat([loud.mean(1), loud.std(1)], dim=-1)), dim=-1)

    def contrast(self, samples: Tensor, captions: Sequence[str]) -> Tensor:
        """CLIP's loss: of the sounds and captions in a batch, which belong together?"""
        products = self.scale.exp() * self.embed_audio(samples) @ self.embed_text(captions).T
        truth = torch.arange(len(products), device=products.device)
        return (F.cross_entropy(products, truth) + F.cross_entropy(products.T, truth)) / 2

    # -- as tspbench.systems.clap.encoder.Clap -----------------------------------------------------

    @torch.inference_mode()
    def text(self, captions: Sequence[str], at_once: int = 1) -> Tensor:
        """Unit vectors (n, size) of some captions."""
        return self.embed_text(captions).clone()

    @torch.inference_mode()
    def audio(self, clips: Sequence[Audio], at_once: int = 1) -> Tensor:
        """Unit vectors (n, size) of some clips, each (T,) and of any length."""
        device = self.window.device
        padded = [F.pad(torch.from_numpy(clip), (0, max(0, SHORTEST - len(clip)))) for clip in clips]
        return torch.cat([self.embed_audio(clip[None].to(device)) for clip in padded])


def trigrams(caption: str) -> list[str]:
    """Of every word with its ends marked: "a cat" has ``<a>``, ``<ca``, ``cat``, ``at>``."""
    words = [f"<{word}>" for word in "".join(c if c.isalnum() else " " for c in caption.lower()).split()]
    return [word[i : i + GRAMS] for word in words or ["<>"] for i in range(max(1, len(word) - GRAMS + 1))]


class Block(nn.Module):
    """A dilated convolution over time under FiLM, with a way around it: (B, width, frames)."""

    def __init__(self, size: int, width: int, dilation: int) -> None:
        super().__init__()
        self.film = nn.Linear(size, 2 * width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.GroupNorm(1, width)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        gamma, beta = self.film(e)[..., None].chunk(2, dim=1)
        found: Tensor = x + F.relu((1 + gamma) * self.norm(self.conv(x)) + beta)
        return found


class SmallSeparator(nn.Module):
    """A mixture and a condition to the target, by a mask between 0 and 1 on the magnitude spectrum."""

    window: Tensor

    def __init__(self, size: int = 64, width: int = 128, blocks: int = 5) -> None:
        super().__init__()
        bins = N_FFT // 2 + 1
        self.enter = nn.Conv1d(bins, width, 1)
        self.blocks = nn.ModuleList(Block(size, width, 2**i) for i in range(blocks))
        self.leave = nn.Conv1d(width, bins, 1)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mixtures: Tensor, condition: Tensor) -> Tensor:
        """Estimates (B, T) of mixtures (B, T) at :data:`RATE`, told by conditions (B, size)."""
        length = mixtures.shape[-1]
        spectrum = stft(F.pad(mixtures, (0, max(0, SHORTEST - length))), self.window)
        magnitude = spectrum.abs()
        x = self.enter(torch.log1p(magnitude / (magnitude.mean((1, 2), keepdim=True) + TINY)))
        for block in self.blocks:
            x = block(x, condition)
        masked = spectrum * torch.sigmoid(self.leave(x)).float()
        found = torch.istft(masked, N_FFT, HOP, window=self.window, length=max(length, SHORTEST))
        return found[:, :length]
