"""The CLAP encoder's parts, each beside another implementation or a closed form."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tspbench.errors import MissingWeights, UsageError  # noqa: E402
from tspbench.systems import weights  # noqa: E402
from tspbench.systems.clap import encoder, frontend, laion  # noqa: E402
from tspbench.systems.clap.cache import EmbeddingCache  # noqa: E402
from tspbench.systems.clap.files import ClapFiles, load_clap  # noqa: E402
from tspbench.systems.clap.tokens import LENGTH, Bytes, Roberta  # noqa: E402

CARD = weights.card_of("clapsep")


def sound(length: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(length) + 0.2 * np.sin(np.arange(length) / 20)).astype(np.float32)


# -- names ---------------------------------------------------------------------------------------


def test_names_there_and_back(small_clap: Any) -> None:
    own = small_clap.state_dict()
    published = laion.revert(own, torch.cat)
    qkv = published["audio_branch.layers.1.blocks.0.attn.qkv.weight"]
    home = "audio_model.audio_encoder.layers.1.blocks.0.attention.self"
    assert torch.equal(qkv, torch.cat([own[f"{home}.{part}.weight"] for part in ("query", "key", "value")]))
    again = laion.convert(published)
    assert set(own) - set(again) == {f"text_model.embeddings.{name}_ids" for name in ("position", "token_type")}
    assert all(torch.equal(again[key], own[key]) for key in again)


def test_the_architecture_is_read_off_the_shapes(small_clap: Any) -> None:
    found = encoder.build_config(laion.config(laion.revert(small_clap.state_dict(), torch.cat)))
    for part in ("audio_config", "text_config"):
        assert getattr(found, part).to_dict() == getattr(small_clap.config, part).to_dict()


def test_the_text_branch_is_roberta(small_clap: Any) -> None:
    """LAION's text branch is transformers' RobertaModel; the projection is two linear layers about a ReLU."""
    text = small_clap.config.text_config.to_dict()
    names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    sizes = {name: text[name] for name in (*names, "max_position_embeddings", "layer_norm_eps", "type_vocab_size")}
    roberta = transformers.RobertaModel(transformers.RobertaConfig(**sizes)).eval()
    published = laion.revert(small_clap.state_dict(), torch.cat)
    branch = {k.removeprefix("text_branch."): t for k, t in published.items() if k.startswith("text_branch.")}
    lacking, _ = roberta.load_state_dict(branch, strict=False)
    assert not [key for key in lacking if not key.endswith("_ids")]
    ids, mask = Bytes(400)(["a dog barks", "rain"])
    with torch.inference_mode():
        pooled = roberta(input_ids=ids, attention_mask=mask).pooler_output
        inner = pooled @ published["text_projection.0.weight"].T + published["text_projection.0.bias"]
        expected = inner.relu() @ published["text_projection.2.weight"].T + published["text_projection.2.bias"]
    found = encoder.Clap(small_clap, Bytes(400)).text(["a dog barks", "rain"])
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=-1), rtol=1e-5, atol=1e-6)


# -- samples -------------------------------------------------------------------------------------


def test_log_mel_is_librosas() -> None:
    samples = sound(30_000)
    power = np.abs(librosa.stft(samples, n_fft=1024, hop_length=480, pad_mode="reflect")) ** 2
    mel = librosa.filters.mel(sr=48_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000) @ power
    expected = 10 * np.log10(np.maximum(mel, 1e-10)).T
    found = frontend.LogMel()(torch.from_numpy(samples)[None])
    assert found.shape == (1, 1, 1 + 30_000 // 480, 64)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=2e-3)
    padded = frontend.LogMel(frames=100)(torch.from_numpy(samples)[None])
    torch.testing.assert_close(padded[:, :, :63], found)
    assert (padded[:, :, 63:] == -100).all()


@pytest.mark.parametrize(("source", "target"), [(32_000, 48_000), (44_100, 48_000), (48_000, 32_000)])
def test_resampling_keeps_a_tone(source: int, target: int) -> None:
    time = torch.arange(source, dtype=torch.float64) / source
    found = frontend.resample(torch.sin(2 * torch.pi * 1000 * time).float()[None], source, target)
    assert found.shape == (1, target)
    expected = torch.sin(2 * torch.pi * 1000 * torch.arange(target, dtype=torch.float64) / target)
    inner = slice(100, -100)  # beyond the ends there is silence
    assert (found[0, inner] - expected[inner]).abs().max() < 2e-3


@given(length=st.integers(0, 700), source=st.sampled_from([8000, 32_000, 44_100, 48_000]))
@settings(max_examples=30, deadline=None)
def test_resampled_length(length: int, source: int) -> None:
    assert frontend.resample(torch.zeros(2, length), source, 48_000).shape == (2, -(-length * 48_000 // source))


def test_ten_seconds() -> None:
    short = torch.arange(1, 200_001, dtype=torch.float32)
    found = frontend.ten_seconds(short)
    assert torch.equal(found, torch.cat([short, short, torch.zeros(80_000)]))
    long = torch.arange(500_000, dtype=torch.float32)
    assert torch.equal(frontend.ten_seconds(long), long[10_000:490_000])
    assert torch.equal(frontend.ten_seconds(long[:480_000]), long[:480_000])
    assert torch.equal(frontend.ten_seconds(torch.zeros(0)), torch.zeros(480_000))


def test_rounding_is_that_of_a_16_bit_file() -> None:
    samples = np.array([-2, -1, -0.30001, 0, 1e-5, 0.7, 1, 3], np.float32)
    integers = (np.clip(samples, -1, 1) * 32767.0).astype(np.int16)
    found = frontend.rounded(torch.from_numpy(samples)).numpy()
    np.testing.assert_array_equal(found, (integers / 32767.0).astype(np.float32))


# -- captions ------------------------------------------------------------------------------------


def test_tokens_of_captions(tokenizer_folder: Path) -> None:
    ids, mask = Roberta(tokenizer_folder)(["a dog barks", "rain " * 200])
    assert ids.shape == mask.shape == (2, LENGTH)
    assert (ids[:, 0] == 0).all()
    assert ids[0, mask[0].sum() - 1] == ids[1, -1] == 2
    assert (ids[0, mask[0].sum() :] == 1).all()


def test_bytes_stand_for_tokens() -> None:
    ids, mask = Bytes(50_265)(["ab", "é" * 100])
    assert ids[0, :5].tolist() == [0, 4 + 97, 4 + 98, 2, 1]
    assert mask.sum(dim=1).tolist() == [4, 77]


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no tokenizer"):
        Roberta(tmp_path)


# -- cache ---------------------------------------------------------------------------------------


class Counting:
    """An embedder that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, contents: Sequence[str]) -> Any:
        self.asked.append(list(contents))
        return np.array([[len(content), 1] for content in contents], np.float32)


