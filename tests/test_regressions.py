"""Faults outside the runner that were once there: each test names what must not come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import tspbench
from tspbench.baselines import Baselines
from tspbench.errors import ManifestError
from tspbench.manifest import Manifest
from tspbench.metrics import Metric, Score, Status, improvement, resolve
from tspbench.metrics import evaluate as module
from tspbench.metrics.evaluate import evaluate
from tspbench.metrics.signals import Signals
from tspbench.store import score_row

SNR, SDR = resolve("snr"), resolve("sdr")
SCHEMA = json.loads((Path(tspbench.__file__).parent / "run_folder-1.schema.json").read_text())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Metric]:
    """A metric whose ``_i`` leads back to it, although it is not registered."""

    def make(compute: Callable[[Signals], Score]) -> Metric:
        made = replace(resolve("si_sdr"), id="fake", compute=compute, needs=frozenset())
        monkeypatch.setattr(module, "resolve", lambda name: made if name == "fake" else resolve(name))
        return made

    return make


def signals() -> Signals:
    noise = np.random.default_rng(0).standard_normal((2, 800)).astype(np.float32)
    return Signals(sample_rate=8000, mixture=noise.sum(0), target=noise[0], estimate=noise[0] + 0.1 * noise[1])


def test_a_failure_is_never_remembered(tmp_path: Path) -> None:
    baselines = Baselines(tmp_path)
    failed, undefined = Score(None, Status.FAILED, "it broke"), Score.undefined("silent")
    baselines.add("a", {"snr": failed, "sdr": Score(1.0)})
    baselines.add("b", {"snr": Score(2.0), "sdr": undefined})
    baselines.add("b", {"snr": failed})
    assert baselines.find("a", [SNR, SDR]) == {"sdr": Score(1.0)}
    assert baselines.find("b", [SNR, SDR]) == {"snr": Score(2.0), "sdr": undefined}
    baselines.close()


@pytest.mark.parametrize("given", [False, True])
def test_a_gain_over_a_baseline_that_failed_has_failed(fake: Callable[..., Metric], given: bool) -> None:
    def broken_on_mixtures(s: Signals) -> Score:
        if s.estimate is s.mixture:
            raise MemoryError("no room")
        return Score(1.0)

    metric = fake(broken_on_mixtures)
    known = {"fake": Score(None, Status.FAILED, "MemoryError: no room")} if given else {}
    done = evaluate(signals(), [metric, improvement(metric)], known)
    assert done.scores["fake"] == Score(1.0)
    assert (done.scores["fake_i"].value, done.scores["fake_i"].status) == (None, Status.FAILED)
    assert "no room" in str(done.scores["fake_i"].reason)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), np.float32("nan"), np.float64("inf")])
def test_a_number_that_is_none_is_a_failure(fake: Callable[..., Metric], value: float) -> None:
    metric = fake(lambda s: Score(value))
    for name, score in evaluate(signals(), [metric, improvement(metric)]).scores.items():
        assert (score.value, score.status) == (None, Status.FAILED), name
        assert score.reason
        json.dumps(score_row("t", name, score, {}), allow_nan=False)


def test_a_mixture_without_a_finite_number_leaves_no_gain(fake: Callable[..., Metric]) -> None:
    metric = fake(lambda s: Score(float("-inf") if s.estimate is s.mixture else 1.0))
    done = evaluate(signals(), [improvement(metric)])
    assert (done.scores["fake_i"].value, done.scores["fake_i"].status) == (None, Status.FAILED)
    assert done.baselines["fake"].value is None


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/absolute", "", "a/b", "..", ".", "a\0b"])
def test_the_name_of_a_task_is_the_name_of_a_folder(name: str, tiny: Callable[..., Path]) -> None:
    path = tiny(1)
    header, *trials = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(header) | {"name": name}), *trials]) + "\n")
    with pytest.raises(ManifestError, match="name"):
        Manifest(path)


def test_usual_names_of_tasks_stay_allowed(tiny: Callable[..., Path]) -> None:
    path = tiny(1)
    header, *trials = path.read_text().splitlines()
    for name in ("libri2mix-test.v1", "Audio_Caps", "manifest"):
        path.write_text("\n".join([json.dumps(json.loads(header) | {"name": name}), *trials]) + "\n")
        assert Manifest(path).header.name == name


def test_a_gain_may_have_fewer_errors_than_none() -> None:
    schema = jsonschema.Draft202012Validator({**SCHEMA, "$ref": "#/$defs/score"})
    row = score_row("t0", "wer_i[pocketsphinx]", Score(-0.7, counts={"errors": -7, "total": 10}), {})
    schema.validate(json.loads(json.dumps(row)))
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(row | {"counts": {"errors": -7.5, "total": 10}})
