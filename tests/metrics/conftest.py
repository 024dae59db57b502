"""Signals that every metric is tried on: made here always, recorded ones where they are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tspbench.types import Audio

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
RATE = 16_000
SECONDS = 4


@dataclass(frozen=True)
class Scene:
    """A target and an interferer of 4 s at 16 kHz, their sum, and estimates of the target by quality."""

    target: Audio
    interferer: Audio
    mixture: Audio
    estimates: dict[str, Audio]
    rate: int = RATE


@pytest.fixture(scope="session", params=["synthetic", "recorded"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Synthetic syllables in coloured noise, or LibriSpeech speech beside an ESC-10 sound."""
    rng = np.random.default_rng(7)
    if request.param == "synthetic":
        target, interferer = syllables(rng, SECONDS * RATE), coloured_noise(rng, SECONDS * RATE)
    else:
        if not DATA.is_dir():
            pytest.skip("no recordings: ../shared/data is absent")
        target = recording(DATA / "librispeech", "*.flac", at_least_s=SECONDS)
        interferer = recording(DATA / "esc10" / "rain", "*.ogg", at_least_s=SECONDS)
    return make_scene(target, interferer, rng)


@pytest.fixture(scope="session")
def synthetic() -> Scene:
    """The synthetic scene alone, for behaviour that does not hang on the material."""
    rng = np.random.default_rng(11)
    return make_scene(syllables(rng, SECONDS * RATE), coloured_noise(rng, SECONDS * RATE), rng)


def make_scene(target: Audio, interferer: Audio, rng: np.random.Generator) -> Scene:
    interferer = interferer * np.float32(np.std(target) / np.std(interferer))
    echo = np.zeros(112)
    echo[[0, 40, 111]] = 0.8, -0.3, 0.15
    noise = rng.standard_normal(target.size)
    estimates = {
        "good": 0.7 * target + 0.05 * interferer,
        "bad": target + 1.3 * interferer + 0.01 * noise,
        "filtered": np.convolve(target, echo)[: target.size] + 0.02 * interferer,
        "inverted": -0.2 * target + 0.05 * interferer,
        "clipped": np.clip(4 * target, -0.5, 0.5),
        "unrelated": 0.1 * noise,
    }
    return Scene(target, interferer, target + interferer, {k: v.astype(np.float32) for k, v in estimates.items()})


def syllables(rng: np.random.Generator, length: int) -> Audio:
    """Voiced bursts with a moving pitch and pauses between them: what PESQ and STOI take for speech."""
    t = np.arange(length) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 25 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * t) + 0.6 * np.sin(2 * np.pi * 0.9 * t), 0, None)
    return (0.12 * envelope * voice + 1e-4 * rng.standard_normal(length)).astype(np.float32)


def coloured_noise(rng: np.random.Generator, length: int) -> Audio:
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.sqrt(np.arange(1, spectrum.size + 1))
    return np.fft.irfft(spectrum, length).astype(np.float32)


def recording(folder: Path, pattern: str, *, at_least_s: float) -> Audio:
    """The first recording in a folder that is long enough, cut, at 16 kHz."""
    for path in sorted(folder.rglob(pattern)):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        if len(samples) >= at_least_s * rate:
            mono = soxr.resample(samples.mean(axis=1), rate, RATE, quality="VHQ")
            return mono[: int(at_least_s * RATE)].astype(np.float32)
    pytest.skip(f"no recording of {at_least_s} s in ../shared/data/{folder.name}")
