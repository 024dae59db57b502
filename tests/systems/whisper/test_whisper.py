"""Whisper by itself: tokens and features beside OpenAI's and transformers', layouts, windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.whisper import mel, model  # noqa: E402
from tspbench.systems.whisper.adapter import Whisper, read_network  # noqa: E402
from tspbench.systems.whisper.files import WhisperFiles  # noqa: E402
from tspbench.systems.whisper.vocabulary import Marks, Vocabulary  # noqa: E402
from tspbench.types import Query  # noqa: E402

TOKENS = json.loads((Path(__file__).parent / "published-tokens.json").read_text())
SMALL = model.Dims(width=64, encoder_layers=1, decoder_layers=1, heads=1, inner=128)
CPU = torch.device("cpu")


def noise(seconds: float, seed: int = 0) -> Any:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000)).astype(np.float32)


@pytest.mark.parametrize("size", ["51864", "51865", "51866"])
def test_tokens_are_openais(size: str) -> None:
    theirs, ours = TOKENS[size], Marks.of(int(size))
    names = {"end": "eot", "start": "sot", "translate": "translate", "transcribe": "transcribe",
             "start_of_lm": "sot_lm", "start_of_previous": "sot_prev", "no_speech": "no_speech",
             "no_timestamps": "no_timestamps", "first_time": "first_time", "blank": "blank",
             "placeholder": "placeholder", "never": "never"}  # fmt: skip
    assert {name: getattr(ours, name) for name in names} == {name: theirs[key] for name, key in names.items()}
    assert ours.first_time + 1501 == int(size)
    if ours.multilingual:
        assert list(ours.languages) == theirs["languages"]
        assert ours.prefix(ours.language("de"), timestamps=False) == theirs["german"]
    else:
        assert ours.prefix(None, timestamps=False) == theirs["german"]


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="language=english"):
        Marks.of(51_865).language("english")


@pytest.mark.parametrize("bands", [80, 128])
@pytest.mark.parametrize("seconds", [0.5, 7.3, 30])
def test_features_are_transformers(bands: int, seconds: float) -> None:
    samples = noise(seconds)
    theirs = transformers.WhisperFeatureExtractor(feature_size=bands)(samples, sampling_rate=16_000).input_features[0]
    ours = mel.heard_in_full(samples, bands, CPU)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-5)


@pytest.mark.parametrize("length", [1, 159, 400, 16_000, 30 * 16_000])
def test_blank_frames_come_first_and_zeros_last(length: int) -> None:
    found = mel.after_blank(np.full(length, 0.1, np.float32), 80, CPU, blank=10)
    frames = min(max(length, 400) // 160, 2990)
    assert found.shape == (80, 3000)
    assert torch.isfinite(found).all()
    assert not found[:, :10].any()
    assert found[:, 10 : 10 + frames].any(dim=0).all()
    assert not found[:, 10 + frames :].any()


def test_names_go_there_and_back() -> None:
    names = [name for name in model.build(SMALL).state_dict() if name != "proj_out.weight"]
    assert [f"model.{model.renamed(model.published_name(name))}" for name in names] == names


def tokenizer_json(folder: Path) -> None:
    """A byte-level vocabulary in transformers' writing: a space is token 220."""
    pieces = {f"w{number}": number for number in range(50_257)}
    pieces.pop("w220")
    (folder / "vocab.json").write_text(json.dumps(pieces | {"Ġ": 220}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("whisper")
    model.randomise(model.build(SMALL), 1).save_pretrained(path)
    tokenizer_json(path)
    return path


@pytest.fixture(scope="module")
def system(folder: Path) -> Any:
    system = Whisper(folder, max_tokens=6)
    system.load("cpu")
    return system


def written(system: Any, *samples: Any) -> Any:
    batch = np.zeros((len(samples), max(map(len, samples))), np.float32)
    for row, x in zip(batch, samples, strict=True):
        row[: len(x)] = x
    return system.transcribe(batch, np.array([len(x) for x in samples]), [Query(16_000)] * len(samples))


def test_a_folder_and_openais_file_are_one(folder: Path, system: Any, tmp_path: Path) -> None:
    state = {
        model.published_name(name): t for name, t in system._network.state_dict().items() if "proj_out" not in name
    }
    torch.save({"dims": {}, "model_state_dict": state}, tmp_path / "large-v2.pt")
    other = Whisper(tmp_path / "large-v2.pt", folder, max_tokens=6)
    other.load("cpu")
    assert written(other, noise(2)) == written(system, noise(2))
    assert [path.name for path in other.weight_files()] == ["large-v2.pt", "vocab.json"]


def test_greedy_words_are_transformers_own(system: Any) -> None:
    """Whose ``generate`` knows nothing of our decoding."""
    features = system._features(noise(3))[None]
    marks = system._marks
    theirs = system._network.generate(
        features, decoder_input_ids=torch.tensor([marks.prefix(marks.language("en"), timestamps=False)]),
        suppress_tokens=marks.never, begin_suppress_tokens=[marks.blank, marks.end], max_new_tokens=6,
        num_beams=1, do_sample=False,
    )  # fmt: skip
    ours = system._hear(features, [Query(16_000)])[0]
    assert theirs[0].tolist()[-len(ours) :] == ours
    assert len(ours) == 6


def test_long_audio_goes_window_by_window_and_silence_has_no_words(system: Any) -> None:
    first, rest = noise(30, seed=1), noise(3, seed=2)
    joined, alone, silent = written(system, np.concatenate([first, rest]), rest, 0 * rest)
    assert alone
    assert joined == " ".join([*written(system, first), alone])
    assert silent == ""


def test_text_of_tokens() -> None:
    marks = Marks.of(51_865)
    vocabulary = Vocabulary({5: b" caf", 6: b"\xc3", 7: b"\xa9"}, marks)
    assert vocabulary.text([5, 6, 7]) == "café"
    times = [marks.first_time, 5, marks.first_time + 60, marks.end]
    assert vocabulary.text(times) == "<|0.00|> caf<|1.20|>"


def test_what_is_no_vocabulary_or_no_whisper(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    with pytest.raises(UsageError, match="is not the vocabulary of this Whisper, which is multilingual"):
        Vocabulary.read(tmp_path / "vocab.json", Marks.of(51_865))
    (tmp_path / "vocab.json").write_text("[]")
    with pytest.raises(UsageError, match="is not a vocabulary of Whisper"):
        Vocabulary.read(tmp_path / "vocab.json", Marks.of(51_865))
    with pytest.raises(UsageError, match="is not a transformers folder of Whisper"):
        Whisper(tmp_path).weight_files()
    with pytest.raises(UsageError, match="is not Whisper"):
        read_network({"a": torch.zeros(1)}, Path("x.pt"))
    with pytest.raises(UsageError, match="TSPBENCH_ALLOW_DOWNLOAD=1"):
        Whisper(Path("nobody/nothing")).weight_files()
    with pytest.raises(UsageError, match="max_tokens=500"):
        Whisper(max_tokens=500)
    assert isinstance(Whisper(folder)._located(), WhisperFiles)
