"""A checkpoint as LASS-Net's authors lay it out, of little size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "rain", "##s", "bell", "ring", "##ing"]


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    """Names and tensors of the published module."""
    torch = pytest.importorskip("torch")
    from tspbench.systems.seeded import seeded

    shapes = json.loads((HERE / "published-small-keys.json").read_text())
    return {key: torch.from_numpy(seeded(key, tuple(shape), 9)) for key, shape in shapes.items()}


@pytest.fixture(scope="session")
def small_checkpoint(published: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file: its ``model`` has counters, as transformers 4.13 stored them, and a key too many."""
    torch = pytest.importorskip("torch")
    path: Path = tmp_path_factory.mktemp("lassnet") / "LASSNet.pt"
    counters = {"module.text_embedder.bert_layer.embeddings.position_ids": torch.arange(64)[None]}
    torch.save({"model": {**published, **counters, "module.left.over": torch.zeros(1)}, "epoch": 3}, path)
    return path


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("bert-mini")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return folder


@pytest.fixture(scope="session")
def files(small_checkpoint: Path, bert_folder: Path) -> dict[str, Path]:
    """The two options that LASS-Net needs."""
    return {"checkpoint": small_checkpoint, "tokenizer": bert_folder}


@pytest.fixture(scope="session")
def system(files: dict[str, Path]) -> Any:
    pytest.importorskip("transformers")
    from tspbench.systems.lassnet.adapter import LASSNet

    system = LASSNet(**files)
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
