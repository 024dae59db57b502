"""TS-Whisper and its baselines: layouts, sizes, what moves in training, and what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.errors import MissingWeights, UsageError  # noqa: E402
from tspbench.systems.seeded import noise, randomise  # noqa: E402
from tspbench.systems.ts_whisper import lora, prompts  # noqa: E402
from tspbench.systems.ts_whisper.adapter import TSWhisper, TSWhisperFull, TSWhisperLoRA  # noqa: E402
from tspbench.systems.ts_whisper.speaker import Vectors  # noqa: E402
from tspbench.systems.whisper import decode, model  # noqa: E402
from tspbench.systems.whisper.vocabulary import Marks  # noqa: E402
from tspbench.types import Query, QueryKind  # noqa: E402

SMALL = model.Dims(width=64, encoder_layers=2, decoder_layers=2, heads=2, inner=128)
PUBLISHED = {
    "tiny": (246_144, 1.44),
    "base": (360_960, 3.53),
    "small": (688_896, 14.9),
    "medium": (1_311_744, 51.8),
    "large-v2": (1_967_360, 107.1),
}
"""Parameters deployed, and in training in millions, of 16 prompts in all blocks; counted on the published module."""


def count(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("size", PUBLISHED)
def test_parameters_are_as_many_as_published(size: str) -> None:
    width, layers = model.SIZES[size]
    deployed, training = PUBLISHED[size]
    assert count(prompts.build(prompts.Shape(width, 16, layers))) == deployed
    with torch.device("meta"):
        whole = prompts.Prompts(prompts.Shape(width, 16, layers, mlp=True))
    assert count(whole) / 1e6 == pytest.approx(training, rel=0.005)


@pytest.mark.parametrize("kind", ["shallow", "deep", "deep mlp"])
def test_names_are_the_published_ones(kind: str, states: Any) -> None:
    module = prompts.build(prompts.Shape.of(states[kind]))
    assert shapes(module.state_dict()) == shapes(states[kind])
    assert shapes(prompts.convert(states[kind])) == shapes(states[f"{kind} deployed"])


def shapes(state: Any) -> Any:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_a_training_checkpoint_and_its_deployed_form_are_one(states: Any) -> None:
    """The four tensors say what the module with MLPs says."""
    whole = prompts.build(prompts.Shape.of(states["deep mlp"]))
    whole.load_state_dict(states["deep mlp"])
    deployed = prompts.build(prompts.Shape.of(states["deep mlp deployed"]))
    deployed.load_state_dict(prompts.convert(states["deep mlp"]))
    vectors = torch.from_numpy(np.ones((2, 512), np.float32))
    for name in ("speaker", "encoder", "decoder"):
        torch.testing.assert_close(getattr(whole(vectors), name), getattr(deployed(vectors), name))
    assert not torch.equal(deployed.soft_prompt_extra_encoder, states["deep mlp"][prompts.ENCODER])


def small_network(seed: int = 3) -> Any:
    return model.randomise(model.build(SMALL), seed)


def test_training_moves_the_prompts_alone_and_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = small_network().requires_grad_(False)
    module = prompts.Prompts(prompts.Shape(64, 4, 2, mlp=True))
    before = {name: tensor.clone() for name, tensor in [*network.state_dict().items(), *module.state_dict().items()]}
    mel, vectors = torch.randn(2, 80, 3000), torch.randn(2, 512)
    fed = torch.tensor([[50_361, 31, 31, 31, 31, 50_258, 50_259, 50_359, 50_363, 5, 6, 7]]).repeat(2, 1)
    target = torch.cat([fed[:, 1:], torch.full((2, 1), 50_257)], dim=1)
    target[:, :4] = -100
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        with prompts.inserted(network, module(vectors)):
            logits = network(input_features=mel, decoder_input_ids=fed).logits
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    for name, tensor in module.state_dict().items():
        assert not torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("mlp", [False, True])
@torch.inference_mode()
def test_several_prompts_in_one_pass_are_as_many_passes(mlp: bool) -> None:
    """All three hear the same mixture, so what differs is what they are told: modules, and vectors."""
    network, marks = small_network(), Marks.of(SMALL.tokens)
    modules = [randomise(prompts.build(prompts.Shape(64, 4, 2, mlp)), seed) for seed in range(3)]
    mel = torch.from_numpy(noise("features", (80, 3000), 0)).expand(3, -1, -1)
    vectors = torch.from_numpy(noise("vectors", (3, 512), 0))
    alone = [module(vector[None]) for module, vector in zip(modules, vectors, strict=True)]
    together = prompts.Rows(*(torch.cat([getattr(r, n) for r in alone]) for n in ("speaker", "encoder", "decoder")))
    previous = (marks.placeholder,) * 4
    fed = torch.tensor([marks.prefix(marks.language("en"), timestamps=False, previous=previous)]).repeat(3, 1)

    def heard(rows: prompts.Rows, count: int) -> tuple[Any, Any, list[list[int]]]:
        with prompts.inserted(network, rows):
            states = network.model.encoder(mel[:count]).last_hidden_state
            found = network.model.decoder(input_ids=fed[:count], encoder_hidden_states=states).last_hidden_state
            return states, network.proj_out(found), decode.write_down(network, marks, states, fed[:count], most=6)

    ours = heard(together, 3)
    for row, rows in enumerate(alone):
        theirs = heard(rows, 1)
        for one, single in zip(ours[:2], theirs[:2], strict=True):
            assert (one[row] - single[0]).abs().max() <= 1e-5 * single.abs().max()
        assert ours[2][row] == theirs[2][0]
    for one in ours[:2]:
        for a, b in itertools.combinations(one, 2):
            assert (a - b).abs().max() > 0.01 * one.abs().max()


def test_hooks_are_gone_afterwards() -> None:
    network, mel = small_network(), torch.randn(1, 80, 3000)
    plain = network.model.encoder(mel).last_hidden_state
    with prompts.inserted(network, prompts.build(prompts.Shape(64, 4, 2))(torch.randn(1, 512))):
        told = network.model.encoder(mel).last_hidden_state
    assert torch.equal(network.model.encoder(mel).last_hidden_state, plain)
    assert not torch.equal(told, plain)


def test_lora_places_and_missing_parts(states: Any) -> None:
    places = {f"model.{model.renamed(name.removeprefix('model.'))}" for name in states["lora"] if "lora_" in name}
    network = model.build(model.Dims.of(model.convert(states["whisper"])))
    assert set(lora.expected(network)) == places
    one = next(name for name in states["lora"] if name.endswith("lora_B"))
    with pytest.raises(UsageError, match="do not fit this Whisper"):
        lora.fold(network, {name: tensor for name, tensor in states["lora"].items() if name != one})
    pair = (one, one.replace("lora_B", "lora_A"))
    with pytest.raises(UsageError, match="2 LoRA tensors are missing"):
        lora.fold(network, {name: tensor for name, tensor in states["lora"].items() if name not in pair})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": 51_864}, r"English-only \(\.en\)"),
        ({"tokens": 51_866, "mels": 128}, "large-v3 or later"),
        ({"decoder_layers": 1}, "turbo, distilled"),
    ],
)
def test_other_whispers_are_refused_with_the_reason(changes: dict[str, int], said: str) -> None:
    dims = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__} | changes
    with pytest.raises(UsageError, match=said):
        model.refuse_unpromptable(model.Dims(**dims))


def load(cls: Any, *arguments: Any, **options: Any) -> Any:
    system = cls(*arguments, **options)
    system.load("cpu")
    return system


def test_files_of_another_kind_are_named(files: Path, tmp_path: Path) -> None:
    whisper = files / "whisper.pt"
    with pytest.raises(UsageError, match=r"speaker\.pt is not a prompt module of TS-Whisper"):
        load(TSWhisper, files / "speaker.pt", whisper)
    with pytest.raises(UsageError, match="holds no lora_A and lora_B"):
        load(TSWhisperLoRA, files / "deep.pt", files / "speaker.pt", whisper)
    with pytest.raises(UsageError, match="holds no spk_embedding1"):
        load(TSWhisperFull, files / "deep.pt", whisper)
    with pytest.raises(UsageError, match="is not Whisper"):
        load(TSWhisper, files / "deep.pt", files / "speaker.pt", tokenizer=files)
    other = prompts.build(prompts.Shape(256, 4, 3)).state_dict()
    torch.save(other, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="for a Whisper of width 256"):
        load(TSWhisper, tmp_path / "other.pt", whisper)


def test_one_file_may_hold_all_that_was_tuned(files: Path) -> None:
    both = load(TSWhisperFull, files / "system.pt", files / "system.pt")
    apart = load(TSWhisperFull, files / "speaker.pt", files / "whisper.pt")
    for one, two in zip(both._network.parameters(), apart._network.parameters(), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(both._speaker.weight, apart._speaker.weight)


def test_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TSPBENCH_WEIGHTS", raising=False)
    for cls in (TSWhisper, TSWhisperLoRA, TSWhisperFull):
        with pytest.raises(MissingWeights, match=r"multilingual\.tiktoken"):
            cls().weight_files()


def test_speaker_vectors() -> None:
    vectors = Vectors("")
    assert vectors.queries == {QueryKind.SPEAKER_VECTOR}
    assert Vectors("resemblyzer").queries == {QueryKind.SPEAKER_VECTOR, QueryKind.ENROLMENT}
    found = vectors.of([Query(16_000, speaker_vector=np.ones((1, 512), np.float32))])
    assert found.shape == (1, 512)
    with pytest.raises(UsageError, match=r"has shape \(256,\).*512"):
        vectors.of([Query(16_000, speaker_vector=np.ones(256, np.float32))])
    with pytest.raises(UsageError, match="--option encoder=wavlm-sv=MODEL"):
        vectors.of([Query(16_000, enrolment=(np.ones(16_000, np.float32),))])


def manifest(folder: Path) -> Path:
    """Two trials of two tones each, with speaker vectors."""
    import soundfile

    time = np.arange(16_000) / 16_000
    for name, pitch in (("a", 200), ("b", 310)):
        soundfile.write(folder / f"{name}.wav", 0.1 * np.sin(2 * np.pi * pitch * time), 16_000)
        np.save(folder / f"{name}.npy", np.full((1, 512), pitch / 100, np.float32))
    header = {"tspbench_manifest": 1, "name": "two-tones", "kind": "tsasr", "sample_rate": 16_000}
    rows = [
        {
            "trial_id": f"{target}+{other}",
            "sources": [{"path": f"{target}.wav", "role": "target"}, {"path": f"{other}.wav"}],
            "query": {"speaker_vector": {"path": f"{target}.npy"}},
            "transcript": "good morning",
        }
        for target, other in ("ab", "ba")
    ]
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [header, *rows]))
    return path


def invoke(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)
    done.output = " ".join((done.stdout + done.stderr).split())
    return done


TUNED = {"ts-whisper": ["deep mlp"], "ts-whisper-lora": ["lora", "speaker"], "ts-whisper-full": ["speaker"]}


@pytest.mark.parametrize("name", TUNED)
def test_published_layouts_run_through_the_command_line(name: str, files: Path, tmp_path: Path) -> None:
    given = dict(zip(("checkpoint", "speaker"), TUNED[name], strict=False)) | {"whisper": "whisper"}
    options = [part for option, kind in given.items() for part in ("--option", f"{option}={files / kind}.pt")]
    done = invoke("run", "--system", name, "--task", str(manifest(tmp_path)), "--metrics", "wer", *options,
                  "--option", "max_tokens=4", "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 0, done.output
    system = json.loads((tmp_path / "out" / "run.json").read_text())["identity"]["system"]
    files_named = {key.partition(" ")[2] for key in system["weights"]}
    assert files_named == {*(f"{kind}.pt" for kind in given.values() if kind == "whisper"), "multilingual.tiktoken",
                           *(f"{kind}.pt" for kind in TUNED[name])}  # fmt: skip
    assert str(files) not in json.dumps(system)


@pytest.mark.slow
def test_an_enrolment_will_do_with_an_encoder(files: Path, tmp_path: Path) -> None:
    """On a task that offers enrolments; the encoder is a WavLM of little size with vectors of 512."""
    import transformers

    torch.manual_seed(0)
    config = transformers.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2, conv_dim=(16,) * 7, tdnn_dim=(16, 16, 16, 16, 32), xvector_output_dim=512,
    )  # fmt: skip
    encoder = tmp_path / "wavlm"
    transformers.WavLMForXVector(config).save_pretrained(encoder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(encoder)
    done = invoke("run", "--system", "ts-whisper", "--task", "tsasr-demo", "--limit", "4", "--metrics", "wer",
                  "--option", f"checkpoint={files / 'deep.pt'}", "--option", f"whisper={files / 'whisper.pt'}",
                  "--option", f"encoder=wavlm-sv={encoder}", "--option", "max_tokens=4",
                  "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 0, done.output
    weights = json.loads((tmp_path / "out" / "run.json").read_text())["identity"]["system"]["weights"]
    assert any(key.endswith("model.safetensors") for key in weights)


def test_a_task_without_vectors_is_refused_with_what_to_bring(tmp_path: Path) -> None:
    done = invoke("run", "--system", "ts-whisper", "--option", "weights=random", "--task", "tsasr-demo",
                  "--limit", "2", "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 2
    assert "offers enrolment. Give each trial a vector of 512 numbers" in done.output
    assert not (tmp_path / "out").exists()
