"""Inputs and records of the comparisons with published code; used where fixtures are made and where they are tested."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tspbench.systems.seeded import noise, seeded

SEED = 20240228
STRIDE = 1009
RATE = 32_000
CASES = {"1x3s": (1, 96_000), "4x3s": (4, 96_000), "1x10s": (1, 320_000), "4x10s": (4, 320_000)}
"""How many mixtures, of how many samples."""


def mixtures(name: str, count: int, length: int) -> np.ndarray:
    """Noise under a slow envelope beside a tone, (count, length); where there are four, the third is silence."""
    time = np.arange(length) / RATE
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
    found = 0.1 * noise(f"mixture {name}", (count, length), SEED) * envelope + 0.2 * np.sin(2 * np.pi * 440 * time)
    if count > 2:
        found[2] = 0
    return found.astype(np.float32)


def condition(name: str, count: int, size: int) -> np.ndarray:
    """Unit vectors (count, size)."""
    found = noise(f"condition {name}", (count, size), SEED)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def summary(x: Any) -> np.ndarray:
    """Samples of each item at a stride."""
    return np.asarray(x.flatten(1)[:, ::STRIDE])


def record(name: str, estimate: Any) -> dict[str, np.ndarray]:
    """What is kept of estimates (B, T)."""
    return {name: summary(estimate), f"{name} peak": estimate.abs().amax(dim=1).numpy()}


def largest_error(name: str, estimate: Any, expected: Mapping[str, np.ndarray]) -> float:
    """Largest difference between estimates and a record, relative to each item's peak; peaks are compared too."""
    peak = expected[f"{name} peak"]
    scale = np.where(peak > 0, peak, 1)
    samples = np.abs(summary(estimate) - expected[name]).max(axis=1) / scale
    peaks = np.abs(estimate.abs().amax(dim=1).numpy() - peak) / scale
    return float(max(samples.max(), peaks.max()))


def fill(module: Any, fixed: tuple[str, ...] = ()) -> dict[str, list[int]]:
    """Draw every floating-point tensor of a torch module by its name, but for ``fixed`` ones; all names and shapes."""
    import torch

    state = module.state_dict()
    with torch.no_grad():
        for name, tensor in state.items():
            if tensor.is_floating_point() and not any(part in name for part in fixed):
                tensor.copy_(torch.from_numpy(seeded(name, tuple(tensor.shape), SEED)))
    return {name: list(tensor.shape) for name, tensor in state.items()}


def write(home: Path, label: str, found: Mapping[str, np.ndarray], keys: Mapping[str, list[int]]) -> None:
    """``published-LABEL.npz`` and ``published-LABEL-keys.json``."""
    np.savez_compressed(home / f"published-{label}.npz", **found)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(shape)}" for name, shape in keys.items())
    (home / f"published-{label}-keys.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(label, {name: (value.shape, float(np.abs(value).max())) for name, value in found.items()})


def keys(home: Path, label: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a published module."""
    found = json.loads((home / f"published-{label}-keys.json").read_text(encoding="utf-8"))
    return {name: tuple(shape) for name, shape in found.items()}


def published_class_file(path: Path, name: str, divide: int) -> ModuleType:
    """A published module; with the channels that its source spells out divided, where a small network is wanted."""
    import re

    def smaller(found: re.Match[str]) -> str:
        return f"{found[1]}={max(1, int(found[2]) // divide)}"

    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module
    source = re.sub(r"((?:in|out)_channels)=(\d+)", smaller, path.read_text(encoding="utf-8"))
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module
