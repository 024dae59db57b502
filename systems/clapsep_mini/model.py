"""The networks: a two-tower encoder of sounds and captions, and the separator that listens with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.clapsep_mini.text import TextTower
from tspbench.types import Audio

RATE = 32_000
N_FFT, HOP, BANDS = 1024, 512, 128
FLOOR = 1e-6
SILENCE = 1e-20


@dataclass(frozen=True)
class Config:
    """Sizes: of the common space, and of the stages of audio tower and separator, each of which halves the picture."""

    size: int = 128
    tower: tuple[int, ...] = (24, 48, 96, 96)
    separator: tuple[int, ...] = (48, 96, 144, 192)
    head: int = 16


def band_filters(bands: int = BANDS) -> npt.NDArray[np.float32]:
    """Triangles (bins, bands) that sum to 1 at every bin; as wide as equivalent rectangular bands, or one bin.

    Bandwidths after Glasberg and Moore (1990), scaled so that ``bands`` of them cover the spectrum.
    """
    last = N_FFT // 2
    low, high = 0.01, 10.0
    for _ in range(50):
        scale = (low + high) / 2
        low, high = (scale, high) if len(_centres(scale, last)) > bands else (low, scale)
    centres = np.array(_centres(high, last)[:bands])
    centres[-1] = last
    bins = np.arange(last + 1)
    return np.stack([np.interp(bins, centres, row) for row in np.eye(len(centres))], axis=1).astype(np.float32)


def _centres(scale: float, last: int) -> list[float]:
    hertz = RATE / N_FFT
    found = [0.0]
    while found[-1] < last:
        found.append(found[-1] + max(1.0, scale * 24.7 * (0.00437 * found[-1] * hertz + 1) / hertz))
    return found


class Frontend(nn.Module):
    """Spectra, and what the networks see of them: log powers of bands, the mixture's level taken off."""

    window: Tensor
    expand: Tensor
    pool: Tensor
    place: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters = torch.from_numpy(band_filters())
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("expand", filters, persistent=False)
        self.register_buffer("pool", filters / filters.sum(0), persistent=False)
        self.register_buffer("place", torch.linspace(-1, 1, BANDS)[:, None], persistent=False)

    def spectrum(self, samples: Tensor) -> Tensor:
        """Complex (B, bins, frames) of samples (B, T)."""
        return torch.stft(samples.float(), N_FFT, HOP, window=self.window, pad_mode="constant", return_complex=True)

    def samples(self, spectrum: Tensor, length: int) -> Tensor:
        """The inverse: (B, length)."""
        return torch.istft(spectrum, N_FFT, HOP, window=self.window, length=length)

    def bands(self, spectrum: Tensor) -> Tensor:
        """What networks see, (B, 2, bands, frames): log powers, and where in frequency."""
        with torch.autocast(spectrum.device.type, enabled=False):
            power = self.pool.T @ (spectrum.real.square() + spectrum.imag.square())
            level = power.mean((1, 2), keepdim=True) + SILENCE
            loud = (power / level + FLOOR).log() / 4 + 1
            return torch.stack([loud, self.place.expand_as(loud)], dim=1)


def _conv(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)


class Stage(nn.Module):
    """Half the resolution, then a residual convolution."""

    def __init__(self, before: int, after: int, kernel: int = 3) -> None:
        super().__init__()
        self.down, self.first = _conv(before, after, kernel, 2), nn.BatchNorm2d(after)
        self.conv, self.second = _conv(after, after), nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(self.down(x)))
        return F.relu(x + self.second(self.conv(x)))


