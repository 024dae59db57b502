"""AudioSep: the mask, the chunks, the queries, and the files through the command line."""

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
from tspbench.systems.audiosep import checkpoint as ckpt  # noqa: E402
from tspbench.systems.audiosep import model  # noqa: E402
from tspbench.systems.audiosep.adapter import AudioSep  # noqa: E402
from tspbench.systems.audiosep.captions import Captions  # noqa: E402
from tspbench.systems.batches import equal_lengths  # noqa: E402
from tspbench.systems.clap.frontend import resample  # noqa: E402
from tspbench.types import Query  # noqa: E402

Sound = Callable[..., Any]
RATE = 32_000


def one(system: Any, mixture: Any, query: Query) -> Any:
    return system.extract(mixture[None], np.array([len(mixture)]), [query])[0]


def like(system: Any, files: dict[str, Path], **options: Any) -> Any:
    """The same weights under other options."""
    other = AudioSep(**files, **options)
    other._network, other._clap, other._device = system._network, system._clap, system._device
    return other


# -- the network ---------------------------------------------------------------------------------


class Maps(torch.nn.Module):
    """Stands for the U-Net: the same three numbers everywhere."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = torch.tensor(values)

    def forward(self, magnitudes: Any, shifts: Any) -> Any:
        count, bins, frames = magnitudes.shape
        return self.values[None, :, None, None].expand(count, 3, frames, bins - 1)


def network_of(*values: float) -> Any:
    network = model.build(model.Config((4,) * 6, 4))
    network.base = Maps(*values)
    return network


@pytest.mark.parametrize(("values", "gain"), [((20.0, 1.0, 0.0), 1), ((0.0, 0.3, 0.0), 0.5), ((20.0, -2.0, 0.0), -1)])
def test_a_mask_is_a_gain_and_a_sign(values: tuple[float, ...], gain: float) -> None:
    """A rotation by 0 or by half a turn, whatever the length of the numbers that stand for it."""
    time = torch.arange(40_000) / RATE
    x = (torch.sin(2800 * time) + torch.cos(40_000 * time + 1))[None]
    found = network_of(*values)(x, torch.zeros(1, 4))
    torch.testing.assert_close(found, gain * x, atol=1e-3, rtol=0)


def test_a_quarter_turn_makes_a_sine_of_a_cosine() -> None:
    angle = 2 * np.pi * 1000 * np.arange(40_000) / RATE
    x = torch.from_numpy(np.cos(angle)).float()[None]
    found = network_of(20.0, 0.0, -1.0)(x, torch.zeros(1, 4))
    expected = torch.from_numpy(np.sin(angle)).float()[None]
    torch.testing.assert_close(found[:, 4000:36_000], expected[:, 4000:36_000], atol=1e-3, rtol=0)


def test_nothing_is_left_of_the_top_bin() -> None:
    x = torch.ones(1, 40_000)
    x[:, 1::2] = -1
    inner = network_of(20.0, 1.0, 0.0)(x, torch.zeros(1, 4))[:, 5000:35_000]
    # The window spreads the tone over two bins: two thirds of its amplitude lie in the top one, one third below it.
    torch.testing.assert_close(inner, x[:, 5000:35_000] / 3, atol=5e-3, rtol=0)


def test_chunks_in_the_middle_of_a_second_are_kept() -> None:
    """A network that numbers its calls shows which call each sample is from."""
    calls: list[int] = []

    def network(x: Any, e: Any) -> Any:
        calls.append(x.shape[1])
        return torch.full_like(x, len(calls))

    found = model.in_chunks(network, torch.zeros(1, 12 * RATE), torch.zeros(1, 4))
    assert calls == [5 * RATE, 5 * RATE, 5 * RATE, 3 * RATE]
    assert found[0, :: RATE // 2].tolist() == [1] * 8 + [2] * 6 + [3] * 6 + [4] * 4


@pytest.mark.parametrize("length", [1, 5 * RATE, 5 * RATE + 1, 8 * RATE, 8 * RATE + 1])
def test_chunks_reach_the_end(length: int) -> None:
    x = torch.arange(1, length + 1)[None].float()
    assert torch.equal(model.in_chunks(lambda x, e: x, x, torch.zeros(1, 4)), x)


def test_rows_by_length() -> None:
    found = [(length, rows.tolist()) for length, rows in equal_lengths([5, 3, 5, 9])]
    assert found == [(3, [1]), (5, [0, 2]), (9, [3])]


# -- the adapter ---------------------------------------------------------------------------------


def test_the_adapter_is_the_network(system: Any, sound: Sound) -> None:
    mixture = sound(50_000)
    with torch.inference_mode():
        e = system._clap.text(["a dog barks"])
        expected = system._network(torch.from_numpy(mixture)[None], e)[0].numpy()
    np.testing.assert_array_equal(one(system, mixture, Query(RATE, text="a dog barks")), expected)


def test_a_mixture_shorter_than_the_window_is_filled_up(system: Any, sound: Sound) -> None:
    mixture, query = sound(300), Query(RATE, text="a dog")
    longer = np.concatenate([mixture, np.zeros(model.SHORTEST - 300, np.float32)])
    np.testing.assert_array_equal(one(system, mixture, query), one(system, longer, query)[:300])


def test_conditions(system: Any, files: dict[str, Path], sound: Sound) -> None:
    clip, other = sound(9_000, 1), sound(20_000, 2)
    text = system._clap.text(["a dog"])[0]
    heard = [resample(torch.from_numpy(x)[None], RATE, 48_000)[0].numpy() for x in (clip, other)]
    audio = [system._clap.audio([x], sixteen_bit=False)[0] for x in heard]
    mean = torch.nn.functional.normalize(audio[0] + audio[1], dim=0)
    listener = like(system, files, prefer="audio")
    both = Query(RATE, text="a dog", audio=(clip,))
    cases = [
        (system, both, text),
        (listener, both, audio[0]),
        (listener, Query(RATE, text="a dog"), text),
        (listener, Query(RATE, text="a dog", audio=(np.zeros(0, np.float32),)), text),
        (system, Query(RATE, audio=(clip, other)), mean),
        (system, Query(RATE), torch.zeros(16)),
    ]
    for one_system, query, expected in cases:
        torch.testing.assert_close(one_system._condition(query), expected, rtol=1e-5, atol=1e-6)


def test_captions_are_padded_to_the_longest_and_cut_at_the_last_position(tokenizer_folder: Path) -> None:
    tokens = Captions(tokenizer_folder, most=20)
    ids, mask = tokens(["a dog barks", "rain falls " * 30])
    assert ids.shape == (2, 20)
    assert mask.sum(dim=1).tolist() == [len(tokens(["a dog barks"])[0][0]), 20]
    assert ids[1, [0, -1]].tolist() == [0, 2]


def test_padding_does_not_change_a_caption(system: Any) -> None:
    alone = system._clap._embed_text(["a dog barks"])
    np.testing.assert_allclose(system._clap._embed_text(["a dog barks", "rain falls on a roof"])[:1], alone, atol=1e-6)


def test_mixed_lengths_and_queries_in_one_batch(system: Any, sound: Sound) -> None:
    lengths = np.array([60_000, 100, 60_000, 41_234])
    batch = np.full((4, 60_000), np.nan, np.float32)
    for row, length in enumerate(lengths):
        batch[row, :length] = sound(int(length), row)
    queries = [Query(RATE, text=text) for text in ("a dog", "a bell", "rain")] + [Query(RATE, audio=(sound(9_000),))]
    together = system.extract(batch, lengths, queries)
    for row, (length, query) in enumerate(zip(lengths, queries, strict=True)):
        alone = one(system, batch[row, :length], query)
        assert np.abs(together[row, :length] - alone).max() < 1e-5 * np.abs(alone).max()


def test_chunks_where_asked(system: Any, files: dict[str, Path], sound: Sound) -> None:
    other = like(system, files, chunks="chunk_inference")
    query, short, long = Query(RATE, text="a dog"), sound(5 * RATE), sound(6 * RATE)
    np.testing.assert_array_equal(one(other, short, query), one(system, short, query))
    found = one(other, long, query)
    assert np.abs(found - one(system, long, query)).max() > 1e-4
    np.testing.assert_allclose(found[: 4 * RATE], one(system, long[: 5 * RATE], query)[: 4 * RATE], atol=1e-6)


@pytest.mark.parametrize(
    ("chunks", "calls"), [("auto", [20, 10, 10, 9]), ("whole", [20, 21]), ("chunk_inference", [10, 10, 8, 10, 10, 9])]
)
def test_long_mixtures_in_chunks_of_themselves(
    system: Any, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, chunks: str, calls: list[int]
) -> None:
    """All lengths in thousands of samples, chunks of 10 of which the outer 4 are not kept."""
    found: list[int] = []

    def network(x: Any, e: Any) -> Any:
        found.append(x.shape[1] // 1000)
        return x

    for name, value in {"LEFT": 2000, "CENTRE": 6000, "RIGHT": 2000}.items():
        monkeypatch.setattr(model, name, value)
    monkeypatch.setattr("tspbench.systems.audiosep.adapter.MOST_AT_ONCE", 20_000)
    other = like(system, files, chunks=chunks)
    other._network = network
    mixtures = np.ones((2, 21_000), np.float32)
    other.extract(mixtures, np.array([20_000, 21_000]), [Query(RATE, text="a dog")] * 2)
    assert found == calls


def test_autocast_where_asked(system: Any, files: dict[str, Path], sound: Sound) -> None:
    half = like(system, files, precision="bfloat16")
    mixture, query = sound(40_000), Query(RATE, text="a dog")
    exact, coarse = one(system, mixture, query), one(half, mixture, query)
    assert coarse.dtype == np.float32
    assert 1e-5 < np.abs(exact - coarse).max() / np.abs(exact).max() < 0.3


# -- the checkpoint ------------------------------------------------------------------------------


def saved(state: dict[str, Any], path: Path) -> Path:
    torch.save({"state_dict": state}, path)
    return path


def test_a_clap_of_its_own_replaces_the_one_inside(
    system: Any, files: dict[str, Path], small_clap_file: Path, separator: dict[str, Any], tmp_path: Path
) -> None:
    alone = saved(separator, tmp_path / "separator.ckpt")
    without = AudioSep(checkpoint=alone, tokenizer=files["tokenizer"])
    with pytest.raises(UsageError, match=r"without its CLAP \(query_encoder\.model\.\*\); say --option clap="):
        without.load("cpu")
    beside = AudioSep(checkpoint=alone, tokenizer=files["tokenizer"], clap=small_clap_file)
    beside.load("cpu")
    assert beside.weight_files()[:2] == [alone, small_clap_file]
    assert torch.equal(beside._clap.text(["a dog"]), system._clap.text(["a dog"]))
    bare = saved({key.removeprefix("ss_model."): tensor for key, tensor in separator.items()}, tmp_path / "bare.ckpt")
    assert set(ckpt.read(bare)[0]) == set(ckpt.read(alone)[0])


def test_what_is_not_the_checkpoint_is_named(
    separator: dict[str, Any], small_clap_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=r"is not AudioSep's checkpoint \(no ss_model\.base.*\) but a LAION CLAP"):
        ckpt.read(small_clap_file)
    path = tmp_path / "x.ckpt"
    own = ckpt.read(saved({**separator, "ema.decay": torch.zeros(1)}, path))[0]
    assert "x.ckpt: 1 unexpected keys, which are not used: ema.decay" in capsys.readouterr().out

    def loaded(**changes: Any) -> Any:
        state = {**own, **changes}
        return ckpt.load({key: tensor for key, tensor in state.items() if tensor is not None}, path, 16)

    for lost in ("base.decoder_block2.conv1.weight", "base.encoder_block1.conv_block1.conv1.weight"):
        with pytest.raises(UsageError, match=rf"x\.ckpt lacks .*{lost}"):
            loaded(**{lost: None})
    with pytest.raises(UsageError, match=r"tensors that the published network has not: base\.encoder_block7"):
        loaded(**{"base.encoder_block7.conv1.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match=r"for spectra of 513 bins; AudioSep's, at 32 kHz, have 1025"):
        loaded(**{"base.bn0.weight": torch.zeros(513)})
    with pytest.raises(UsageError, match="wants a condition of 16 numbers; CLAP gives 512"):
        ckpt.load(own, path)


# -- the command line ----------------------------------------------------------------------------


def invoke(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


def options(files: dict[str, Path]) -> list[str]:
    return [part for key, value in files.items() for part in ("--option", f"{key}={value}")]


def test_published_files_run_through_the_command_line(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "--system", "audiosep", "--task", "lass-demo", "--limit", "4", "--metrics", "snr"]
    done = invoke(*arguments, *options(files), "--out", str(out))
    assert done.returncode == 0, done.output
    record = json.loads((out / "run.json").read_text())
    system = record["identity"]["system"]
    assert {name.partition(" ")[2] for name in system["weights"]} == {
        "audiosep_base_4M_steps.ckpt", "vocab.json", "merges.txt",
    }  # fmt: skip
    assert str(tmp_path.parent) not in json.dumps(record["identity"])
    assert "1 unexpected keys, which are not used: left.over" in (out / "system.log").read_text()
    assert len((out / "scores.jsonl").read_text().splitlines()) == 4


def test_without_weights_the_command_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    done = invoke("run", "--system", "audiosep", "--task", "lass-demo", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    for part in ("audiosep_base_4M_steps.ckpt", "1.26 GB", "Audio-AGI/AudioSep", "--option checkpoint=PATH", "nmf"):
        assert part in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "out").exists()


def test_random_weights_stamp_the_identity() -> None:
    from tspbench.runner.inference import SystemService
    from tspbench.system import find_system

    info = SystemService(find_system("audiosep"), {"weights": "random", "precision": "bfloat16"}).describe()
    assert info.weights == {"random": "seed 0"}
    assert info.precision == "bfloat16"


@pytest.mark.slow
def test_it_conforms(files: dict[str, Path]) -> None:
    verdicts = check_system("audiosep", {key: str(path) for key, path in files.items()})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
def test_it_conforms_at_full_size() -> None:
    verdicts = check_system("audiosep", {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_the_same(files: dict[str, Path], system: Any, sound: Sound) -> None:
    there = AudioSep(**files)
    there.load("cuda")
    mixture, query = sound(100_000), Query(RATE, text="a dog")
    ours = one(system, mixture, query)
    assert np.abs(one(there, mixture, query) - ours).max() < 1e-4 * np.abs(ours).max()
