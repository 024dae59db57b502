"""A checkpoint as AudioSep's authors lay it out, of little size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def separator() -> dict[str, Any]:
    """Names and tensors of the separator, kernels of its transforms included."""
    torch = pytest.importorskip("torch")
    from tspbench.systems.seeded import seeded

    shapes = json.loads((HERE / "published-small-keys.json").read_text())
    return {f"ss_model.{key}": torch.from_numpy(seeded(key, tuple(shape), 9)) for key, shape in shapes.items()}


@pytest.fixture(scope="session")
def whole(separator: dict[str, Any], small_clap: Any) -> dict[str, Any]:
    """The separator, and CLAP beside it."""
    torch = pytest.importorskip("torch")
    laion = pytest.importorskip("tspbench.systems.clap.laion")
    clap = laion.revert(small_clap.state_dict(), torch.cat)
    return {**separator, **{f"query_encoder.model.{key}": tensor for key, tensor in clap.items()}}


@pytest.fixture(scope="session")
def small_checkpoint(whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Lightning file: optimiser and counters beside the weights, and one key too many."""
    torch = pytest.importorskip("torch")
    path: Path = tmp_path_factory.mktemp("audiosep") / "audiosep_base_4M_steps.ckpt"
    content = {
        "epoch": 399,
        "global_step": 4_000_000,
        "pytorch-lightning_version": "1.9.0",
        "state_dict": {**whole, "left.over": torch.zeros(1)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "lr_schedulers": [{"base_lrs": [0.001], "_last_lr": [np.float64(0.001)]}],
    }
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def files(small_checkpoint: Path, tokenizer_folder: Path) -> dict[str, Path]:
    """The two options that AudioSep needs."""
    return {"checkpoint": small_checkpoint, "tokenizer": tokenizer_folder}


@pytest.fixture(scope="session")
def system(files: dict[str, Path]) -> Any:
    pytest.importorskip("transformers")
    from tspbench.systems.audiosep.adapter import AudioSep

    system = AudioSep(**files)
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
