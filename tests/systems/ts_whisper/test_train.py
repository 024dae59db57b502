"""The trainer: sizes, what moves, labels, going on, and files that the systems load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("regex")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.training.speakers import Speech  # noqa: E402
from tspbench.systems.training.utterances import Mixed  # noqa: E402
from tspbench.systems.ts_whisper import prompts, train, tuning  # noqa: E402
from tspbench.systems.ts_whisper.adapter import TSWhisper, TSWhisperFull, TSWhisperLoRA  # noqa: E402
from tspbench.systems.ts_whisper.prepare import Prepare, Told  # noqa: E402
from tspbench.systems.whisper import model  # noqa: E402
from tspbench.systems.whisper.adapter import Whisper  # noqa: E402
from tspbench.systems.whisper.text import letters  # noqa: E402
from tspbench.systems.whisper.vocabulary import Marks  # noqa: E402
from tspbench.types import Query  # noqa: E402

RATE = 16_000
REAL = Path(__file__).parents[4] / "shared" / "data" / "librispeech.csv"
LITTLE = model.Dims(width=32, encoder_layers=2, decoder_layers=2, heads=1, inner=64)
KINDS: list[tuning.Kind] = ["prompts", "lora", "full"]
MILLIONS = {
    "tiny": (37.18, 246_144, 1.44, 209_280),
    "base": (71.83, 360_960, 3.53, 279_040),
    "small": (240.58, 688_896, 14.9, 418_560),
    "medium": (762.32, 1_311_744, 51.8, 558_080),
    "large-v2": (1541.38, 1_967_360, 107.1, 697_600),
}
"""Counted on openai-whisper and the published module, 16 prompts: Whisper in millions; prompts of all blocks deployed,
and with their MLPs, in millions; prompts of one block."""


# -- sizes ---------------------------------------------------------------------------------------


@cache
def without_memory(size: str) -> Any:
    with torch.device("meta"):
        return model.build(model.Dims.named(size))


def counted(kind: tuning.Kind, size: str, depth: int, mlp: bool) -> dict[str, int]:
    network = without_memory(size)
    with torch.device("meta"):
        return tuning.counts(tuning.build(kind, network, prompts.Shape(network.config.d_model, 16, depth, mlp)))


@pytest.mark.parametrize("size", MILLIONS)
def test_prompts_have_the_published_numbers_of_parameters(size: str) -> None:
    whisper, deployed, training, shallow = MILLIONS[size]
    depth = model.SIZES[size][1]
    whole = counted("prompts", size, depth, mlp=True)
    assert whole[tuning.WHISPER] / 1e6 == pytest.approx(whisper, abs=0.005)
    assert whole[tuning.TRAINED] / 1e6 == pytest.approx(training, rel=0.005)
    assert whole[tuning.TRAINED] - whole["their MLPs, in training only"] == deployed
    assert counted("prompts", size, 1, mlp=False)[tuning.TRAINED] == shallow


@pytest.mark.parametrize("size", MILLIONS)
def test_lora_and_full_have_theirs(size: str) -> None:
    """A and B of rank 4 and the bias, for queries and values of three attentions in every pair of blocks."""
    width, layers = model.SIZES[size]
    found = counted("lora", size, layers, mlp=True)
    assert found["LoRA's A and B"] == 6 * layers * 2 * 4 * width
    assert found["biases of queries and values"] == 6 * layers * width
    assert found["speaker projection"] == 513 * width
    assert found[tuning.TRAINED] == sum(found.values()) - found[tuning.WHISPER] - found[tuning.TRAINED]
    if size == "large-v2":
        assert found["LoRA's A and B"] / 1e6 == pytest.approx(1.97, abs=0.005)
    full = counted("full", size, layers, mlp=True)
    assert full[tuning.TRAINED] == full[tuning.WHISPER] + 513 * width


# -- labels --------------------------------------------------------------------------------------


def little(seed: int = 3) -> train.Base:
    network = model.randomise(model.build(LITTLE), seed)
    return train.Base("little", network, letters(Marks.of(LITTLE.tokens)), seed)


def told(folder: Path, speakers: Any) -> Told:
    for place, name in enumerate(sorted(set(speakers))):
        np.save(folder / f"{name}.npy", noise(f"vector {place}", (1, 512), 1))
    return Told(folder)


@pytest.mark.parametrize(("kind", "start"), [("prompts", [50_361, 31, 31]), ("lora", []), ("full", [])])
def test_labels_are_the_published_ones(kind: tuning.Kind, start: list[int], tmp_path: Path) -> None:
    """Lower-cased, no space in front; placeholders are not asked for, the start after them is; ends are filled up."""
    speech = Speech((tmp_path / "a.wav", tmp_path / "b.wav"), ("a", "b"), ("Hey", "I"))
    settings = train.Settings(method=kind, length=2)
    prepare = Prepare(letters(Marks.of(51_865)), train.tune(little(), settings), told(tmp_path, "ab"))
    wave = noise("wave", (RATE,), 0)
    batch = prepare([Mixed(wave, 0, 0), Mixed(wave, 1, 1)], speech)
    marks = [50_258, 50_259, 50_359, 50_363]
    assert batch.fed.tolist() == [[*start, *marks, 71, 68, 88], [*start, *marks, 72, 0, 0]]
    asked = [-100] * max(0, len(start) - 1) + (marks if start else marks[1:])
    assert batch.wanted.tolist() == [[*asked, 71, 68, 88, 50_257], [*asked, 72, 50_257, -100, -100]]
    blank = 2 * max(1, len(start))
    assert not batch.features[:, :, :blank].any()
    assert batch.features[:, :, blank : blank + 100].any(dim=1).all()
    assert not batch.features[:, :, blank + 100 :].any()


def test_only_utterances_that_fit_are_used(tmp_path: Path) -> None:
    lengths, texts = (1.0, 29.8, 1.0, 1.0), ("yes", "too long to hear", None, "n" * 440)
    for place, seconds in enumerate(lengths):
        soundfile.write(tmp_path / f"{place}.wav", noise("x", (round(seconds * RATE),), 0) * 0.1, RATE)
    speech = Speech(tuple(tmp_path / f"{place}.wav" for place in range(4)), ("a",) * 4, texts)
    prepare = Prepare(letters(Marks.of(51_865)), train.tune(little(), train.Settings()), told(tmp_path, "a"))
    assert [path.stem for path in prepare.usable(speech).paths] == ["0"]


def test_vectors_must_be_there_and_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of the two"):
        Told(None)
    np.save(tmp_path / "b.npy", np.zeros(256, np.float32))
    with pytest.raises(UsageError, match=r"no a\.npy for the speaker a"):
        Told(tmp_path).of("a", Path())
    with pytest.raises(UsageError, match=r"has shape \(256,\)"):
        Told(tmp_path).of("b", Path())


# -- what moves ----------------------------------------------------------------------------------


@pytest.fixture
def speech(tmp_path: Path) -> Speech:
    """Two speakers, four utterances each, of half a second."""
    lines = ["file,speaker,text"]
    for voice in "ab":
        for take in range(4):
            name = f"{voice}-{take}.wav"
            soundfile.write(tmp_path / name, 0.1 * noise(name, (RATE // 2,), 1), RATE, subtype="FLOAT")
            lines.append(f"{name},{voice},Words {take}")
    (tmp_path / "speech.csv").write_text("\n".join(lines) + "\n")
    return Speech.read(tmp_path / "speech.csv")


def settings_of(kind: tuning.Kind, **more: Any) -> train.Settings:
    return train.Settings(**{"method": kind, "length": 2, "steps": 6, "batch": 2, "lr": 1e-2, "every": 3, **more})


def fit(speech: Speech, out: Path, kind: tuning.Kind, base: Any = None, **more: Any) -> Any:
    base = base or little()
    return train.fit(speech, out, base, told(out.parent, speech.speakers), settings_of(kind, **more)), base


def may_move(kind: tuning.Kind, name: str) -> bool:
    """Of Whisper's own: nothing under prompts, some biases under LoRA, all but the sinusoids under full tuning."""
    if kind == "lora":
        return name.endswith(("q_proj.bias", "v_proj.bias"))
    return kind == "full" and "encoder.embed_positions" not in name


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_and_only_what_is_trained_moves(kind: tuning.Kind, speech: Speech, tmp_path: Path) -> None:
    base = little()
    before = {name: tensor.clone() for name, tensor in base.network.state_dict().items()}
    first = {name: t.clone() for name, t in train.tune(little(), settings_of(kind)).module.state_dict().items()}
    trainer, _ = fit(speech, tmp_path / "out", kind, base)
    losses = [float(row.split(",")[1]) for row in (tmp_path / "out" / "losses.csv").read_text().split()[1:]]
    assert losses[-1] < losses[0]
    for name, tensor in base.network.state_dict().items():
        assert torch.equal(tensor, before[name]) != may_move(kind, name), name
    for name, tensor in trainer.model.state_dict().items():
        still = name == model.MARK or "encoder.embed_positions" in name
        assert torch.equal(tensor, first[name]) == still, name


