"""Whisper, WavLM and ECAPA on tiny random checkpoints made here: that they load from a folder and run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench.errors import MissingWeights
from tspbench.instruments import identity, recogniser
from tspbench.instruments.base import weights_digest
from tspbench.instruments.wavlm import SHORTEST, WavLMSpeaker
from tspbench.instruments.whisper import Whisper

torch = pytest.importorskip("torch")


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("TSPBENCH_ALLOW_DOWNLOAD", raising=False)
    return pytest.importorskip("transformers")


def noise(seconds: float, seed: int = 0) -> Any:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000)).astype(np.float32)


@pytest.fixture
def whisper_folder(transformers: Any, tmp_path: Path) -> Path:
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    vocabulary = {word: i for i, word in enumerate(["a", "b", "c", "d", "Ġ", *marks])}
    tokenizer = transformers.WhisperTokenizer(vocab=vocabulary, merges=[])
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=24, init_std=1.0,
        pad_token_id=5, bos_token_id=5, eos_token_id=5, decoder_start_token_id=6, suppress_tokens=[],
        begin_suppress_tokens=[],
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 12
    for part in (tokenizer, transformers.WhisperFeatureExtractor(), model):
        part.save_pretrained(tmp_path)
    return tmp_path


def test_whisper_runs_from_a_folder(whisper_folder: Path) -> None:
    listener = recogniser(f"whisper={whisper_folder}")
    assert listener.name == f"whisper={whisper_folder}"
    words = listener.transcribe(noise(2))
    assert words
    assert set(words) <= set("abcd ")
    listener.transcribe(noise(1, seed=5))
    assert listener.transcribe(noise(2)) == words
    assert listener.transcribe(np.zeros(16_000, np.float32)) == ""
    assert identity(listener.name) == listener.version


def test_whisper_takes_long_audio_in_windows_of_30_s(whisper_folder: Path) -> None:
    listener = Whisper(str(whisper_folder))
    first, rest = noise(30, seed=1), noise(3, seed=2)
    joined = listener.transcribe(np.concatenate([first, rest]))
    assert joined == f"{listener.transcribe(first)} {listener.transcribe(rest)}".strip()


def test_wavlm_gives_unit_vectors_from_a_folder(transformers: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, conv_dim=(16,) * 7, tdnn_dim=(16, 16, 16, 16, 32), xvector_output_dim=8,
    )  # fmt: skip
    transformers.WavLMForXVector(config).save_pretrained(tmp_path)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    listener = WavLMSpeaker(str(tmp_path))
    vector = listener.embed(noise(1))
    assert vector is not None
    assert vector.shape == (8,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(listener.embed(noise(1)), vector)
    assert listener.embed(noise(1)[: SHORTEST - 1]) is None
    assert listener.embed(noise(1)[:SHORTEST]) is not None
    assert listener.embed(np.zeros(16_000, np.float32)) is None


@pytest.fixture
def speechbrain() -> Iterator[Any]:
    """Forgotten afterwards: its lazy modules raise where others look through ``sys.modules`` (hypothesis does)."""
    yield pytest.importorskip("speechbrain")
    for name in [name for name in sys.modules if name.partition(".")[0] == "speechbrain"]:
        del sys.modules[name]


def test_ecapa_equals_speechbrains_own_chain(speechbrain: Any, tmp_path: Path) -> None:
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

    from tspbench.instruments.ecapa import SHORTEST as LEAST
    from tspbench.instruments.ecapa import Ecapa

    torch.manual_seed(0)
    settings = {"channels": [1024] * 4 + [3072], "kernel_sizes": [5, 3, 3, 3, 1], "dilations": [1, 2, 3, 4, 1]}
    network = ECAPA_TDNN(80, attention_channels=128, lin_neurons=192, **settings).eval()
    torch.save(network.state_dict(), tmp_path / "embedding_model.ckpt")
    listener, samples = Ecapa(str(tmp_path)), noise(1)
    bands = Fbank(n_mels=80)(torch.from_numpy(samples)[None])
    with torch.no_grad():
        theirs = network(bands - bands.mean(dim=1, keepdim=True))[0, 0].numpy()
    ours = listener.embed(samples)
    assert ours is not None
    np.testing.assert_allclose(ours, theirs / np.linalg.norm(theirs), atol=1e-5)
    assert listener.embed(samples[: LEAST - 1]) is None


def test_ecapa_without_its_weights(speechbrain: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"embedding_model\.ckpt"):
        identity(f"ecapa={tmp_path}")


def test_weights_digest_sees_names_shapes_and_values() -> None:
    states = [{"a": torch.zeros(2)}, {"b": torch.zeros(2)}, {"a": torch.zeros(1, 2)}, {"a": torch.ones(2)}]
    assert len({weights_digest(state) for state in states}) == 4
    assert weights_digest({"a": torch.zeros(2)}) == weights_digest(states[0])
