"""All that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tspbench.errors import UsageError
from tspbench.systems.weights import refuse_other_files


def random_state() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's random numbers, as plain data and tensors."""
    numpy = np.random.get_state(legacy=False)
    assert isinstance(numpy, dict)
    return {
        "python": random.getstate(),
        "numpy": {
            **numpy,
            "state": {**numpy["state"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))},
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """The reverse of :func:`random_state`."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = state["numpy"]
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].numpy().astype(np.uint32)}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])


def save(content: Mapping[str, Any], path: Path) -> None:
    """Whole or not at all: a training that is killed meanwhile keeps its last checkpoint."""
    part = path.with_name(f"{path.name}.part")
    torch.save(dict(content), part)
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint that :func:`save` wrote, on the CPU; nothing in it is run.

    Raises
    ------
    UsageError
        The file is no checkpoint, or not a training's.
    """
    refuse_other_files(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not {"step", "model", "optimiser", "random"} <= set(content):
        raise UsageError(f"{path} is not the checkpoint of a training here. Name another folder.")
    return content


def refuse_other_training(found: Mapping[str, Any], asked: Mapping[str, Any], path: Path) -> None:
    """UsageError unless a checkpoint's settings are those that are asked for now."""
    differing = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
    if differing:
        key = differing[0]
        raise UsageError(
            f"{path} is of another training: its {key} is {found.get(key)!r}, asked for is {asked.get(key)!r}. "
            "Name another folder, or remove this one."
        )