@given(st.lists(st.lists(st.text(max_size=3), min_size=1, max_size=6), max_size=6), st.integers(1, 4))
def test_no_content_is_embedded_twice(calls: list[list[str]], at_once: int) -> None:
    cache, embed = EmbeddingCache(), Counting()
    for contents in calls:
        found = cache.of(contents, str.encode, embed, at_once)
        assert found[:, 0].tolist() == [len(content) for content in contents]
    asked = [content for batch in embed.asked for content in batch]
    assert len(asked) == len(set(asked)) == len(cache)
    assert all(len(batch) <= at_once for batch in embed.asked)


def test_the_cache_forgets_the_least_used() -> None:
    cache, embed = EmbeddingCache(most=2), Counting()
    for content in ("a", "b", "a", "c", "a"):
        cache.of([content], str.encode, embed)
    assert embed.asked == [["a"], ["b"], ["c"]]


def test_embeddings_outlive_the_process_where_asked(tmp_path: Path) -> None:
    embed = Counting()
    EmbeddingCache(folder=tmp_path).of(["a", "bb"], str.encode, embed)
    found = EmbeddingCache(folder=tmp_path).of(["bb", "a"], str.encode, embed)
    assert found[:, 0].tolist() == [2, 1]
    assert len(embed.asked) == 2
    broken = next(tmp_path.glob("*.npy"))
    broken.write_bytes(b"cut off")
    assert EmbeddingCache(folder=tmp_path).of(["a", "bb"], str.encode, embed)[:, 0].tolist() == [1, 2]
    assert len(embed.asked) == 3


