"""Synthetic recordings of three classes, and the whole comparison on them, in little."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

RATE = 32_000
Command = Callable[..., Any]


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of synthetic sound in four folds."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    kinds: dict[str, Callable[[], Any]] = {
        "a dog barking": lambda: np.sin(2 * np.pi * rng.uniform(200, 300) * time) * (time % 0.3 < 0.1),
        "rain falling": lambda: rng.standard_normal(RATE),
        "a bell tolling": lambda: np.sin(2 * np.pi * rng.uniform(3000, 4000) * time) * np.exp(-3 * time),
    }
    with (folder / "sounds.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "fold"])
        for i in range(24):
            label = list(kinds)[i % 3]
            soundfile.write(folder / f"{i}.wav", (0.2 * kinds[label]()).astype(np.float32), RATE, subtype="FLOAT")
            writer.writerow([f"{i}.wav", label, i // 3 % 4])
    return folder / "sounds.csv"


@pytest.fixture(scope="session")
def command() -> Command:
    """Run the training command with small sizes; gives click's result."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tspbench.systems.unpaired import train

    def run(sounds: Path, out: Path, *more: str) -> Any:
        size = ["--batch", "4", "--seconds", "0.5", "--generate", "300"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train, "ENCODER_STEPS", 20)
            arguments = ["--corpus", str(sounds), "--test", "fold=3", "--out", str(out), *size, *more]
            return CliRunner().invoke(train.main, arguments, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def trained(sounds: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The whole command, in little: its folder and its figures."""
    out = tmp_path_factory.mktemp("trained")
    done = command(sounds, out, "--steps", "30")
    assert done.exit_code == 0, done.output
    rows = {row["conditioning"]: row for row in json.loads((out / "comparison.json").read_text())}
    return out, rows
