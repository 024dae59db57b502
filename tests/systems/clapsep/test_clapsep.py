"""CLAPSep: folding, chunks, conditions, and the files through the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.conformance import check_system  # noqa: E402
from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.clap.files import ClapFiles  # noqa: E402
from tspbench.systems.clapsep import checkpoint as ckpt  # noqa: E402
from tspbench.systems.clapsep import decoder, model  # noqa: E402
from tspbench.systems.clapsep.adapter import CHUNK, CLAPSep  # noqa: E402
from tspbench.systems.clapsep.chunks import Chunks  # noqa: E402
from tspbench.types import Query  # noqa: E402

Sound = Callable[..., Any]
RATE = 32_000


def options(files: dict[str, Path], **more: str) -> list[str]:
    return [part for key, value in {**files, **more}.items() for part in ("--option", f"{key}={value}")]


# -- the network ---------------------------------------------------------------------------------


def test_lora_folds_into_the_weight() -> None:
    """x W' is x W + (x A B) / rank, which is what loralib computes."""
    generator = torch.Generator().manual_seed(0)
    weight, a, b, x = (torch.randn(*shape, generator=generator) for shape in ((6, 5), (2, 5), (6, 2), (3, 5)))
    home = "audio_branch.layers.0.blocks.0.attn.qkv."
    found = model.fold_lora({f"{home}weight": weight, f"{home}lora_A": a, f"{home}lora_B": b, "other": x})
    assert set(found) == {f"{home}weight", "other"}
    torch.testing.assert_close(x @ found[f"{home}weight"].T, x @ weight.T + (x @ a.T @ b.T) / 2)


def test_patch_expansion_undoes_patch_merging() -> None:
    """Swin's merging lists the four tokens of a cell column by column; with expand = identity it is undone."""
    expand = decoder.PatchExpand(dim=4, side=3)
    fine = torch.randn(2, 6, 6, 2)
    merged = torch.cat([fine[:, row::2, column::2] for column in range(2) for row in range(2)], dim=-1)
    expand.expand = torch.nn.Identity()
    expand.norm = torch.nn.Identity()
    assert torch.equal(expand(merged.flatten(1, 2)), fine.flatten(1, 2))


def test_the_image_unfolds_as_it_was_folded() -> None:
    frames = torch.randn(2, 1024, 64)
    image = torch.cat([frames[:, 256 * r : 256 * (r + 1)].transpose(1, 2) for r in range(4)], dim=1)
    assert torch.equal(decoder.unfolded(image), frames)


def test_windows_part_and_join() -> None:
    block = decoder.SwinBlock(dim=8, side=16, heads=2, drop=0)
    tokens = torch.arange(256.0)[None, :, None].expand(1, 256, 8)
    windows = block._windows(tokens)
    assert windows[1, :9, 0].tolist() == [8, 9, 10, 11, 12, 13, 14, 15, 24]
    assert torch.equal(block._joined(windows), tokens)


def test_stochastic_depth_is_for_training_only() -> None:
    block = decoder.SwinBlock(dim=8, side=8, heads=2, drop=0.5)
    x = torch.randn(64, 64, 8)
    with torch.no_grad():
        assert torch.equal(block.eval()(x), block(x))
        torch.manual_seed(0)
        assert not torch.equal(block.train()(x), block(x))


@pytest.mark.parametrize("length", [model.SHORTEST, 32_123, model.LONGEST])
def test_any_length_the_network_takes(system: Any, sound: Sound, length: int) -> None:
    with torch.inference_mode():
        found = system._network(torch.from_numpy(sound(length))[None], torch.zeros(1, 32))
    assert found.shape == (1, length)
    assert torch.isfinite(found).all()


def test_frames_line_up_at_the_longest() -> None:
    assert 1 + model.LONGEST // model.HOP == model.FRAMES
    assert 1 + (model.LONGEST + 1) // model.HOP > model.FRAMES


# -- chunks --------------------------------------------------------------------------------------


