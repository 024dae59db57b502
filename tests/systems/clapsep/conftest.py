"""A checkpoint as CLAPSep's authors lay it out, of little size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def trained() -> dict[str, Any]:
    """Names and tensors: the decoder, LoRA and the biases beside it; every index as it is."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tspbench.systems.clapsep.checkpoint import TRAINED
    from tspbench.systems.clapsep.decoder import relative_positions
    from tspbench.systems.seeded import seeded

    shapes = json.loads((HERE / "published-small-keys.json").read_text())
    state = {key: torch.from_numpy(seeded(key, tuple(shape), 9)) for key, shape in shapes.items() if TRAINED.match(key)}
    for key in state:
        if key.endswith("relative_position_index"):
            state[key] = relative_positions()
    return state


@pytest.fixture(scope="session")
def small_checkpoint(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flat partial file, with one key too many."""
    torch = pytest.importorskip("torch")
    path: Path = tmp_path_factory.mktemp("clapsep") / "best_model.ckpt"
    torch.save({**trained, "left.over": torch.zeros(1)}, path)
    return path


@pytest.fixture(scope="session")
def files(small_checkpoint: Path, small_clap_file: Path, tokenizer_folder: Path) -> dict[str, Path]:
    """The three options that CLAPSep needs."""
    return {"checkpoint": small_checkpoint, "clap": small_clap_file, "tokenizer": tokenizer_folder}


@pytest.fixture(scope="session")
def system(files: dict[str, Path]) -> Any:
    from tspbench.systems.clapsep.adapter import CLAPSep

    system = CLAPSep(**files)
    system.load("cpu")
    return system


@pytest.fixture(scope="session")
def sound() -> Any:
    """Samples at 32 kHz: noise and a tone."""

    def make(length: int, seed: int = 0) -> Any:
        rng = np.random.default_rng(seed)
        tone = np.sin(np.arange(length) * (0.05 + 0.01 * seed))
        return (0.1 * rng.standard_normal(length) + 0.2 * tone).astype(np.float32)

    return make