@pytest.mark.parametrize("kind", ["prompts", "lora"])
def test_a_training_that_broke_off_goes_on_to_the_bit(
    kind: tuning.Kind, speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(speech, tmp_path / "whole", kind)
    asked = iter(range(100))
    loss_of = train.loss_of

    def broken(*arguments: Any) -> Any:
        return loss_of(*arguments) if next(asked) < 8 else 1 / 0  # 3 steps, 4 trials, one more step

    monkeypatch.setattr(train, "loss_of", broken)
    with pytest.raises(ZeroDivisionError):
        fit(speech, tmp_path / "parts", kind)
    monkeypatch.undo()
    fit(speech, tmp_path / "parts", kind)
    for name in ("losses.csv", "validations.csv"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()
    for path in (tmp_path / "whole").glob("*.pt"):
        ours, theirs = (tensors(folder / path.name) for folder in (tmp_path / "parts", tmp_path / "whole"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), path.name


def tensors(path: Path) -> dict[str, Any]:
    content = torch.load(path, weights_only=True)
    return dict(content.get("model", content))


def test_a_second_stage_starts_where_the_first_ended(speech: Speech, tmp_path: Path) -> None:
    _, base = fit(speech, tmp_path / "one", "prompts")
    start = tmp_path / "one" / "best.pt"
    tuned = train.tune(base, settings_of("prompts", start=start))
    stored = torch.load(start, weights_only=True)["model"]
    assert all(torch.equal(tensor, stored[name]) for name, tensor in tuned.module.state_dict().items())
    sounds = tmp_path / "noise"
    sounds.mkdir()
    with pytest.raises(UsageError, match="no recordings there"):
        fit(speech, tmp_path / "two", "prompts", noise=sounds, start=start)
    soundfile.write(sounds / "n.wav", 0.1 * noise("n", (RATE,), 0), RATE)
    trainer, _ = fit(speech, tmp_path / "two", "prompts", noise=sounds, start=start, steps=1)
    assert trainer.step == 1
    with pytest.raises(UsageError, match=r"was trained on a Whisper of random weights"):
        train.tune(replace(base, random=None), settings_of("prompts", start=start))


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        train.Settings(steps=0)


# -- files ---------------------------------------------------------------------------------------


def mini(tmp_path: Path, kind: tuning.Kind) -> tuple[tuning.Tuning, dict[str, Path]]:
    """Something tuned on a random Whisper, every trained tensor filled, and the files that are left of it."""
    tuned = train.tune(train.Base.read("random-mini"), settings_of(kind))
    with torch.no_grad():
        for name, each in tuned.module.named_parameters():
            if each.requires_grad and kind != "full":
                each.copy_(0.3 * torch.from_numpy(noise(name, tuple(each.shape), 2)))
    found = {}
    for name, content in tuning.files(tuned).items():
        found[name] = tmp_path / name
        torch.save(content, found[name])
    return tuned, found


CLASSES = {"prompts": TSWhisper, "lora": TSWhisperLoRA, "full": TSWhisperFull}
OPTIONS = {
    "prompts": {"checkpoint": "ts-whisper.pt"},
    "lora": {"checkpoint": "ts-whisper-lora.pt", "speaker": "ts-whisper-lora-speaker.pt"},
    "full": {"checkpoint": "ts-whisper-full.pt", "whisper": "ts-whisper-full-whisper.pt"},
}
RANDOM: dict[str, Any] = {"weights": "random", "size": "mini", "max_tokens": 4}


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_what_is_trained_is_what_the_system_runs(kind: tuning.Kind, tmp_path: Path) -> None:
    """LoRA is folded there, and is not here; the MLPs are folded in."""
    tuned, found = mini(tmp_path, kind)
    options = {option: found[name] for option, name in OPTIONS[kind].items()}
    system = CLASSES[kind](**options, **RANDOM)
    system.load("cpu")
    assert system.random_weights == 0
    assert [path.name for path in system.weight_files()] == list(OPTIONS[kind].values())
    vectors, wave = noise("v", (2, 512), 0), noise("w", (2 * RATE,), 0)
    features = torch.stack([system._features(0.1 * wave)] * 2)
    fed = torch.tensor([[*([50_361, 31, 31] if kind == "prompts" else []), 50_258, 50_259, 50_359, 50_363, 5]] * 2)
    with system._told([Query(RATE, speaker_vector=vector) for vector in vectors]):
        heard = system._network.model.encoder(features).last_hidden_state
        ours = system._network.proj_out(
            system._network.model.decoder(input_ids=fed, encoder_hidden_states=heard).last_hidden_state
        )
    theirs = tuned.logits(features, torch.from_numpy(vectors), fed)
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert (theirs[0] - theirs[1]).abs().max() > 1e-3 * theirs.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_files_have_the_published_names(kind: tuning.Kind, states: Any, tmp_path: Path) -> None:
    """Those of the published code, which the fixtures have for one block more."""
    _, found = mini(tmp_path, kind)
    published = {"ts-whisper.pt": "deep mlp", "ts-whisper-lora.pt": "lora", "ts-whisper-lora-speaker.pt": "speaker",
                 "ts-whisper-full.pt": "speaker", "ts-whisper-full-whisper.pt": "whisper"}  # fmt: skip
    for name, path in found.items():
        content = torch.load(path, weights_only=True)
        third = ("blocks.2.", "mlp_encoder.2.", "mlp_decoder.2.")
        theirs = {key for key in states[published[name]] if not any(part in key for part in third)}
        ours = set(content.get("model_state_dict", content)) - {model.MARK, "encoder.positional_embedding"}
        assert ours == theirs, name


def test_random_weights_do_not_pass_for_a_system(tmp_path: Path, files: Path) -> None:
    """Beside another Whisper what was trained on them is refused, and says how it runs."""
    for kind in KINDS:
        _, found = mini(tmp_path, kind)
        options = {option: found[name] for option, name in OPTIONS[kind].items()} | {"whisper": files / "whisper.pt"}
        system = CLASSES[kind](**options)
        with pytest.raises(UsageError, match=r"random weights, to try the trainer.*--option weights=random"):
            system.load("cpu")
    whisper = Whisper(found["ts-whisper-full-whisper.pt"], tokenizer=files)
    with pytest.raises(UsageError, match="random weights, to try the trainer"):
        whisper.load("cpu")


def run(*arguments: str) -> Any:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_from_the_command_line_to_a_run(kind: tuning.Kind, speech: Speech, tmp_path: Path) -> None:
    told(tmp_path, speech.speakers)
    out = tmp_path / "out"
    done = run("tspbench.systems.ts_whisper.train", "--corpus", str(tmp_path / "speech.csv"), "--whisper",
               "random-mini", "--vectors", str(tmp_path), "--method", kind, "--steps", "2",
               "--out", str(out))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "7,701,632  Whisper" in done.stderr
    rows = [
        {"tspbench_manifest": 1, "name": "two", "kind": "tsasr", "sample_rate": RATE},
        {"trial_id": "a+b", "sources": [{"path": "a-0.wav", "role": "target"}, {"path": "b-0.wav"}],
         "query": {"speaker_vector": {"path": "a.npy"}}, "transcript": "words"},
    ]  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = [f"{option}={out / name}" for option, name in OPTIONS[kind].items()] + ["weights=random", "size=mini"]
    options = [part for each in given for part in ("--option", each)]
    done = run("tspbench", "run", "--system", tuning.SYSTEMS[kind], "--task", str(tmp_path / "manifest.jsonl"),
               "--metrics", "wer", *options, "--option", "max_tokens=4", "--out", str(tmp_path / "ran"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    weights = json.loads((tmp_path / "ran" / "run.json").read_text())["identity"]["system"]["weights"]
    assert weights["random"] == "seed 0"
    assert {key.partition(" ")[2] for key in weights} - {""} == set(OPTIONS[kind].values())


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_fall_on_real_speech(kind: tuning.Kind, tmp_path: Path) -> None:
    """A random Whisper of little size on real mixtures: that the trainer works, not how good the method is."""
    if not REAL.exists():
        pytest.skip("needs ../shared/data (real speech)")
    speech, base = Speech.read(REAL), train.Base.read("random-mini")
    before = {name: tensor.clone() for name, tensor in base.network.state_dict().items()}
    fit(speech, tmp_path / "out", kind, base, length=16, steps=60, every=60, batch=1, held_back=1)
    losses = [float(row.split(",")[1]) for row in (tmp_path / "out" / "losses.csv").read_text().split()[1:]]
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:10])
    moved = [name for name, tensor in base.network.state_dict().items() if not torch.equal(tensor, before[name])]
    assert all(may_move(kind, name) for name in moved)
