"""The run folder's schema: what is written today fits it, and what was ever written still loads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tspbench
from tspbench import summary
from tspbench.errors import UsageError
from tspbench.store import read_lines

SCHEMA = json.loads((Path(tspbench.__file__).parent / "run_folder-1.schema.json").read_text())
GOLDEN = Path(__file__).parent / "golden" / "run-schema-1"
SYSTEMS = Path(__file__).parent / "runner" / "systems_under_test.py"


def validate(value: Any, name: str) -> None:
    jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"}).validate(value)


def validate_folder(folder: Path) -> None:
    validate(json.loads((folder / "run.json").read_text()), "run")
    validate(json.loads((folder / "summary.json").read_text()), "summary")
    for name in ("trial", "score"):
        rows = list(read_lines(folder / f"{name}s.jsonl"))
        assert rows
        for row in rows:
            validate(row, name)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, float):
        yield value


@pytest.mark.parametrize("system", ["Villain", "Mute", "Slow"])
def test_new_folders_fit_the_schema(system: str, tiny: Callable[..., Path], tmp_path: Path) -> None:
    run = tspbench.run(f"{SYSTEMS}:{system}", tiny(10), out=tmp_path / "out", workers=2, time_limit_s=1.5)[0]
    validate_folder(run.path)
    for name in ("run.json", "summary.json"):
        assert all(math.isfinite(number) for number in numbers(json.loads((run.path / name).read_text())))


def test_the_schema_refuses_what_it_must() -> None:
    row = next(read_lines(GOLDEN / "scores.jsonl"))
    for change in ({"value": None, "status": "ok"}, {"value": "3"}, {"status": "fine"}, {"extra": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validate(row | change, "score")


def test_the_golden_folder_fits_its_schema() -> None:
    validate_folder(GOLDEN)


def test_the_golden_folder_loads() -> None:
    run = tspbench.load_run(GOLDEN)
    assert run.status == "sealed"
    scores = run.scores
    assert list(scores.columns[:6]) == ["system", "task", "trial_id", "metric", "value", "status"]
    assert len(scores) == 12 * 3
    assert set(scores["status"]) == {"ok", "failed"}
    means = scores.groupby("metric")["value"].mean()
    for metric, mean in means.items():
        assert mean == pytest.approx(run.summary["metrics"][metric]["mean"], rel=1e-12)
    assert set(run.trials["status"]) == {"ok", "failed", "timed_out"}
    assert run.trials["output.peak"].notna().sum() == 5


def test_the_golden_summary_can_be_rebuilt() -> None:
    """What was once written as a mean stays that mean; how intervals and strata are made may improve."""
    stored = json.loads((GOLDEN / "summary.json").read_text())
    rebuilt = summary.summarise(GOLDEN)
    assert rebuilt["trials"] == stored["trials"]
    for name, metric in stored["metrics"].items():
        for moving in ("bounds", "interval", "strata"):
            metric.pop(moving)
        assert metric == {key: rebuilt["metrics"][name][key] for key in metric}


def test_folders_that_hold_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        tspbench.load_run(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no run"):
        tspbench.load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(UsageError, match="schema 99"):
        tspbench.load_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        tspbench.load_run(tmp_path)
