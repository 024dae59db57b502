"""The system that a training without captions makes, of little size and beside CLAP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.conformance import check_system  # noqa: E402
from tspbench.errors import MissingWeights, UsageError  # noqa: E402
from tspbench.systems.seeded import randomise  # noqa: E402
from tspbench.systems.training import state as training_state  # noqa: E402
from tspbench.systems.unpaired import model, train  # noqa: E402
from tspbench.systems.unpaired.adapter import CHUNK, Unpaired  # noqa: E402
from tspbench.types import Query  # noqa: E402

RATE = 32_000


# -- the system ----------------------------------------------------------------------------------


def one(system: Unpaired, mixture: Any, text: str) -> Any:
    return system.extract(mixture[None], np.array([len(mixture)]), [Query(RATE, text=text)])[0]


def sound(length: int, seed: int = 0) -> Any:
    return (0.1 * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


@pytest.fixture(scope="module")
def small_system(trained: tuple[Path, dict[str, Any]]) -> Unpaired:
    system = Unpaired(checkpoint=trained[0] / "retrieval" / "last.pt")
    system.load("cpu")
    return system


def test_a_trained_checkpoint_is_the_network_that_was_trained(
    small_system: Unpaired, trained: tuple[Path, dict[str, Any]]
) -> None:
    content = training_state.load(trained[0] / "retrieval" / "last.pt")
    own = small_system._network.state_dict()
    assert set(own) == set(content["model"])
    assert all(torch.equal(own[key], tensor) for key, tensor in content["model"].items())
    assert model.config(content["model"]) == model.Small()
    assert small_system.weight_files() == [trained[0] / "retrieval" / "last.pt"]
    mixture = sound(20_000)
    with torch.inference_mode():
        told = small_system._network.query.text(["a dog"])
        expected = small_system._network(torch.from_numpy(mixture)[None], told)[0].numpy()
    np.testing.assert_array_equal(one(small_system, mixture, "a dog"), expected)
    assert np.abs(expected - one(small_system, mixture, "rain falling")).max() > 1e-4


@pytest.mark.parametrize("length", [1, 512, 513, 400_000])
def test_the_small_system_takes_any_length(small_system: Unpaired, length: int) -> None:
    found = one(small_system, sound(length), "a dog")
    assert found.shape == (length,)
    assert np.isfinite(found).all()
    assert not one(small_system, 0 * sound(length), "a dog").any()


def test_the_small_system_runs_from_the_command_line(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    checkpoint = trained[0] / "retrieval" / "last.pt"
    arguments = ["--task", "lass-demo", "--limit", "4", "--metrics", "snr", "--out", str(tmp_path / "out")]
    done = tspbench("run", "--system", "unpaired", "--option", f"checkpoint={checkpoint}", *arguments)
    assert done.returncode == 0, done.output
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [name.partition(" ")[2] for name in record["identity"]["system"]["weights"]] == ["last.pt"]
    assert len((tmp_path / "out" / "scores.jsonl").read_text().splitlines()) == 4


def tspbench(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


def test_without_a_checkpoint_it_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    with pytest.raises(
        MissingWeights, match=r"not published; make it with python -m tspbench\.systems\.unpaired\.train"
    ):
        Unpaired().weight_files()


def test_what_is_not_its_checkpoint_is_named(small_clap_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\(no separator\.\*\) but a LAION CLAP checkpoint"):
        Unpaired(checkpoint=small_clap_file).weight_files()
    torch.save({"separator.enter.bias": torch.zeros(1), "query.x": torch.zeros(1)}, tmp_path / "cut.pt")
    with pytest.raises(UsageError, match=r"cut\.pt lacks query\.grams\.weight"):
        Unpaired(checkpoint=tmp_path / "cut.pt").load("cpu")
    with pytest.raises(UsageError, match="more than 0 and at most 5"):
        Unpaired(overlap_s=0)


def test_random_weights_stamp_the_identity() -> None:
    system = Unpaired(weights="random")
    assert system.random_weights == 0
    assert system.weight_files() == ()


# -- with CLAP -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(small_clap: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of CLAPSep's separator beside a CLAP of little size, as the trainer writes it."""
    network = model.for_clap(small_clap, d_mask=32)
    randomise(network.separator.decoder, 3)
    path: Path = tmp_path_factory.mktemp("large") / "last.pt"
    training_state.save({"model": network.state_dict(), "step": 0, "config": {}}, path)
    return path


@pytest.fixture(scope="module")
def large_options(large: Path, small_clap_file: Path, tokenizer_folder: Path) -> dict[str, Path]:
    return {"checkpoint": large, "clap": small_clap_file, "tokenizer": tokenizer_folder}