def test_the_disk_is_used_only_where_a_folder_is_named(
    small_clap: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TSPBENCH_EMBEDDINGS", raising=False)
    assert encoder.Clap(small_clap, Bytes(400)).cache.folder is None
    monkeypatch.setenv("TSPBENCH_EMBEDDINGS", str(tmp_path))
    clap = encoder.Clap(small_clap, Bytes(400))
    first = clap.text(["a dog"])
    assert len(list(tmp_path.glob("*/*.npy"))) == 1
    assert torch.equal(encoder.Clap(small_clap, Bytes(400)).text(["a dog"]), first)


def test_embeddings_are_unit_vectors_and_do_not_depend_on_company(small_clap: Any) -> None:
    alone, together = encoder.Clap(small_clap, Bytes(400)), encoder.Clap(small_clap, Bytes(400))
    clips = [sound(10_000), sound(500_000, 1), np.zeros(100, np.float32)]
    found = together.audio(clips, at_once=3)
    torch.testing.assert_close(found, torch.cat([alone.audio([clip]) for clip in clips]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    captions = together.text(["a dog", "rain", "a dog"], at_once=8)
    assert torch.equal(captions[0], captions[2])
    torch.testing.assert_close(captions[:2], alone.text(["a dog", "rain"]), rtol=1e-4, atol=1e-5)


# -- files ---------------------------------------------------------------------------------------


def test_laions_file(small_clap: Any, small_clap_file: Path, tokenizer_folder: Path) -> None:
    files = ClapFiles.locate(CARD, small_clap_file, tokenizer_folder)
    assert files.files()[0] == small_clap_file
    model = load_clap(files, files.read())
    same(model, small_clap)


def test_a_folder_of_transformers(small_clap: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    small_clap.save_pretrained(tmp_path)
    for file in tokenizer_folder.iterdir():
        shutil.copy(file, tmp_path)
    files = ClapFiles.locate(CARD, tmp_path, None)
    assert files.tokenizer == tmp_path
    assert {path.name for path in files.files()} == {"model.safetensors", "config.json", "vocab.json", "merges.txt"}
    model = load_clap(files, files.read())
    same(model, small_clap)
    expected = transformers.ClapModel.from_pretrained(tmp_path).eval()
    ids, mask = Bytes(400)(["rain"])
    with torch.inference_mode():
        one, two = (
            each.get_text_features(input_ids=ids, attention_mask=mask).pooler_output for each in (model, expected)
        )
    assert torch.equal(one, two)


def same(one: Any, two: Any) -> None:
    a, b = one.state_dict(), two.state_dict()
    assert set(a) == set(b)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_what_is_not_clap_is_named(tokenizer_folder: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"ss_model.base.x": torch.zeros(1)}}, tmp_path / "audiosep.ckpt")
    with pytest.raises(UsageError, match=r"is not CLAP \(no audio_branch\.\*\) but AudioSep's Lightning checkpoint"):
        ClapFiles(tmp_path / "audiosep.ckpt", tokenizer_folder).read()
    with pytest.raises(UsageError, match=r"is not a transformers folder of CLAP: it needs config\.json"):
        ClapFiles.locate(CARD, tmp_path, tokenizer_folder)


def test_a_tokenizer_that_is_not_there(small_clap_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TSPBENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match=r"tokenizer=.*: no tokenizer in it; a folder with tokenizer\.json"):
        ClapFiles.locate(CARD, small_clap_file, tmp_path)
    with pytest.raises(MissingWeights, match=r"tokenizer: roberta-base, a folder with vocab\.json and merges\.txt"):
        ClapFiles.locate(CARD, small_clap_file, None)
    with pytest.raises(UsageError, match=r"some/where is neither a file, nor a folder, nor a repository in the local"):
        ClapFiles.locate(CARD, Path("some/where"), None)
