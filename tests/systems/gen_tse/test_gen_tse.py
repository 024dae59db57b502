"""gen-tse: shapes, what is trained, the paper's ablations, checkpoints, and the System contract."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.errors import MissingWeights, UsageError  # noqa: E402
from tspbench.systems.gen_tse import checkpoint, estimator, features, lora, model, text  # noqa: E402
from tspbench.systems.gen_tse.adapter import GenTse  # noqa: E402
from tspbench.systems.gen_tse.config import PROJECTIONS, Config, PromptConfig  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.whisper.vocabulary import Marks, Vocabulary  # noqa: E402
from tspbench.types import Query  # noqa: E402

RATE = 16_000


# -- shapes and equalities -----------------------------------------------------------------------


def test_shapes(network: Any, heard: Any, config: Any) -> None:
    mixture, enrolment, speaker, mel, *_ = heard
    with torch.no_grad():
        tokens = network(model.fill_up(mixture, 200), enrolment, speaker)
        assert tokens.shape == (2, 1 + 25 + 100, 32)
        start = torch.zeros(2, 86, 80)
        assert network.speak(tokens[:, 26:76], speaker, start, 2).shape == mel.shape
        spoken, written = network.losses(*heard)
    assert spoken.shape == written.shape == ()
    assert torch.isfinite(spoken + written)


def test_by_default_it_is_whisper_small_with_ten_euler_steps() -> None:
    config = Config()
    assert (config.whisper.width, config.window, config.flow.steps) == (768, 30 * RATE, 10)
    assert config.prompt.length == 1 + 250
    assert Config.of(config.plain(), "x") == config


def test_without_its_prompt_it_is_whispers_encoder(config: Any) -> None:
    """Fresh LoRA changes nothing, and each mixture frame keeps Whisper's own position."""
    from tspbench.systems.whisper.model import build

    torch.manual_seed(0)
    whisper = build(config.whisper)
    mel = torch.from_numpy(noise("mel", (2, 80, 200), 1))
    with torch.no_grad():
        expected = whisper.model.encoder(mel).last_hidden_state
        network = model.build(config, whisper).eval()
        network.prompt.forward = lambda *told: []
        torch.testing.assert_close(network(mel, None, None), expected, rtol=1e-5, atol=1e-5)


def test_lora_is_the_folded_weight() -> None:
    base = torch.nn.Linear(6, 5)
    adapted = lora.LoraLinear(base, lora.LoraConfig(rank=2, alpha=3.0))
    torch.nn.init.normal_(adapted.lora_B)
    x = torch.randn(4, 6)
    folded = base.weight + 1.5 * adapted.lora_B @ adapted.lora_A
    torch.testing.assert_close(adapted(x), x @ folded.T + base.bias)


def test_tokens_are_stretched_by_time() -> None:
    """A ramp stays a ramp: value = time, at the middles of the frames."""
    step = 256 / 22050 * 50
    ramp = ((torch.arange(50) + 0.5) / 50)[None, :, None]
    found = estimator.stretched(ramp, 86, step)[0, :, 0]
    expected = (torch.arange(86) + 0.5) * 256 / 22050
    torch.testing.assert_close(found[1:85], expected[1:85], rtol=0, atol=1e-6)


# -- what is trained -----------------------------------------------------------------------------


def reached(network: Any, heard: Any) -> set[str]:
    network.loss(*heard).backward()
    return {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}


def papers(network: Any) -> set[str]:
    """Flow, LoRA, enrolment positions, and the speaker's linear map that feeds the prompt."""
    updates = {
        f"whisper.model.encoder.layers.{layer}.self_attn.{name}.lora_{half}"
        for layer in range(2) for name in PROJECTIONS for half in "AB"
    }  # fmt: skip
    flow = {name for name, _ in network.named_parameters() if name.startswith("estimator.")}
    return updates | flow | {"prompt.positions", "prompt.speaker.weight", "prompt.speaker.bias"}


def test_gradients_reach_exactly_what_the_paper_trains(network: Any, heard: Any) -> None:
    assert set(model.trained(network)) == papers(network)
    assert reached(network, heard) == papers(network)


def test_each_branch_alone_reaches_the_shared_part(network: Any, heard: Any) -> None:
    shared = {name for name in papers(network) if not name.startswith("estimator.")}
    _, written = network.losses(*heard)
    written.backward()
    found = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert found == shared


