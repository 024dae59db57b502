"""LASS-Net: lengths, captions, and the files through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.conformance import check_system  # noqa: E402
from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.lassnet import checkpoint as ckpt  # noqa: E402
from tspbench.systems.lassnet import model  # noqa: E402
from tspbench.systems.lassnet.adapter import LASSNet  # noqa: E402
from tspbench.systems.lassnet.captions import Captions  # noqa: E402
from tspbench.types import Query  # noqa: E402

Sound = Callable[..., Any]
RATE = 32_000


def one(system: Any, mixture: Any, query: Query) -> Any:
    return system.extract(mixture[None], np.array([len(mixture)]), [query])[0]


# -- the network ---------------------------------------------------------------------------------


class Logits(torch.nn.Module):
    """Stands for the U-Net: one number everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, magnitudes: Any, condition: Any) -> Any:
        return torch.full_like(magnitudes, self.value)


@pytest.mark.parametrize(("value", "gain"), [(30.0, 1.0), (0.0, 0.5), (-30.0, 0.0)])
def test_a_mask_is_a_gain(published: dict[str, Any], value: float, gain: float, sound: Sound) -> None:
    network = model.build(model.config(model.convert(published)))
    network.UNet = Logits(value)
    x = torch.from_numpy(sound(512 * 40))[None]
    torch.testing.assert_close(network(x, torch.zeros(1, 64)), gain * x, atol=1e-5, rtol=0)


def test_half_of_the_two_top_bins_is_kept(system: Any) -> None:
    """The network does not see them, so their mask is the sigmoid of 0."""
    unet = system._network.UNet
    with torch.inference_mode():
        logits = unet(torch.rand(1, 1, 70, 513), torch.zeros(1, 64))
    assert logits.shape == (1, 1, 70, 513)
    assert not logits[..., 511:].any()
    assert (logits[..., :511] != 0).all()


@pytest.mark.parametrize(("length", "filled"), [(1, 320_000), (320_000, 320_000), (320_001, 320_512)])
def test_what_a_mixture_is_filled_up_to(length: int, filled: int) -> None:
    assert model.padded(length) == filled


# -- the adapter ---------------------------------------------------------------------------------


def test_a_query_begins_with_a_literal_token_and_ends_without_one(bert_folder: Path) -> None:
    tokens = Captions(bert_folder, most=8)
    ids, mask = tokens(["A dog", "rains ringing [SEP] a dog a dog"])
    assert ids.tolist() == [[2, 5, 6, 0, 0, 0, 0, 0], [2, 7, 8, 10, 11, 3, 5, 6]]
    assert mask.sum(dim=1).tolist() == [3, 8]


def test_the_adapter_is_the_network_on_ten_seconds(system: Any, sound: Sound, bert_folder: Path) -> None:
    mixture = sound(50_000)
    with torch.inference_mode():
        e = system._network.text_embedder(*Captions(bert_folder, 64)(["a dog"]))
        x = torch.nn.functional.pad(torch.from_numpy(mixture), (0, 270_000))[None]
        expected = system._network(x, e)[0, :50_000].numpy()
    np.testing.assert_array_equal(one(system, mixture, Query(RATE, text="a dog")), expected)


def test_mixed_lengths_and_queries_in_one_batch(system: Any, sound: Sound) -> None:
    lengths = np.array([330_000, 100, 50_000])
    batch = np.full((3, 330_000), np.nan, np.float32)
    for row, length in enumerate(lengths):
        batch[row, :length] = sound(int(length), row)
    queries = [Query(RATE, text=text) for text in ("a dog", "a bell rings", "rain")]
    together = system.extract(batch, lengths, queries)
    assert together.shape == batch.shape
    for row, (length, query) in enumerate(zip(lengths, queries, strict=True)):
        alone = one(system, batch[row, :length], query)
        assert np.abs(together[row, :length] - alone).max() < 1e-5 * np.abs(alone).max()


def test_a_caption_is_embedded_once(files: dict[str, Path], system: Any, sound: Sound) -> None:
    other, asked = LASSNet(**files), []
    other.load("cpu")
    embed = other._embed
    other._embed = lambda captions: (asked.extend(captions), embed(captions))[1]
    for _ in range(2):
        one(other, sound(4000), Query(RATE, text="a dog"))
    assert asked == ["a dog"]