class AudioTower(nn.Module):
    """Bands (B, 2, bands, frames) to features of every stage, and to unit vectors (B, size)."""

    def __init__(self, size: int, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = zip([2, *channels[:-1]], channels, strict=True)
        self.stages = nn.ModuleList(Stage(*pair, kernel=3 if i else 5) for i, pair in enumerate(pairs))
        self.dropout = nn.Dropout(0.3)
        self.leave = nn.Linear(2 * channels[-1] * (BANDS >> len(channels)), size)

    def forward(self, bands: Tensor) -> tuple[list[Tensor], Tensor]:
        features = []
        x = bands
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        flat = x.flatten(1, 2)
        pooled = torch.cat([flat.mean(-1), flat.amax(-1)], dim=1)
        return features, F.normalize(self.leave(self.dropout(pooled)).float(), dim=-1)


class Encoder(nn.Module):
    """Captions and sounds to unit vectors of one space; what CLAP is to CLAPSep."""

    sample_rate = RATE

    def __init__(self, config: Config = Config()) -> None:
        super().__init__()
        self.size = config.size
        self.front = Frontend()
        self.words = TextTower(config.size)
        self.sounds = AudioTower(config.size, config.tower)
        self.scale = nn.Parameter(torch.tensor(2.3))

    @torch.inference_mode()
    def text(self, captions: Sequence[str], at_once: int = 256) -> Tensor:
        """Unit vectors (n, size) of some captions."""
        parts = [self.words(captions[i : i + at_once]) for i in range(0, len(captions), at_once)]
        return torch.cat(parts).clone()

    @torch.inference_mode()
    def audio(self, clips: Sequence[Audio], at_once: int = 1) -> Tensor:
        """Unit vectors (n, size) of some clips, each (T,) at :data:`RATE` and of any length."""
        device = self.front.window.device
        found = [self.embed(torch.from_numpy(np.asarray(clip))[None].to(device)) for clip in clips]
        return torch.cat(found).clone()

    def embed(self, samples: Tensor) -> Tensor:
        """Unit vectors (B, size) of samples (B, T); less than a second is filled up with zeros."""
        samples = F.pad(samples, (0, max(0, RATE - samples.shape[-1])))
        vectors: Tensor = self.sounds(self.front.bands(self.front.spectrum(samples)))[1]
        return vectors


class Block(nn.Module):
    """Two convolutions with a way around them, the first under FiLM."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.conv, self.first = _conv(channels, channels), nn.BatchNorm2d(channels)
        self.film = nn.Linear(told, 2 * channels)
        self.other, self.second = _conv(channels, channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        gamma, beta = self.film(e)[..., None, None].chunk(2, dim=1)
        y = F.relu((1 + gamma) * self.first(self.conv(x)) + beta)
        return F.relu(x + self.second(self.other(y)))


class Separator(nn.Module):
    """Mixtures and conditions to estimates: a mask on bands of the mixture's spectrum, with its phase.

    A U-Net over the spectrum, every block under FiLM, whose decoder also sees
    the audio tower's features of the mixture, stage by stage. The tower is the
    encoder's, and is not trained here.
    """

    def __init__(self, encoder: Encoder, config: Config = Config(), told: int | None = None) -> None:
        super().__init__()
        self.front, self.tower = encoder.front, encoder.sounds
        channels, width = config.separator, 128
        told = 2 * config.size if told is None else told
        self.told = nn.Sequential(nn.Linear(told + config.size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.enter = nn.Sequential(_conv(2, config.head, 5), nn.BatchNorm2d(config.head), nn.ReLU())
        befores = [config.head, *channels[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(_conv(before, after, 3, 2), nn.BatchNorm2d(after))
            for before, after in zip(befores, channels, strict=True)
        )
        self.falling = nn.ModuleList(Block(each, width) for each in channels)
        self.heard = nn.ModuleList(_conv(a, b, 1) for a, b in zip(config.tower, channels, strict=True))
        self.up = nn.ModuleList(
            nn.Sequential(_conv(after, before, 1), nn.BatchNorm2d(before))
            for before, after in zip(befores, channels, strict=True)
        )
        self.rising = nn.ModuleList(Block(each, width) for each in channels)
        self.leave = nn.Sequential(_conv(config.head, config.head), nn.BatchNorm2d(config.head), nn.ReLU())
        self.mask = nn.Conv2d(config.head, 1, 3, padding=1)

    def forward(self, mixtures: Tensor, conditions: Tensor) -> Tensor:
        """Estimates (B, T) of mixtures (B, T) at :data:`RATE`, told by conditions (B, told)."""
        spectrum = self.front.spectrum(mixtures)
        mask = self.masks(self.front.bands(spectrum), conditions)
        with torch.autocast(spectrum.device.type, enabled=False):
            return self.front.samples(spectrum * (self.front.expand @ mask), mixtures.shape[-1])

    def masks(self, bands: Tensor, conditions: Tensor) -> Tensor:
        """Between 0 and 1, (B, bands, frames)."""
        frames = bands.shape[-1]
        bands = F.pad(bands, (0, -frames % (1 << len(self.down)))).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            features, whole = self.tower(bands)
        e = self.told(torch.cat([conditions, whole], dim=1))
        x = self.enter(bands)
        skips = [x]
        for down, block in zip(self.down, self.falling, strict=True):
            x = block(F.relu(down(x)), e)
            skips.append(x)
        x = torch.zeros_like(x)
        for level in reversed(range(len(self.down))):
            x = self.rising[level](F.relu(x + skips[level + 1] + self.heard[level](features[level])), e)
            x = F.interpolate(self.up[level](x), scale_factor=2)
        x = self.leave(F.relu(x + skips[0]))
        return torch.sigmoid(self.mask(x).float())[:, 0, :, :frames]


def build(config: Config = Config()) -> nn.ModuleDict:
    """``encoder`` and ``separator`` with random weights; they share the audio tower."""
    encoder = Encoder(config)
    return nn.ModuleDict({"encoder": encoder, "separator": Separator(encoder, config)})


def condition(positive: Tensor, negative: Tensor) -> Tensor:
    """[positive ; negative] (..., 2 size) at unit length, as CLAPSep's training and its authors' application do."""
    return F.normalize(torch.cat([positive, negative], dim=-1), dim=-1)


def side(size: int, text: Tensor | None, examples: Tensor | None) -> Tensor:
    """One side of a condition (size,): the caption's vector plus the mean of the examples' (n, size) at unit length."""
    found = torch.zeros(size)
    if text is not None:
        found = found + text
    if examples is not None and len(examples):
        found = found + F.normalize(examples.mean(0), dim=0)
    return found


def own_weights(separator: Separator) -> Mapping[str, Tensor]:
    """What is the separator's alone: its state without the audio tower."""
    return {key: value for key, value in separator.state_dict().items() if not key.startswith("tower.")}