@given(length=st.integers(0, 60), size=st.integers(2, 20), data=st.data())
@settings(deadline=None)
def test_chunks_put_together_are_the_signal(length: int, size: int, data: Any) -> None:
    plan = Chunks(length, size, overlap=data.draw(st.integers(0, size - 1)))
    signal = np.arange(1, length + 1, dtype=np.float32)
    pieces = plan.cut(signal)
    assert pieces.shape == (len(plan.starts), size)
    np.testing.assert_allclose(plan.join(pieces), signal, rtol=1e-6)


def test_chunks_of_the_app_lie_side_by_side() -> None:
    plan = Chunks(25, 10, overlap=0)
    assert plan.starts == [0, 10, 20]
    assert plan.cut(np.ones(25, np.float32))[2].tolist() == [1] * 5 + [0] * 5


def test_overlapping_chunks_fade_linearly_and_end_with_the_signal() -> None:
    plan = Chunks(25, 10, overlap=3)
    assert plan.starts == [0, 7, 14, 15]
    found = Chunks(17, 10, overlap=3).join(np.stack([np.zeros(10), np.ones(10)]).astype(np.float32))
    np.testing.assert_allclose(found[6:11], [0, 0.25, 0.5, 0.75, 1])


# -- the adapter ---------------------------------------------------------------------------------


def one(system: Any, mixture: Any, query: Query) -> Any:
    return system.extract(mixture[None], np.array([len(mixture)]), [query])[0]


def test_the_adapter_is_the_network_on_ten_seconds(system: Any, sound: Sound) -> None:
    """The whole path written out once more: padding, embeddings, normalised condition."""
    mixture, query = sound(50_000), Query(RATE, text="a dog barks", negative_text="rain")
    with torch.inference_mode():
        e = torch.cat([system._clap.text(["a dog barks"]), system._clap.text(["rain"])], dim=1) / 2**0.5
        x = torch.nn.functional.pad(torch.from_numpy(mixture), (0, CHUNK - 50_000))[None]
        expected = system._network(x, e)[0, :50_000].numpy()
    np.testing.assert_allclose(one(system, mixture, query), expected, atol=1e-6 * np.abs(expected).max())


def test_conditions(system: Any, files: dict[str, Path], sound: Sound) -> None:
    clip, other = sound(48_000, 1), sound(20_000, 2)
    text, rain = system._clap.text(["a dog", "rain"])
    audio = [system._clap.audio([_at_48k(x)])[0] for x in (clip, other)]
    mean = torch.nn.functional.normalize(audio[0] + audio[1], dim=0)
    none = torch.zeros(16)
    cases = {
        (text, none): Query(RATE, text="a dog"),
        (none, rain): Query(RATE, text=" ", negative_text="rain"),
        (text + audio[0], rain): Query(RATE, text="a dog", audio=(clip,), negative_text="rain"),
        (mean, audio[1]): Query(RATE, audio=(clip, other), negative_audio=(other,)),
        (none, none): Query(RATE, audio=(np.zeros(0, np.float32),)),
    }
    raw = CLAPSep(**files, condition="test_script")
    raw._clap, raw._device = system._clap, system._device
    for sides, query in cases.items():
        whole = torch.cat(sides)
        torch.testing.assert_close(raw._condition(query), whole, rtol=1e-5, atol=1e-6)
        expected = whole / whole.norm() if whole.any() else whole
        torch.testing.assert_close(system._condition(query), expected, rtol=1e-5, atol=1e-6)


def _at_48k(samples: Any) -> Any:
    from tspbench.systems.clap.frontend import resample

    return resample(torch.from_numpy(samples)[None], RATE, 48_000)[0].numpy()


def test_mixed_lengths_and_queries_in_one_batch(system: Any, sound: Sound) -> None:
    lengths = np.array([700_000, 100, 400_000])
    batch = np.full((3, 700_000), np.nan, np.float32)
    for row, length in enumerate(lengths):
        batch[row, :length] = sound(int(length), row)
    queries = [
        Query(RATE, text="a dog"),
        Query(RATE, audio=(sound(9_000, 4),)),
        Query(RATE, text="a bell", negative_text="rain"),
    ]
    together = system.extract(batch, lengths, queries)
    for row, (length, query) in enumerate(zip(lengths, queries, strict=True)):
        alone = one(system, batch[row, :length], query)
        assert np.abs(together[row, :length] - alone).max() < 1e-5 * np.abs(alone).max()


