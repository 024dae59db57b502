"""Two synthetic sounds that mix: bursts of a voice-like harmonic tone and bursts of hissing noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal

from tspbench.types import Audio, Query, Truth

RATE = 16000


@dataclass(frozen=True)
class Pair:
    """A target and an interferer of equal energy, their sum, and another rendition of each."""

    target: Audio
    interferer: Audio
    mixture: Audio
    example: Audio
    counterexample: Audio

    @property
    def truth(self) -> Truth:
        return Truth(self.target, self.interferer[None])

    @property
    def query(self) -> Query:
        return Query(RATE, audio=(self.example,), negative_audio=(self.counterexample,), truth=self.truth)


def bursts(rng: np.random.Generator, length: int, seconds: float) -> Audio:
    """An envelope (length,) that goes up and down at random."""
    knots = rng.random(max(3, round(length / RATE / seconds) + 2)) ** 2
    return np.interp(np.linspace(0, len(knots) - 1, length), np.arange(len(knots)), knots).astype(np.float32)


def tone(rng: np.random.Generator, length: int) -> Audio:
    """Harmonics of 200 Hz, falling by 1/k, with random phases."""
    time = np.arange(length) / RATE
    partials = [np.cos(2 * np.pi * (200 * k * time + rng.random())) / k for k in range(1, 20)]
    return (np.sum(partials, axis=0) * bursts(rng, length, 0.3)).astype(np.float32)


def hiss(rng: np.random.Generator, length: int) -> Audio:
    """Noise between 500 and 6000 Hz."""
    noise = rng.standard_normal(length + 1000)
    band = signal.sosfilt(signal.butter(4, (500, 6000), "bandpass", fs=RATE, output="sos"), noise)[1000:]
    return (band * bursts(rng, length, 0.2)).astype(np.float32)


def make_pair(seed: int, length: int = 3 * RATE) -> Pair:
    rng = np.random.default_rng(seed)
    target, interferer = (0.1 * x / np.sqrt(np.mean(x**2) + 1e-12) for x in (tone(rng, length), hiss(rng, length)))
    mixture = target + interferer
    return Pair(target, interferer, mixture, tone(rng, 2 * RATE), hiss(rng, 2 * RATE))


def decibels(estimate: Audio, target: Audio) -> float:
    """SI-SDR, written down here once more so that no code under test measures itself."""
    estimate, target = estimate.astype(np.float64), target.astype(np.float64)
    projection = (estimate @ target) / (target @ target) * target
    error = estimate - projection
    return float(10 * np.log10((projection @ projection) / (error @ error + 1e-30) + 1e-30))


@pytest.fixture
def pair() -> Pair:
    return make_pair(0)


@pytest.fixture(scope="session")
def new_pair() -> Callable[..., Pair]:
    return make_pair


@pytest.fixture(scope="session")
def si_sdr() -> Callable[[Audio, Audio], float]:
    return decibels


SMALL_AUDIO = {
    "patch_embeds_hidden_size": 16,
    "hidden_size": 128,
    "depths": [2, 2, 2, 2],
    "num_attention_heads": [1, 2, 4, 8],
}
SMALL_CLAP = {
    "projection_dim": 16,
    "audio_config": SMALL_AUDIO,
    "text_config": {
        "vocab_size": 400,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "intermediate_size": 128,
        "max_position_embeddings": 80,
        "layer_norm_eps": 1e-5,
    },
}
"""CLAP in everything but size; what its weights' shapes tell is enough to build it."""


@pytest.fixture(scope="session")
def small_clap() -> Any:
    """A ``ClapModel`` of little size with seeded weights."""
    pytest.importorskip("transformers")
    encoder = pytest.importorskip("tspbench.systems.clap.encoder")
    return encoder.random_clap(SMALL_CLAP, seed=5)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE as RoBERTa's, of 400 tokens, learned from a few captions."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("tokenizer")
    trained = tokenizers.ByteLevelBPETokenizer()
    captions = ["a dog barks", "rain falls on a roof", "a man speaks as a bell rings"]
    trained.train_from_iterator(captions, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    trained.save_model(str(folder))
    return folder


@pytest.fixture(scope="session")
def small_clap_file(small_clap: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as LAION publishes them: wrapped, with prefixes, counters and unused parts."""
    torch = pytest.importorskip("torch")
    laion = pytest.importorskip("tspbench.systems.clap.laion")
    state = laion.revert(small_clap.state_dict(), torch.cat)
    state["audio_branch.tscam_conv.weight"] = torch.zeros(527, 128, 2, 3)
    state["text_branch.embeddings.position_ids"] = torch.arange(80)[None]
    path: Path = tmp_path_factory.mktemp("clap") / "music_audioset_epoch_15_esc_90.14.pt"
    wrapped = {f"module.{key}": tensor for key, tensor in state.items() if not key.endswith("token_type_ids")}
    torch.save({"epoch": 15, "best": np.float64(0.9), "name": "clap", "state_dict": wrapped}, path)
    return path
