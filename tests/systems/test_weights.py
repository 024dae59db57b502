"""Published checkpoints: found where they may lie, named as what they are, read without running anything."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench.errors import MissingWeights, UsageError
from tspbench.system import Card, Checkpoint, known_systems
from tspbench.systems import weights

torch = pytest.importorskip("torch")

CARD = weights.card_of("clapsep")
KNOWN = [ref.card for ref in known_systems().values() if ref.card]
CARDS = [card for card in KNOWN if any(not each.bundled for each in card.checkpoints)]


class Ran(Exception):
    """Raised by the code inside a hostile checkpoint."""


class Hostile:
    def __reduce__(self) -> Any:
        return (_run, ())


def _run() -> None:
    raise Ran


def file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["best_model.ckpt", "clapsep/best_model.ckpt"])
def test_below_the_folder_of_weights(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    assert weights.find(CARD, "checkpoint", None) == path
    other = file(tmp_path / "mine.ckpt", b"x")
    assert weights.find(CARD, "checkpoint", other) == other


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_what_is_missing_is_told_in_full(card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.FOLDER, raising=False)
    with pytest.raises(MissingWeights) as caught:
        weights.find(card, card.checkpoints[0].option, None)
    said = str(caught.value)
    for each in card.checkpoints:
        assert each.file in said
        assert (each.hub or each.url) in said
        assert f"--option {each.option}=PATH" in said
        assert not each.licence or f"licence: {each.licence}" in said
    assert weights.FOLDER in said
    assert caught.value.exit_code == 2
    ready = said.rpartition("Works at once: ")[2].rstrip(".").split(", ")
    assert "nmf" in ready
    assert card.name not in ready


BUNDLED = [(card, each) for card in KNOWN for each in card.checkpoints if each.bundled]


@pytest.mark.parametrize(("card", "each"), BUNDLED, ids=lambda value: getattr(value, "name", ""))
def test_bundled_files_are_what_their_cards_say(card: Card, each: Checkpoint, tmp_path: Path) -> None:
    path = weights.find(card, each.option, None)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == each.sha256
    assert weights.read(path)
    other = file(tmp_path / "mine.safetensors", b"x")
    assert weights.find(card, each.option, other) == other


def test_a_damaged_bundled_file_is_told() -> None:
    """As if ``nmf`` came with weights: a file beside its card that is another one, then none."""
    each = Checkpoint(file="card.toml", sha256=hashlib.sha256(b"weights").hexdigest(), bundled=True)
    card = replace(weights.card_of("nmf"), checkpoints=(each,))
    with pytest.raises(UsageError, match=r"card\.toml, which comes with tspbench, is damaged"):
        weights.find(card, "checkpoint", None)
    gone = replace(card, checkpoints=(replace(each, file="gone.safetensors"),))
    with pytest.raises(UsageError, match=r"gone\.safetensors, which comes with tspbench, is missing"):
        weights.find(gone, "checkpoint", None)


def test_sizes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.FOLDER, raising=False)
    said = str(weights.missing(CARD))
    assert "178 MB" in said
    assert "2.35 GB" in said
    assert "1.36 MB" in said


def test_an_option_that_names_nothing() -> None:
    with pytest.raises(
        UsageError, match=r"--option checkpoint=nowhere\.ckpt: there is no such file\. checkpoint: best"
    ):
        weights.find(CARD, "checkpoint", Path("nowhere.ckpt"))


# -- what ----------------------------------------------------------------------------------------


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file; its download broke off"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (b"\n <html lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4c5e\n", "a git-lfs pointer"),
        (b"\x1f\x8b\x08rest", "a gzip archive"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"RIFF....WAVE", r"a RIFF file \(audio\)"),
        (b'{"a": 1}', "a JSON text"),
        (zipped("best_model.ckpt"), r"a zip archive of best_model\.ckpt …; unpack it first"),
        (zipped("data.pkl")[:-10], "breaks off in the middle; download it again"),
        (b"whatever this is", "neither a torch file nor safetensors"),
    ],
)
def test_a_file_is_named_as_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        weights.refuse_other_files(file(tmp_path / "w.ckpt", content))


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name the checkpoint file in it"):
        weights.refuse_other_files(tmp_path)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["decoder_model.film.x", "audio_branch.y"], "CLAPSep's checkpoint"),
        (["ss_model.base.x"], "AudioSep's Lightning checkpoint"),
        (["audio_branch.x", "text_branch.y"], "a LAION CLAP checkpoint"),
        (["model.encoder.x", "model.decoder.y"], "a transformers encoder-decoder such as Whisper"),
        (["a", "b"], "an unknown model, its first keys being a, b"),
        ([], "an unknown model, its first keys being none"),
    ],
)
def test_what_keys_tell(keys: list[str], said: str) -> None:
    assert weights.what_is(keys) == said


# -- reading -------------------------------------------------------------------------------------

STATE = {"a.weight": torch.ones(2, 3), "b": torch.zeros(1)}


def equal(one: Any, two: Any) -> bool:
    return set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
@pytest.mark.parametrize("legacy", [False, True])
def test_wrappers_and_prefixes_come_off(prefix: str, wrap: str | None, legacy: bool, tmp_path: Path) -> None:
    state: Any = {f"{prefix}{key}": tensor for key, tensor in STATE.items()}
    content = {wrap: state, "epoch": 3, "loss": np.float64(0.5)} if wrap else state
    path = tmp_path / "w.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert equal(weights.read(path), STATE)


def test_safetensors(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(STATE, tmp_path / "w.safetensors")
    assert equal(weights.read(tmp_path / "w.safetensors"), STATE)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"state_dict": STATE, "hook": Hostile()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UsageError, match=r"holds Python objects beside its tensors.*--option trust_pickle=true"):
        weights.read(path)
    with pytest.raises(Ran):
        weights.read(path, trust_pickle=True)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2], {"state_dict": {}}])
def test_a_file_without_weights(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="holds no weights but"):
        weights.read(tmp_path / "w.pt")


def test_a_legacy_file_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UsageError, match="cannot be read as a torch file"):
        weights.read(path)


# -- loading -------------------------------------------------------------------------------------


def test_loading_reports_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    layer = torch.nn.BatchNorm1d(2)
    state = {key: tensor + 3 for key, tensor in layer.state_dict().items()}
    counter = state.pop("num_batches_tracked")
    path = Path("x.ckpt")
    with pytest.raises(UsageError, match=r"x\.ckpt lacks 1 of 5 tensors: num_batches_tracked\."):
        weights.load(layer, state, path)
    assert weights.load(layer, state | {"extra": counter}, path, ["num_batches_tracked"]) == ("extra",)
    assert "x.ckpt: 1 unexpected keys, which are not used: extra" in capsys.readouterr().out
    assert (layer.weight == 4).all()
    with pytest.raises(UsageError, match=r"weight has shape \(3,\), expected \(2,\)"):
        weights.load(layer, state | {"weight": torch.zeros(3)}, path, ["num_batches_tracked"])