def test_the_speaker_map_may_stay(config: Any, heard: Any) -> None:
    network = model.build(replace(config, train_speaker_map=False))
    model.randomise(network, 1)
    assert papers(network) - reached(network, heard) == {"prompt.speaker.weight", "prompt.speaker.bias"}


# -- the paper's ablations -----------------------------------------------------------------------


def test_without_the_text_branch(config: Any, heard: Any) -> None:
    network = model.build(replace(config, text_branch=False))
    model.randomise(network, 1)
    assert not [name for name, _ in network.named_parameters() if "decoder" in name or "proj_out" in name]
    _, written = network.losses(*heard)
    assert written == 0
    assert reached(network, heard) == papers(network)


def test_without_the_enrolment_prompt(config: Any, heard: Any) -> None:
    network = model.build(replace(config, prompt=replace(config.prompt, enrolment=False)))
    model.randomise(network, 1)
    assert reached(network, heard) == papers(network) - {"prompt.positions"}
    mixture, _, speaker, *_ = heard
    with torch.no_grad():
        tokens = network(model.fill_up(mixture, 200), None, speaker)
        others = network(model.fill_up(mixture, 200), None, speaker.flip(0))
    assert tokens.shape[1] == 1 + 100
    assert not torch.allclose(tokens[:, 1:], others[:, 1:])


def test_the_enrolment_prompt_is_heard(network: Any, heard: Any) -> None:
    mixture, enrolment, speaker, *_ = heard
    with torch.no_grad():
        first = network(model.fill_up(mixture, 200), enrolment, speaker)
        second = network(model.fill_up(mixture, 200), enrolment.flip(0), speaker)
    assert (first[:, 26:] - second[:, 26:]).abs().max() > 1e-3


def test_one_prompt_is_needed() -> None:
    with pytest.raises(UsageError, match="speaker frame, enrolment frames or both"):
        Config(prompt=PromptConfig(speaker=False, enrolment=False))


# -- text ----------------------------------------------------------------------------------------


def test_texts_become_the_tokens_that_tokenizers_makes() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("regex")
    trained = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
    said = ["the cat sat on the mat", "that's the hat that they'd had", "a naïve fiancé, at 12 o'clock"] * 3
    trained.train_from_iterator(said, vocab_size=340, min_frequency=1)
    letters = text.letters(Marks.of(51_865)).pieces
    names = dict(zip(sorted(letters.values(), key=lambda b: _shown(b[0])), range(256), strict=True))
    table = {_shown(byte[0]): byte for byte in names}
    pieces = {number: b"".join(table[c] for c in piece) for piece, number in trained.get_vocab().items()}
    encode = text.Encoder(Vocabulary(pieces, Marks.of(51_865)))
    for line in [*said[:3], "hats chat", "it’s 1234 — x"]:
        assert encode(line) == trained.encode(line).ids


def _shown(byte: int) -> str:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return str(bytes_to_unicode()[byte])


def test_letters_need_no_vocabulary() -> None:
    marks = Marks.of(51_865)
    vocabulary = text.letters(marks)
    tokens = text.Encoder(vocabulary)("a naïve cat")
    assert tokens[0] == marks.blank
    assert vocabulary.text(tokens) == "a naïve cat"
    assert len(tokens) == len(" a naïve cat".encode())


# -- checkpoints ---------------------------------------------------------------------------------


def test_missing_weights_say_that_none_are_public_and_how_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    with pytest.raises(MissingWeights, match="no public weights") as error:
        GenTse().weight_files()
    for said in ("python -m tspbench.systems.gen_tse.train", "--option checkpoint=", "weights=random"):
        assert said in str(error.value)


def test_a_checkpoint_is_read_back(network: Any, files: dict[str, Path]) -> None:
    found = checkpoint.load(files["checkpoint"])
    assert found.config == network.config
    assert all(torch.equal(found.state_dict()[key], tensor) for key, tensor in network.state_dict().items())


def test_another_file_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    torch.save({"model": {"x": torch.zeros(1)}, "config": {}}, tmp_path / "other.pt")
    for path in (tmp_path / "other.pt", files["vocoder"]):
        with pytest.raises(UsageError, match=r"not a checkpoint|holds no weights"):
            checkpoint.read(path)


def test_published_whisper_has_a_place_for_every_tensor(config: Any) -> None:
    from tspbench.systems.whisper.model import build

    network = model.build(config)
    converted = model.convert(build(config.whisper).state_dict(), config)
    own = {name for name in network.state_dict() if name.startswith("whisper.") and "lora_" not in name}
    assert set(converted) == own