@pytest.fixture(scope="module")
def large_system(large_options: dict[str, Path]) -> Unpaired:
    system = Unpaired(**large_options)
    system.load("cpu")
    return system


def test_the_separator_is_clapseps_with_the_encoder_frozen(small_clap: Any) -> None:
    network = model.for_clap(small_clap, d_mask=32)
    encoder = network.separator.encoder
    assert not any(each.requires_grad for each in encoder.parameters())
    assert all(each.requires_grad for each in network.separator.decoder.parameters())
    own = small_clap.audio_model.audio_encoder.state_dict()
    assert all(torch.equal(tensor, own[key]) for key, tensor in encoder.state_dict().items())
    found = model.config(network.state_dict()).separator
    assert (found.size, found.dim, found.d_mask, found.heads) == (16, 16, 32, (1, 2, 4, 8))


def test_the_large_system_is_its_network_told_by_claps_vector(large_system: Unpaired) -> None:
    mixture = sound(50_000)
    with torch.inference_mode():
        told = large_system._query.text(["a dog barks"])
        padded = torch.nn.functional.pad(torch.from_numpy(mixture), (0, CHUNK - 50_000))[None]
        expected = large_system._network.separator(padded, told)[0, :50_000].numpy()
    np.testing.assert_allclose(one(large_system, mixture, "a dog barks"), expected, atol=1e-6 * np.abs(expected).max())


def test_mixed_lengths_and_captions_in_one_batch(large_system: Unpaired, small_system: Unpaired) -> None:
    lengths, texts = np.array([400_000, 100, 50_000]), ["a dog", "rain", "a bell"]
    batch = np.full((3, 400_000), np.nan, np.float32)
    for row, length in enumerate(lengths):
        batch[row, :length] = sound(int(length), row)
    for system in (large_system, small_system):
        together = system.extract(batch, lengths, [Query(RATE, text=text) for text in texts])
        for row, length in enumerate(lengths):
            alone = one(system, batch[row, :length], texts[row])
            assert np.abs(together[row, :length] - alone).max() < 1e-5 * np.abs(alone).max()


def test_autocast_where_asked(large_system: Unpaired, large_options: dict[str, Path]) -> None:
    half = Unpaired(**large_options, precision="bfloat16")
    half._network, half._query, half._device = large_system._network, large_system._query, large_system._device
    exact, coarse = (one(system, sound(40_000), "a dog") for system in (large_system, half))
    assert 1e-5 < np.abs(exact - coarse).max() / np.abs(exact).max() < 0.2


def test_another_clap_is_refused(large: Path, large_options: dict[str, Path], small_clap: Any, tmp_path: Path) -> None:
    content = torch.load(large, weights_only=True)
    for key in [key for key in content["model"] if "skip_conv" in key and key.endswith("weight")]:
        content["model"][key] = content["model"][key][:, :7]
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(UsageError, match=r"was trained with vectors of 7; those of .* have 16"):
        Unpaired(**{**large_options, "checkpoint": tmp_path / "other.pt"}).load("cpu")


def test_training_beside_clap(
    sounds: Path, small_clap_file: Path, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published path in little: CLAP's files, its text encoder for the cache, CLAPSep's separator; then the run."""
    monkeypatch.setattr(model, "for_clap", lambda clap, make=model.for_clap: make(clap, d_mask=32))
    files = ["--clap", str(small_clap_file), "--tokenizer", str(tokenizer_folder)]
    sizes = ["--steps", "2", "--batch", "2", "--seconds", "0.5", "--generate", "20", "--conditioning", "retrieval"]
    out = tmp_path / "out"
    done = CliRunner().invoke(
        train.main, ["--corpus", str(sounds), "--test", "fold=3", "--out", str(out), *files, *sizes]
    )
    assert done.exit_code == 0, done.output
    system = Unpaired(out / "retrieval" / "last.pt", small_clap_file, tokenizer_folder)
    system.load("cpu")
    assert len(system.weight_files()) == 4
    assert np.isfinite(one(system, sound(30_000), "a dog")).all()


# -- slow ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_small_system_conforms(trained: tuple[Path, dict[str, Any]]) -> None:
    verdicts = check_system("unpaired", {"checkpoint": str(trained[0] / "retrieval" / "last.pt")})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
def test_the_large_system_conforms(large_options: dict[str, Path]) -> None:
    verdicts = check_system("unpaired", {key: str(path) for key, path in large_options.items()})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
def test_it_conforms_at_full_size() -> None:
    verdicts = check_system("unpaired", {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []
