"""The port beside openai-whisper and the published hooks, on equal weights: see README.md."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.systems.ts_whisper.adapter import TSWhisper, TSWhisperFull, TSWhisperLoRA  # noqa: E402
from tspbench.systems.whisper.adapter import Whisper  # noqa: E402
from tspbench.types import Query  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-4
KINDS = ("plain", "shallow", "deep", "deep mlp", "full", "lora")
WORDS = 24


def system_of(kind: str, files: Path, **options: Any) -> Any:
    """The adapter, by way of files in the published layouts."""
    options = {"max_tokens": WORDS, **options}
    if kind == "plain":
        return Whisper(files / "whisper.pt", **options)
    if kind == "full":
        return TSWhisperFull(files / "speaker.pt", files / "whisper.pt", **options)
    if kind == "lora":
        return TSWhisperLoRA(files / "lora.pt", files / "speaker.pt", files / "whisper.pt", **options)
    return TSWhisper(files / f"{kind}.pt", files / "whisper.pt", **options)


@pytest.fixture(scope="module", params=["small", pytest.param("tiny", marks=pytest.mark.slow)])
def size(request: pytest.FixtureRequest) -> str:
    """``small``: of little size; ``tiny``: as published."""
    return str(request.param)


@pytest.fixture(scope="module")
def published(size: str) -> dict[str, Any]:
    with np.load(HERE / f"published-{size}.npz") as found:
        return dict(found)


@pytest.fixture(scope="module")
def loaded(size: str, files_of_size: Callable[[str], Path]) -> Any:
    built: dict[str, Any] = {}

    def load(kind: str) -> Any:
        if kind not in built:
            built.clear()
            built[kind] = system_of(kind, files_of_size(size))
            built[kind].load("cpu")
        return built[kind]

    return load


def told(recipe: ModuleType, count: int) -> list[Query]:
    return [Query(16_000, speaker_vector=vector) for vector in recipe.vectors(count)]


def strided(x: Any, stride: int) -> Any:
    return x.flatten(1)[:, ::stride].numpy()


def close(ours: Any, theirs: Any) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


def features(system: Any, recipe: ModuleType, count: int) -> Any:
    return torch.stack([system._features(wave) for wave in recipe.waveforms(count)])


QUICK = [("deep mlp", 4, "tokens"), ("lora", 4, "detected")]
CASES = [
    case if case in QUICK else pytest.param(*case, marks=pytest.mark.slow)
    for case in itertools.product(KINDS, (1, 4), ("tokens", "timed", "detected"))
]
BATCHES = [pytest.param(1, marks=pytest.mark.slow), 4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", BATCHES)
@torch.inference_mode()
def test_encoder_and_logits(kind: str, count: int, loaded: Any, published: Any, recipe: ModuleType) -> None:
    system = loaded(kind)
    mel = features(system, recipe, count)
    if f"{kind} {count} mel" in published:
        close(strided(mel, recipe.STRIDE), published[f"{kind} {count} mel"])
    with system._told(told(recipe, count)):
        heard = system._network.model.encoder(mel).last_hidden_state
        fed = torch.cat([system._prefix(heard), torch.from_numpy(recipe.text(count))], dim=1)
        states = system._network.model.decoder(input_ids=fed, encoder_hidden_states=heard).last_hidden_state
        logits = system._network.proj_out(states)
    close(strided(heard, recipe.STRIDE), published[f"{kind} {count} encoder"])
    close(strided(logits, recipe.STRIDE), published[f"{kind} {count} logits"])


@pytest.mark.parametrize(("kind", "count", "way"), CASES)
@torch.inference_mode()
def test_tokens_are_the_same(
    kind: str, count: int, way: str, loaded: Any, published: Any, recipe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = loaded(kind)
    setup = system.setup.__class__(**{**vars_of(system.setup), "timestamps": way == "timed"})
    monkeypatch.setattr(system, "setup", setup)
    if way == "detected":
        monkeypatch.setattr(system, "_language", None)
    ours = system._hear(features(system, recipe, count), told(recipe, count))
    theirs = [[token for token in row if token >= 0] for row in published[f"{kind} {count} {way}"].tolist()]
    assert ours == theirs
    if way == "detected":
        assert any(theirs)


def vars_of(setup: Any) -> dict[str, Any]:
    return {name: getattr(setup, name) for name in setup.__dataclass_fields__}


@pytest.mark.parametrize("kind", ["shallow", "deep", "deep mlp", "full", "lora"])
def test_what_is_told_counts(kind: str, published: Any) -> None:
    """The published outputs differ by as much as would be noticed if the port left something out."""
    plain, tuned = published["plain 4 encoder"], published[f"{kind} 4 encoder"]
    assert np.abs(plain - tuned).max() > 100 * TOLERANCE * np.abs(plain).max()
    assert not np.array_equal(published["plain 4 tokens"], published[f"{kind} 4 tokens"])