def test_autocast_where_asked(system: Any, files: dict[str, Path], sound: Sound) -> None:
    half = LASSNet(**files, precision="bfloat16")
    half.load("cpu")
    mixture, query = sound(40_000), Query(RATE, text="a dog")
    exact, coarse = one(system, mixture, query), one(half, mixture, query)
    assert coarse.dtype == np.float32
    assert 1e-5 < np.abs(exact - coarse).max() / np.abs(exact).max() < 0.3


# -- the checkpoint ------------------------------------------------------------------------------


def saved(state: dict[str, Any], path: Path) -> Path:
    torch.save({"model": state}, path)
    return path


def test_what_is_not_the_checkpoint_is_named(published: dict[str, Any], small_clap_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not LASS-Net's checkpoint \(no UNet\.\*\) but a LAION CLAP"):
        ckpt.load(small_clap_file)
    unet = {key: tensor for key, tensor in published.items() if ".UNet." in key}
    with pytest.raises(UsageError, match=r"\(no text_embedder\.\*\)"):
        ckpt.load(saved(unet, tmp_path / "unet.pt"))

    def loaded(**changes: Any) -> Any:
        state = {**published, **changes}
        return ckpt.load(saved({k: t for k, t in state.items() if t is not None}, tmp_path / "x.pt"))

    for lost in ("UNet.decoder_block2.conv1.weight", "UNet.encoder_block6.conv_block1.conv1.weight"):
        with pytest.raises(UsageError, match=rf"x\.pt lacks .*{lost}"):
            loaded(**{f"module.{lost}": None})
    with pytest.raises(UsageError, match=r"tensors that the published network has not: UNet\.bn0\.weight"):
        loaded(**{"module.UNet.bn0.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match=r"has shape \(3,\), expected \(1,\)"):
        loaded(**{"module.UNet.after_conv2.bias": torch.zeros(3)})


def test_a_folder_without_a_tokenizer(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no tokenizer: a folder with vocab\.txt, as in prajjwal1/bert-mini"):
        LASSNet(files["checkpoint"], tmp_path).weight_files()


# -- the command line ----------------------------------------------------------------------------


def invoke(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


def options(files: dict[str, Path]) -> list[str]:
    return [part for key, value in files.items() for part in ("--option", f"{key}={value}")]


def test_published_files_run_through_the_command_line(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "--system", "lassnet", "--task", "lass-demo", "--limit", "4", "--metrics", "snr"]
    done = invoke(*arguments, *options(files), "--out", str(out))
    assert done.returncode == 0, done.output
    record = json.loads((out / "run.json").read_text())
    system = record["identity"]["system"]
    assert {name.partition(" ")[2] for name in system["weights"]} == {"LASSNet.pt", "vocab.txt"}
    assert str(tmp_path.parent) not in json.dumps(record["identity"])
    assert "1 unexpected keys, which are not used: left.over" in (out / "system.log").read_text()
    assert len((out / "scores.jsonl").read_text().splitlines()) == 4


def test_without_weights_the_command_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    done = invoke("run", "--system", "lassnet", "--task", "lass-demo", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    for part in ("LASSNet.pt", "drive.google.com", "prajjwal1/bert-mini", "--option tokenizer=PATH", "nmf"):
        assert part in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_random_weights_stamp_the_identity() -> None:
    from tspbench.runner.inference import SystemService
    from tspbench.system import find_system

    info = SystemService(find_system("lassnet"), {"weights": "random", "precision": "bfloat16"}).describe()
    assert info.weights == {"random": "seed 0"}
    assert info.precision == "bfloat16"


@pytest.mark.slow
def test_it_conforms(files: dict[str, Path]) -> None:
    verdicts = check_system("lassnet", {key: str(path) for key, path in files.items()})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
def test_it_conforms_at_full_size() -> None:
    verdicts = check_system("lassnet", {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_the_same(files: dict[str, Path], system: Any, sound: Sound) -> None:
    there = LASSNet(**files)
    there.load("cuda")
    mixture, query = sound(100_000), Query(RATE, text="a dog")
    ours = one(system, mixture, query)
    assert np.abs(one(there, mixture, query) - ours).max() < 1e-4 * np.abs(ours).max()
