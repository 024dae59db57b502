"""Runs openai-whisper with TS-Whisper's published code on seeded weights and writes what they give; see README.md.

Usage: python make_fixtures.py PATH_TO_A_CHECKOUT_OF_TS_WHISPER [small|tiny …]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tspbench.systems.seeded import noise, seeded

HERE = Path(__file__).parent
SEED = 20231219
STRIDE = 997
WORDS = 24
"""Tokens that are written down greedily."""
SIZES = {
    "small": {"n_audio_state": 128, "n_audio_head": 2, "n_audio_layer": 3},
    "tiny": {"n_audio_state": 384, "n_audio_head": 6, "n_audio_layer": 4},
}
SECONDS = (3.0, 10.0, 1.0, 6.0)
BATCHES = {"1": 1, "4": 4}
PROMPTED = {"shallow": (4, False, False), "deep": (4, True, False), "deep mlp": (16, True, True)}
"""Length, deep, with MLPs."""


def waveforms(count: int) -> list[np.ndarray]:
    """Noise under a slow envelope beside a tone, of 3, 10, 1 and 6 s; the third is silence."""
    found = []
    for index, seconds in enumerate(SECONDS[:count]):
        time = np.arange(round(seconds * 16_000)) / 16_000
        envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
        wave = 0.1 * noise(f"mixture {index}", time.shape, SEED) * envelope + 0.2 * np.sin(2 * np.pi * 440 * time)
        found.append((wave * (index != 2)).astype(np.float32))
    return found


def vectors(count: int) -> np.ndarray:
    return noise("speaker vectors", (4, 512), SEED)[:count]


def text(count: int) -> np.ndarray:
    """Tokens to feed the decoder, (count, 9)."""
    return (np.arange(count * 9).reshape(count, 9) * 7919 + 11) % 50_000


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Soft prompts have variance 1: as loud as what they stand beside."""
    return noise(name, shape, SEED) if name.startswith("soft_prompt") else seeded(name, shape, SEED)


def fill(module: torch.nn.Module) -> dict[str, list[int]]:
    """Every trained tensor from its name; the names and shapes of all of them."""
    for name, tensor in module.state_dict().items():
        if name != "encoder.positional_embedding":
            tensor.copy_(torch.from_numpy(drawn(name, tuple(tensor.shape))))
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


def whisper_of(size: dict[str, int]) -> Any:
    import whisper

    text_size = {key.replace("audio", "text"): value for key, value in size.items()}
    dims = {"n_mels": 80, "n_vocab": 51_865, "n_audio_ctx": 1500, "n_text_ctx": 448}
    return whisper.model.Whisper(whisper.model.ModelDimensions(**dims, **size, **text_size)).eval()


def mels(count: int, context: int | None) -> torch.Tensor:
    """Features as the published loader makes them; ``context`` None: as Whisper's own, the waveform filled up."""
    import whisper

    found = []
    for wave in map(torch.from_numpy, waveforms(count)):
        if context is None:
            found.append(whisper.log_mel_spectrogram(whisper.pad_or_trim(wave)))
            continue
        mel = torch.cat([torch.zeros(80, 2 * (1 + context)), whisper.log_mel_spectrogram(wave)], dim=1)
        found.append(whisper.pad_or_trim(mel, 3000))
    return torch.stack(found)


def heard(model: Any, mel: torch.Tensor, context: int, **options: Any) -> dict[str, np.ndarray]:
    """Encoder output, logits of a fixed text, language, and greedy tokens."""
    from whisper.decoding import DecodingOptions, DecodingTask
    from whisper.tokenizer import get_tokenizer

    tokens = get_tokenizer(multilingual=True, task="transcribe")
    prompt = [tokens.sot_prev, *tokens.encode("@" * context)] if context else []
    prefix = torch.tensor([*prompt, tokens.sot, 50_259, tokens.transcribe, tokens.no_timestamps])
    fed = torch.cat([prefix.expand(len(mel), -1), torch.from_numpy(text(len(mel)))], dim=1)
    states = model.encoder(mel)
    found = {"encoder": strided(states), "logits": strided(model.decoder(fed, states))}
    settings = {"fp16": False, "sample_len": WORDS, "prompt": "@" * context or None}
    for name, more in (("tokens", {"language": "en"}), ("detected", {}), ("timed", {"language": "en", "timed": True})):
        timed = more.pop("timed", False)
        options = DecodingOptions(without_timestamps=not timed, **settings, **more)
        results = DecodingTask(model, options).run(mel)
        found[name] = padded([result.tokens for result in results])
        if name == "detected":
            found["language"] = np.array([result.language for result in results])
    return found


def padded(rows: list[list[int]]) -> np.ndarray:
    return np.array([row + [-1] * (WORDS - len(row)) for row in rows])


def strided(x: torch.Tensor) -> np.ndarray:
    """Every 997th number of each item."""
    return x.flatten(1)[:, ::STRIDE].numpy()