def test_the_app_concatenates_its_chunks(system: Any, files: dict[str, Path], sound: Sound) -> None:
    app = CLAPSep(**files, chunks="app")
    app._network, app._clap, app._device = system._network, system._clap, system._device
    mixture, query = sound(CHUNK + 5_000), Query(RATE, text="a dog")
    found = one(app, mixture, query)
    halves = [one(app, mixture[:CHUNK], query), one(app, mixture[CHUNK:], query)]
    np.testing.assert_allclose(found, np.concatenate(halves), atol=1e-6)
    faded = one(system, mixture, query)
    assert np.abs(found - faded).max() > 1e-4
    np.testing.assert_allclose(one(system, mixture[:CHUNK], query), halves[0], atol=1e-6)


def test_what_is_too_loud_is_turned_down_and_up_again(system: Any, sound: Sound) -> None:
    loud, query = 8 * sound(40_000), Query(RATE, text="a dog")
    gain = 0.9 / np.abs(loud).max()
    np.testing.assert_allclose(one(system, loud, query) * gain, one(system, loud * gain, query), atol=1e-6)


def test_autocast_where_asked(system: Any, files: dict[str, Path], sound: Sound) -> None:
    half = CLAPSep(**files, precision="bfloat16")
    half._network, half._clap, half._device = system._network, system._clap, system._device
    mixture, query = sound(40_000), Query(RATE, text="a dog")
    exact, coarse = one(system, mixture, query), one(half, mixture, query)
    assert coarse.dtype == np.float32
    difference = np.abs(exact - coarse).max() / np.abs(exact).max()
    assert 1e-5 < difference < 0.2
    assert (system.precision, half.precision) == ("float32", "bfloat16")


@pytest.mark.parametrize("overlap", [0, -1, 6])
def test_an_overlap_that_cannot_be(overlap: float) -> None:
    with pytest.raises(UsageError, match="more than 0 and at most 5 seconds"):
        CLAPSep(overlap_s=overlap)


# -- the checkpoint ------------------------------------------------------------------------------


def changed(state: dict[str, Any], path: Path, **more: Any) -> Path:
    torch.save({**state, **more}, path)
    return path


def clap_of(files: dict[str, Path]) -> dict[str, Any]:
    return ClapFiles(files["clap"], files["tokenizer"]).read()


def test_a_whole_training_checkpoint_gives_the_same_network(
    system: Any, trained: dict[str, Any], files: dict[str, Path], tmp_path: Path
) -> None:
    """As the training framework writes it: every part of the module, optimiser beside it."""
    base = {key: tensor for key, tensor in clap_of(files).items() if key.startswith("audio_branch.")}
    clap = {f"clap_model.model.{key}": tensor + 1 for key, tensor in base.items()}
    state = {**base, **clap, **trained, "stft.conv_real.weight": torch.zeros(3)}
    content = {"state_dict": state, "epoch": 149, "optimizer_states": [{"state": {0: torch.zeros(2)}}]}
    torch.save(content, tmp_path / "epoch=149-step=231000.ckpt")
    path = tmp_path / "epoch=149-step=231000.ckpt"
    network = ckpt.load(ckpt.read(path), clap_of(files), path)
    own = system._network.state_dict()
    assert all(torch.equal(tensor, own[key]) for key, tensor in network.state_dict().items())