# -- the contract --------------------------------------------------------------------------------


@pytest.fixture
def system(files: dict[str, Path]) -> GenTse:
    pytest.importorskip("_webrtcvad")
    system = GenTse(**files, max_tokens=3)
    system.load("cpu")
    return system


def asked(seconds: float, seed: int = 0) -> tuple[Any, Query]:
    samples = 0.1 * noise(f"mixture {seed}", (round(seconds * RATE),), seed)
    return samples, Query(RATE, enrolment=(0.1 * noise(f"enrolment {seed}", (RATE,), seed),))


def test_batches_lengths_and_levels(system: GenTse) -> None:
    pairs = [asked(1.3, 1), asked(0.05, 2), asked(4.7, 3)]  # the last is three stretches
    lengths = np.array([len(mixture) for mixture, _ in pairs])
    batch = np.zeros((3, lengths.max()), np.float32)
    for row, (mixture, _) in zip(batch, pairs, strict=True):
        row[: len(mixture)] = mixture
    together = system.extract(batch, lengths, [query for _, query in pairs])
    for row, (mixture, query) in zip(together, pairs, strict=True):
        alone = system.extract(mixture[None], np.array([len(mixture)]), [query])[0]
        np.testing.assert_allclose(row[: len(mixture)], alone, atol=1e-5)
        assert np.isfinite(alone).all()
        assert alone.any()
    mixture, query = pairs[0]
    quiet = system.extract(1e-2 * mixture[None], lengths[:1], [query])[0]
    np.testing.assert_allclose(100 * quiet, together[0, : lengths[0]], atol=1e-3 * np.abs(together[0]).max())
    assert all(isinstance(said, str) for said in system.transcribe(batch, lengths, [query for _, query in pairs]))


def test_silence_stays_silent(system: GenTse) -> None:
    _, query = asked(1.0)
    silence = np.zeros((1, RATE), np.float32)
    assert not system.extract(silence, np.array([RATE]), [query]).any()
    assert system.transcribe(silence, np.array([RATE]), [query]) == [""]
    mute = replace(query, enrolment=(silence[0],))
    assert np.isfinite(system.extract(asked(1.0)[0][None], np.array([RATE]), [mute])).all()


def test_steps_and_seed_are_options(files: dict[str, Path]) -> None:
    mixture, query = asked(1.0)
    found = []
    for options in ({}, {"steps": 3}, {"steps": 6}, {"seed": 1}):
        system = GenTse(**files, **options)
        system.load("cpu")
        found.append(system.extract(mixture[None], np.array([RATE]), [query]))
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2])
    assert not np.allclose(found[0], found[3])
    for bad in ({"steps": 0}, {"max_tokens": 0}):
        with pytest.raises(UsageError):
            GenTse(**bad)


def test_without_a_text_branch_it_does_not_transcribe(config: Any, files: dict[str, Path]) -> None:
    silent = model.build(replace(config, text_branch=False))
    content = {"model": silent.state_dict(), "config": {"network": silent.config.plain()}}
    torch.save(content, files["checkpoint"])
    system = GenTse(**files)
    system.load("cpu")
    mixture, query = asked(0.5)
    assert system.extract(mixture[None], np.array([len(mixture)]), [query]).shape == (1, len(mixture))
    with pytest.raises(UsageError, match="without its text branch"):
        system.transcribe(mixture[None], np.array([len(mixture)]), [query])


def test_a_mel_covers_the_samples(config: Any) -> None:
    for length in (1, 319, 320, 16_000, 31_999):
        tokens, frames = features.frames(length, config)
        assert (tokens - 1) * 320 < length <= tokens * 320
        assert (frames - 1) * 256 / 22050 < length / RATE <= frames * 256 / 22050


@pytest.mark.slow
@pytest.mark.parametrize("task", ["tse-demo", "tsasr-demo"])
def test_a_checkpoint_runs_through_the_command_line(files: dict[str, Path], tmp_path: Path, task: str) -> None:
    pytest.importorskip("_webrtcvad")
    options = [f"--option={name}={path}" for name, path in {**files, "max_tokens": 4}.items()]
    command = [sys.executable, "-m", "tspbench", "run", "--system", "gen-tse", *options, "--task", task, "--limit", "2"]
    metrics = ["--metrics", "wer" if task == "tsasr-demo" else "pesq_wb", "--out", str(tmp_path / "run")]
    done = subprocess.run([*command, *metrics], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