@contextmanager
def prompted(evaluation: Any, model: Any, module: Any, xvec: torch.Tensor) -> Iterator[None]:
    """The steps of the published test_, up to the decoding."""
    from whisper.model import ResidualAttentionBlock

    hooks, prompts = evaluation.install_hooks(model, depth=module.depth)
    blocks = [
        [m for m in part.modules() if isinstance(m, ResidualAttentionBlock)] for part in (model.encoder, model.decoder)
    ]
    for block in blocks[0][: module.depth]:
        prompts[block] = None
    prompts[model.decoder.token_embedding] = None
    for block in blocks[1][1 : module.depth]:
        prompts[block] = None
    for place, prompt in zip(prompts.keys(), module(xvec), strict=True):
        prompts[place] = prompt
    yield
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def fixtures(label: str, size: dict[str, int]) -> None:
    import evaluation_lora
    import evaluation_pt
    import loralib
    import training_lora
    from model.prompting import Prompting, Prompting_len0

    model = whisper_of(size)
    found: dict[str, Any] = {}
    keys = {"whisper": fill(model)}
    found |= over(model, "plain", None, lambda count: null())
    for name, (length, deep, mlp) in PROMPTED.items():
        depth = size["n_audio_layer"] if deep else 1
        module = Prompting(size["n_audio_state"], length, use_mlp=mlp, depth=depth).eval()
        keys[name] = fill(module)

        def told(count: int, module: Any = module) -> Any:
            return prompted(evaluation_pt, model, module, torch.from_numpy(vectors(count)))

        found |= over(model, name, length, told)
        module.reparameterization()
        keys[f"{name} deployed"] = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
    speaker = Prompting_len0(size["n_audio_state"])
    keys["speaker"] = fill(speaker)
    weight, _ = evaluation_lora.install_forward_hook(model)

    def first_frame(count: int) -> Any:
        weight[model.encoder.conv2] = speaker(torch.from_numpy(vectors(count)))[0]
        return null()

    found |= over(model, "full", 0, first_frame)
    training_lora.process_model(model)
    system = torch.nn.Module()
    system.model = model
    for name, tensor in loralib.lora_state_dict(system, bias="lora_only").items():
        tensor.copy_(torch.from_numpy(drawn(name, tuple(tensor.shape))))
    keys["lora"] = {k: list(v.shape) for k, v in loralib.lora_state_dict(system, bias="lora_only").items()}
    model.eval()
    found |= over(model, "lora", 0, first_frame)
    write(label, found, keys)


@contextmanager
def null() -> Iterator[None]:
    yield


def over(model: Any, name: str, context: int | None, told: Callable[[int], Any]) -> dict[str, Any]:
    """One kind of conditioning over all batches."""
    found = {}
    for batch, count in BATCHES.items():
        mel = mels(count, context)
        with told(count):
            found |= {f"{name} {batch} {key}": value for key, value in heard(model, mel, context or 0).items()}
        if name in ("plain", "deep") and count > 1:
            found[f"{name} {batch} mel"] = strided(mel)
    return found


def write(label: str, found: dict[str, Any], keys: dict[str, Any]) -> None:
    np.savez_compressed(HERE / f"published-{label}.npz", **found)
    rows = ",\n".join(f"{json.dumps(kind)}: {json.dumps(named)}" for kind, named in keys.items())
    (HERE / f"published-{label}-keys.json").write_text("{\n" + rows + "\n}\n", encoding="utf-8")
    print(label, {name: value.shape for name, value in found.items()})


def marks() -> None:
    """The numbers of openai-whisper's tokens, and some of its texts."""
    from whisper.tokenizer import LANGUAGES, get_tokenizer

    kinds = {51_864: (False, 99), 51_865: (True, 99), 51_866: (True, 100)}
    names = ("eot", "sot", "translate", "transcribe", "sot_lm", "sot_prev", "no_speech", "no_timestamps")
    content: dict[str, Any] = {}
    for size, (multilingual, languages) in kinds.items():
        told = {"language": "de", "task": "transcribe"} if multilingual else {}
        tokens = get_tokenizer(multilingual, num_languages=languages, **told)
        never = {*tokens.non_speech_tokens, tokens.transcribe, tokens.translate, tokens.sot, tokens.sot_prev}
        samples = ["Hello, world.", "naïve café 東京 🎵", "@@@@", " it's 1.20 o'clock"]
        content[str(size)] = {
            **{name: getattr(tokens, name) for name in names},
            "first_time": tokens.timestamp_begin,
            "never": sorted(never | {tokens.sot_lm, tokens.no_speech}),
            "blank": tokens.encode(" ")[0],
            "placeholder": tokens.encode("@")[0],
            "german": list(tokens.sot_sequence_including_notimestamps),
            "texts": [[sample, tokens.encode(sample)] for sample in samples],
            "languages": list(LANGUAGES)[:languages] if multilingual else None,
        }
    (HERE.parent / "whisper" / "published-tokens.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    torch.set_num_threads(2)
    marks()
    for kind in sys.argv[2:] or SIZES:
        fixtures(kind, SIZES[kind])