def test_what_is_not_the_checkpoint_is_named(trained: dict[str, Any], files: dict[str, Path], tmp_path: Path) -> None:
    clap = clap_of(files)
    with pytest.raises(UsageError, match=r"is not CLAPSep's checkpoint \(no decoder_model\.\*\) but a LAION CLAP"):
        ckpt.read(files["clap"])
    phase = changed(trained, tmp_path / "phase.ckpt", **{"decoder_model.phase_net.0.weight": torch.zeros(1)})
    with pytest.raises(UsageError, match="is a CLAPSep that estimates phases"):
        ckpt.read(phase)
    no_lora = {key: tensor for key, tensor in trained.items() if ".lora_" not in key}
    with pytest.raises(UsageError, match="lacks every lora_A and lora_B"):
        ckpt.read(changed(no_lora, tmp_path / "plain.ckpt"))

    def loaded(state: dict[str, Any]) -> Any:
        return ckpt.load(state, clap, Path("x.ckpt"))

    a = "audio_branch.layers.0.blocks.0.attn.qkv.lora_A"
    with pytest.raises(UsageError, match=rf"x\.ckpt lacks 1 of 32 LoRA tensors: {re.escape(a)}"):
        loaded({key: tensor for key, tensor in trained.items() if key != a})
    with pytest.raises(UsageError, match=r"does not belong to this CLAP: .*music_audioset_epoch_15_esc_90\.14\.pt"):
        loaded({**trained, a: torch.zeros(4, 24)})
    for lost in ("decoder_model.skip.1.norm.bias", "decoder_model.film.skip_conv.gamma.weight"):
        with pytest.raises(UsageError, match=r"x\.ckpt lacks"):
            loaded({key: tensor for key, tensor in trained.items() if key != lost})
    with pytest.raises(UsageError, match=r"tensors that the published decoder has not: decoder\.layers\.0\.blocks\.1"):
        loaded({**trained, "decoder_model.layers.0.blocks.1.norm1.weight": torch.zeros(1)})


# -- the command line ----------------------------------------------------------------------------


def invoke(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


def test_published_files_run_through_the_command_line(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["run", "--system", "clapsep", "--task", "lass-demo", "--limit", "4", "--metrics", "snr"]
    done = invoke(*arguments, *options(files), "--out", str(out))
    assert done.returncode == 0, done.output
    record = json.loads((out / "run.json").read_text())
    system = record["identity"]["system"]
    assert {name.partition(" ")[2] for name in system["weights"]} == {
        "best_model.ckpt", "music_audioset_epoch_15_esc_90.14.pt", "vocab.json", "merges.txt",
    }  # fmt: skip
    assert system["options"]["checkpoint"] == "best_model.ckpt"
    assert str(tmp_path.parent) not in json.dumps(record["identity"])
    assert "1 unexpected keys, which are not used: left.over" in (out / "system.log").read_text()
    assert len((out / "scores.jsonl").read_text().splitlines()) == 4


def test_without_weights_the_command_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    done = invoke("run", "--system", "clapsep", "--task", "lass-demo", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    said = done.output
    for part in ("best_model.ckpt", "178 MB", "AisakaMikoto/CLAPSep", "CC0-1.0", "--option clap=PATH", "nmf"):
        assert part in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_web_page_instead_of_a_checkpoint_is_refused_before_the_run(files: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "best_model.ckpt"
    page.write_text("<!doctype html><title>Sign in</title>")
    arguments = ["run", "--system", "clapsep", "--task", "lass-demo", "--out", str(tmp_path / "out")]
    done = invoke(*arguments, *options({**files, "checkpoint": page}))
    assert done.returncode == 2
    assert "is not a checkpoint but a web page" in done.output
    assert not (tmp_path / "out").exists()


def test_random_weights_stamp_the_identity() -> None:
    from tspbench.runner.inference import SystemService
    from tspbench.system import find_system

    info = SystemService(find_system("clapsep"), {"weights": "random", "precision": "bfloat16"}).describe()
    assert info.weights == {"random": "seed 0"}
    assert info.precision == "bfloat16"


@pytest.mark.slow
def test_it_conforms(files: dict[str, Path]) -> None:
    verdicts = check_system("clapsep", {key: str(path) for key, path in files.items()})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
def test_it_conforms_at_full_size() -> None:
    verdicts = check_system("clapsep", {"weights": "random"})
    assert [v for v in verdicts if v.outcome == "failed"] == []


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_it_is_the_same(files: dict[str, Path], system: Any, sound: Sound) -> None:
    there = CLAPSep(**files)
    there.load("cuda")
    mixture, query = sound(400_000), Query(RATE, text="a dog", audio=(sound(9_000, 4),))
    exact = one(system, mixture, query)
    assert np.abs(one(there, mixture, replace(query)) - exact).max() < 1e-3 * np.abs(exact).max()
