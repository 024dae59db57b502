"""Checkpoints as Whisper's and TS-Whisper's authors lay them out, of little size, on the weights of the fixtures."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
SINUSOIDS = "encoder.positional_embedding"


@pytest.fixture(scope="session")
def recipe() -> ModuleType:
    """The recipe for inputs and weights, as the fixtures were made with."""
    spec = importlib.util.spec_from_file_location("ts_whisper_fixtures", HERE / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["ts_whisper_fixtures"] = found
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="session")
def states(recipe: ModuleType) -> dict[str, dict[str, Any]]:
    """The tensors of every published file of the small size, by the kind of file."""
    return states_of("small", recipe)


def states_of(size: str, recipe: ModuleType) -> dict[str, dict[str, Any]]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    shapes = json.loads((HERE / f"published-{size}-keys.json").read_text())
    for named in shapes.values():
        named.pop(SINUSOIDS, None)
    return {
        kind: {name: torch.from_numpy(recipe.drawn(name, tuple(shape))) for name, shape in named.items()}
        for kind, named in shapes.items()
    }


@pytest.fixture(scope="session")
def files(states: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``whisper.pt`` (OpenAI's layout), one file for every kind of tuning, and a vocabulary."""
    return written(states, tmp_path_factory.mktemp("ts-whisper"))


@pytest.fixture(scope="session")
def files_of_size(files: Path, recipe: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The same for one of the sizes that fixtures are there of."""

    @cache
    def folder(size: str) -> Path:
        if size == "small":
            return files
        return written(states_of(size, recipe), tmp_path_factory.mktemp(f"ts-whisper-{size}"))

    return folder


def written(states: dict[str, dict[str, Any]], folder: Path) -> Path:
    torch = pytest.importorskip("torch")
    for kind, state in states.items():
        torch.save(state, folder / f"{kind}.pt")
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": states["whisper"]}, folder / "whisper.pt")
    system = {f"model.{name}": tensor for name, tensor in states["whisper"].items()}
    system |= {f"prompt.{name}": tensor for name, tensor in states["speaker"].items()}
    torch.save(system, folder / "system.pt")
    pieces = [b" " if number == 220 else b" %d" % number for number in range(50_257)]
    lines = [f"{base64.b64encode(piece).decode()} {number}" for number, piece in enumerate(pieces)]
    (folder / "multilingual.tiktoken").write_text("\n".join(lines) + "\n")
    return folder
