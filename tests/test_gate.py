"""The gate: what passes, what has regressed, what cannot be told; and how often it is right."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench import stats
from tspbench.errors import UnknownName, UsageError
from tspbench.gate import gate
from tspbench.sealed import Sealed

Make = Callable[..., Sealed]
DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def pair(sealed_result: Make) -> Callable[..., tuple[Sealed, Sealed]]:
    """A run and its baseline on 40 clusters; the run is better by ``gain`` dB."""

    def make(gain: float, spread: float = 0.3, count: int = 40) -> tuple[Sealed, Sealed]:
        rng = np.random.default_rng(0)
        base, noise = rng.normal(8, 4, count), rng.normal(0, 1, count)
        change = gain + spread * (noise - noise.mean())
        return sealed_result({"si_sdr": list(base + change)}, label="new"), sealed_result({"si_sdr": list(base)})

    return make


@pytest.mark.parametrize(
    ("gain", "spread", "outcome", "code"),
    [(0.0, 0.0, "passed", 0), (0.0, 0.3, "passed", 0), (-1.0, 0.3, "regressed", 1), (-0.2, 0.3, "undecided", 3)],
)
def test_outcomes(pair: Callable[..., Any], gain: float, spread: float, outcome: str, code: int) -> None:
    held = gate(*pair(gain, spread), ["si_sdr > baseline - 0.2"])
    assert (held.outcome, held.exit_code) == (outcome, code)


def test_the_bound_is_one_sided_at_the_confidence(pair: Callable[..., Any]) -> None:
    run, baseline = pair(0.5)
    differences = np.array(run.values["si_sdr"]) - np.array(baseline.values["si_sdr"])
    for confidence in (0.8, 0.95, 0.99):
        found = gate(run, baseline, ["si_sdr > baseline + 0.1"], confidence).results[0]
        expected = stats.mean_interval(differences, np.array(run.clusters), level=2 * confidence - 1).low - 0.1
        assert found.bound == pytest.approx(expected, abs=1e-9)
        assert found.value - found.baseline == pytest.approx(0.5)
        assert found.limit == pytest.approx(found.baseline + 0.1)


def test_a_factor_on_the_baseline_scales_it_trial_by_trial(sealed_result: Make) -> None:
    words = [(k % 5, 10) for k in range(40)]
    run, baseline = sealed_result({"wer": words}, label="new"), sealed_result({"wer": words})
    assert gate(run, baseline, ["wer < baseline * 110%"]).outcome == "passed"
    assert gate(run, baseline, ["wer < baseline * 90%"]).outcome == "regressed"


def test_rules_without_a_baseline_hold_against_numbers(sealed_result: Make) -> None:
    run = sealed_result({"si_sdr": list(np.random.default_rng(0).normal(10, 1, 50)), "wrong_target": [0.0] * 50})
    outcomes = {
        "si_sdr > 9": "passed", "si_sdr >= 12": "regressed", "si_sdr > 10.1": "undecided",
        "wrong_target < 10%": "passed",
        "wrong_target < 1%": "undecided",  # none of 50 does not show 1 in 100
    }  # fmt: skip
    held = gate(run, None, list(outcomes))
    assert {each.rule: each.outcome for each in held.results} == outcomes
    assert held.results[-1].bound == pytest.approx(1 - 0.05 ** (1 / 50) - 0.01)  # Clopper and Pearson's, at 0 of n


def test_what_is_undecided_says_how_many_trials_would_tell(pair: Callable[..., Any]) -> None:
    held = gate(*pair(-0.1, 1.0), ["si_sdr > baseline - 0.2"])
    needed = int(re.search(r"about (\d+) trials would tell", held.results[0].why)[1])
    assert needed == pytest.approx(((1.645 * 1.0) / 0.1) ** 2, rel=0.4)
    assert gate(*pair(-0.1, 1.0, 2 * needed), ["si_sdr > baseline - 0.2"]).outcome == "passed"


def test_what_cannot_be_measured_says_why(pair: Callable[..., Any], sealed_result: Make) -> None:
    run, baseline = pair(0.0)
    few = pair(0.0, 0.3, 7)
    other = replace(baseline, identity={**baseline.identity, "task": {"trial_list": "b"}})
    cases: list[tuple[Sealed, Sealed | None, str, str]] = [
        (*few, "si_sdr > baseline - 9", "too few trials: 7 clusters"),
        (run, other, "si_sdr > baseline - 9", "another measurement: task.trial_list"),
        (run, baseline, "estoi > baseline - 9", "the run was not scored with estoi"),
        (replace(run, statuses={"si_sdr": ("not_applicable",) * 40}), baseline, "si_sdr > 1", "applies to no trial"),
        (run, baseline, "latency_p50_s < baseline * 1.1", "the run has no profile"),
    ]
    for one, two, rule, why in cases:
        held = gate(one, two, [rule])
        assert (held.outcome, held.exit_code) == ("unmeasured", 3)
        assert why in held.results[0].why


def profiled(one: Sealed, hardware: str = "this processor, 2 threads", **figures: float | None) -> Sealed:
    return replace(one, profile={"hardware_key": hardware, "figures": figures})


def test_figures_of_the_profile(pair: Callable[..., Any]) -> None:
    run, baseline = pair(0.0)
    run, baseline = profiled(run, latency_p50_s=0.105, rtf=None), profiled(baseline, latency_p50_s=0.1, rtf=1.0)
    outcomes = {
        "latency_p50_s < baseline * 1.10": "passed",
        "latency_p50_s < baseline * 1.01": "regressed",
        "latency_p50_s < 0.2": "passed",
        "rtf < baseline * 2": "unmeasured",
    }
    held = gate(run, baseline, list(outcomes))
    assert {each.rule: each.outcome for each in held.results} == outcomes
    assert held.exit_code == 1
    elsewhere = gate(profiled(run, "another", latency_p50_s=0.1), baseline, ["latency_p50_s < baseline * 1.1"])
    assert (elsewhere.outcome, elsewhere.exit_code) == ("unmeasured", 3)
    assert "another now, this processor, 2 threads in the baseline" in elsewhere.results[0].why


def test_costs_on_other_lengths_are_not_compared(pair: Callable[..., Any]) -> None:
    def on(one: Sealed, length: float, batch: list[int]) -> Sealed:
        figures = {"latency_p50_s": 0.1 * length, "parameters": 7, "reference_seconds": length}
        settings = {"seconds": [1.0, length], "batch": batch}
        return replace(one, profile={"hardware_key": "h", "figures": figures, "settings": settings})

    run, baseline = pair(0.0)
    rules = ["latency_p50_s < baseline * 1.1", "parameters <= baseline"]
    assert gate(on(run, 10.0, [1]), on(baseline, 10.0, [1]), rules).outcome == "passed"
    held = gate(on(run, 2.0, [1]), on(baseline, 10.0, [1]), rules)
    assert [each.outcome for each in held.results] == ["unmeasured", "passed"]
    assert "other reference length: 2.0 now, 10.0 in the baseline" in held.results[0].why
    assert "batch sizes" in gate(on(run, 10.0, [1]), on(baseline, 10.0, [1, 4]), rules).results[0].why


def test_scores_without_spread_are_bounds_unless_they_are_rates(sealed_result: Make) -> None:
    run = sealed_result({"si_sdr": [0.0] * 20, "wrong_target": [0.0] * 20})
    held = gate(run, None, ["si_sdr > -0.05", "wrong_target < 5%"])
    assert [each.outcome for each in held.results] == ["passed", "undecided"]
    assert held.results[0].bound == pytest.approx(0.05)


def test_penalties_are_told(sealed_result: Make) -> None:
    run, baseline = sealed_result({"si_sdr": [None] * 3 + [5.0] * 17}), sealed_result({"si_sdr": [5.0] * 20})
    held = gate(run, baseline, ["si_sdr > baseline - 0.2"])
    assert held.outcome != "passed"
    assert "(3 of the run without a score count as the penalty)" in held.results[0].why
    assert "penalty" not in gate(baseline, run, ["si_sdr > 1"]).results[0].why


def test_the_gravest_outcome_is_the_gates(pair: Callable[..., Any]) -> None:
    run, baseline = pair(0.0)
    good, bad, unknown = "si_sdr > baseline - 0.2", "si_sdr > baseline + 5", "estoi > 0"
    assert gate(run, baseline, [good, unknown]).outcome == "unmeasured"
    assert gate(run, baseline, [good, unknown, bad]).exit_code == 1
    json.dumps(gate(run, baseline, [good, unknown, bad]).as_dict(), allow_nan=False)


def test_mistakes_are_refused(pair: Callable[..., Any]) -> None:
    run, baseline = pair(0.0)
    with pytest.raises(UsageError, match=r"higher is better\. Did you mean 'si_sdr > baseline - 0\.2'"):
        gate(run, baseline, ["si_sdr < baseline - 0.2"])
    with pytest.raises(UsageError, match="lower is better"):
        gate(run, baseline, ["wer > 0.1"])
    with pytest.raises(UsageError, match="give one with --baseline"):
        gate(run, None, ["si_sdr > baseline"])
    with pytest.raises(UnknownName, match="Did you mean si_sdr"):
        gate(run, baseline, ["si_sdrr > baseline"])
    for confidence in (0.5, 1.0, float("nan")):
        with pytest.raises(UsageError, match="--confidence"):
            gate(run, baseline, ["si_sdr > 1"], confidence)
    with pytest.raises(UsageError, match="needs a rule"):
        gate(run, baseline, [])


def simulation() -> Any:
    spec = importlib.util.spec_from_file_location("gate_rates", DOCS / "gate_rates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gate_is_rarely_wrong() -> None:
    rng = np.random.default_rng(1)
    outcome = simulation().outcome
    on_the_limit = [outcome(10, -0.2, rng) for _ in range(150)]
    assert on_the_limit.count("passed") / 150 < 0.11
    assert on_the_limit.count("regressed") / 150 < 0.11


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_error_rates_are_those_of_the_page() -> None:
    page = (DOCS / "quality-gate.md").read_text(encoding="utf-8")
    repeats = 300
    for count, change, shares in simulation().rates(repeats, (10, 30, 100)):
        row = re.search(rf"^\| {count} \| {re.escape(f'{change:+.1f}')} \| (.*?) \|$", page, re.MULTILINE)
        assert row is not None, (count, change)
        said = [float(cell) / 100 for cell in row[1].split(" | ")]
        for now, then in zip(shares.values(), said, strict=True):
            chance = np.sqrt(max(then * (1 - then), 0.002) * (1 / repeats + 1 / 1000))
            assert now == pytest.approx(then, abs=4 * chance), (count, change, shares)
        if change == -0.2:
            assert shares["passed"] == pytest.approx(0.05, abs=0.04)
