"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench import manifest
from tspbench.types import Clip, Mix, QueryRecipe, Role, Source, TaskKind, Trial

RATE = 8000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of short noise mixtures and return its path.

    Trial ``t<i>`` asks for its target with the text ``<i>``; lengths vary.
    """

    def make(trials: int = 12, kind: TaskKind = TaskKind.LASS, name: str = "tiny") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for i in range(trials + 2):
            samples = 0.1 * rng.standard_normal(RATE // 5 + 37 * (i % 5)).astype(np.float32)
            soundfile.write(folder / f"{i}.wav", samples, RATE, subtype="FLOAT")
        rows = [
            Trial(
                trial_id=f"t{i}",
                sources=(
                    Source(f"{i}.wav", role=Role.TARGET),
                    Source(f"{i + 1}.wav", transcript="other words"),
                ),
                mix=Mix(snr_db=float(i % 5)),
                query=QueryRecipe(text=str(i), enrolment=(Clip(f"{i + 2}.wav"),)),
                transcript="some words",
                conditions={"parity": "even" if i % 2 == 0 else "odd", "snr_db": float(i % 5)},
                clusters={"clip": str(i // 2)},
            )
            for i in range(trials)
        ]
        header = manifest.Header(
            kind=kind, sample_rate=RATE, name=name, cluster="clip", metrics=("si_sdr", "si_sdr_i", "snr")
        )
        manifest.write(folder / "manifest.jsonl", header, rows)
        return folder / "manifest.jsonl"

    return make
