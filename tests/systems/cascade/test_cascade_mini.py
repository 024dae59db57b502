"""cascade-mini: the bundled extractor and the bundled recogniser on tsasr-demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

import tspbench
from tspbench.systems.cascade.cascade import CascadeMini


def rates(systems: list[str], out: Path, **more: Any) -> dict[str, float]:
    """Word error rate, errors over words of all trials, by system."""
    runs = tspbench.run(systems, task="tsasr-demo", metrics=["wer"], out=out, **more)
    summaries = [json.loads((run.path / "summary.json").read_text()) for run in runs]
    names = [run.record["identity"]["system"]["name"] for run in runs]
    return {name: each["metrics"]["wer"]["mean"] for name, each in zip(names, summaries, strict=True)}


def test_it_is_the_bundled_extractor_and_recogniser() -> None:
    system = CascadeMini()
    assert [path.name for path in system.weight_files()] == ["td-speakerbeam-mini.safetensors"]
    assert (system.sample_rate, set(system.queries)) == (16000, {"enrolment"})
    assert system.random_weights is None


def test_it_makes_fewer_errors_than_the_recogniser_alone(tmp_path: Path) -> None:
    found = rates(["recogniser", "cascade-mini"], tmp_path, limit=6)
    assert found["cascade-mini"] < found["recogniser"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_over_the_whole_task_it_makes_less_than_half_as_many(tmp_path: Path) -> None:
    found = rates(["recogniser", "cascade-mini"], tmp_path)
    assert found["cascade-mini"] < found["recogniser"] / 2
