"""summary.json against the same numbers computed from the lines with pandas."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tspbench import summary
from tspbench.baselines import MIXTURE, UPPER, Baselines
from tspbench.metrics import Metric, Need, Score, Status, resolve
from tspbench.stats import mean_interval
from tspbench.store import write_json
from tspbench.summary import remember_bound, summarise

RATE = Metric(
    id="rate", version=1, summary="errors per word", formula="", compute=lambda signals: Score(0.0),
    needs=frozenset({Need.HYPOTHESIS}), unit="rate", higher_is_better=False, bounds=(0.0, None), penalty=1.0,
    silence="", implementation="", citation="", aggregate="pooled",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _rate_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooled metric of the tests' own: which pooled metrics are bundled does not matter here."""
    monkeypatch.setattr(summary, "resolve", lambda name: RATE if name == "rate" else resolve(name))


def trial(trial_id: str, status: str = "ok", cluster: str | None = None, **conditions: Any) -> dict[str, Any]:
    return {
        "trial_id": trial_id,
        "status": status,
        "input_digest": None if status == "failed" else f"input of {trial_id}",
        "conditions": conditions,
        "clusters": {"speaker": cluster} if cluster else {},
    }


def line(trial_id: str, metric: str, value: float | None, status: str = "ok", **rest: Any) -> dict[str, Any]:
    reason = None if value is not None else f"reason of {status}"
    return {"trial_id": trial_id, "metric": metric, "value": value, "status": status, "reason": reason, **rest}


def make(
    folder: Path, metrics: Sequence[str], trials: list[Mapping[str, Any]], scores: list[Mapping[str, Any]]
) -> Path:
    write_json(
        folder / "run.json",
        {
            "schema": 1,
            "identity": {"task": {"trials": len(trials), "cluster": "speaker"}},
            "metrics": [{"id": name, "version": 1} for name in metrics],
        },
    )
    for name, rows in (("trials", trials), ("scores", scores)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def small(folder: Path) -> Path:
    """Five trials: one undefined, one failed, one to which the metric does not apply."""
    trials = [trial("a", cluster="x"), trial("b", cluster="x"), trial("c"), trial("d", "failed"), trial("e")]
    scores = [
        line("a", "si_sdr", 10.0),
        line("b", "si_sdr", 4.0),
        line("c", "si_sdr", None, "undefined"),
        line("d", "si_sdr", None, "failed"),
        line("e", "si_sdr", None, "not_applicable"),
    ]
    return make(folder, ["si_sdr"], trials, scores)


def test_a_hand_made_folder_has_the_means_of_a_hand(tmp_path: Path) -> None:
    found = summarise(small(tmp_path))
    assert found["trials"] == {"expected": 5, "attempted": 5, "ok": 4, "failed": 1, "timed_out": 0}
    cell = found["metrics"]["si_sdr"]
    assert (cell["attempted"], cell["applicable"], cell["scored"], cell["not_applicable"]) == (5, 4, 2, 1)
    assert cell["mean"] == cell["median"] == 7.0
    penalty = resolve("si_sdr").penalty
    assert cell["penalised_mean"] == (10.0 + 4.0 + 2 * penalty) / 4
    assert cell["reasons"] == {f"reason of {why}": 1 for why in ("undefined", "failed", "not_applicable")}
    assert (cell["unit"], cell["higher_is_better"]) == ("dB", True)
    assert cell["interval"] is None  # both scored trials are of one cluster
    assert cell["strata"] == {}


def test_conditions_have_a_place_for_every_trial() -> None:
    """Of a name that comes late and of one that stops too."""
    trials = summary.Trials()
    for row in [trial("a", mode="x"), trial("b"), trial("c", mode="y", snr_db=1.5), trial("d", snr_db=2.5)]:
        trials.add(row)
    assert trials.conditions == {"mode": ["x", None, "y", None], "snr_db": [None, None, 1.5, 2.5]}


def test_a_trial_costs_the_same_however_many_came_before() -> None:
    trials = summary.Trials()
    for place in range(20_000):
        trials.add(trial(str(place), mode="x", snr_db=1.5))
    peaks = []
    tracemalloc.start()
    for place in range(20_000, 20_020):
        row = trial(str(place), mode="x", snr_db=1.5)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        trials.add(row)
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert np.median(peaks) < 20_000  # a list of 20,000 places has 160,000 bytes


def test_the_summary_is_json(tmp_path: Path) -> None:
    json.dumps(summarise(small(tmp_path)), allow_nan=False)


def test_a_metric_that_applies_nowhere_has_no_mean(tmp_path: Path) -> None:
    folder = make(tmp_path, ["leakage"], [trial("a")], [line("a", "leakage", None, "not_applicable")])
    cell = summarise(folder)["metrics"]["leakage"]
    assert (cell["applicable"], cell["attempted"], cell["mean"], cell["penalised_mean"]) == (0, 1, None, None)


def test_nothing_scored_counts_as_the_penalty(tmp_path: Path) -> None:
    scores = [line("a", "snr", None, "failed"), line("a", "rate", None, "failed")]
    cells = summarise(make(tmp_path, ["snr", "rate"], [trial("a", "failed")], scores))["metrics"]
    assert (cells["snr"]["mean"], cells["snr"]["penalised_mean"]) == (None, resolve("snr").penalty)
    assert (cells["rate"]["mean"], cells["rate"]["penalised_mean"]) == (None, 1.0)


def test_a_run_without_lines_has_empty_cells(tmp_path: Path) -> None:
    found = summarise(make(tmp_path, ["snr"], [], []))
    assert found["metrics"]["snr"]["mean"] is None
    assert found["trials"]["attempted"] == 0


def test_lines_of_metrics_and_trials_that_do_not_belong_are_passed_over(tmp_path: Path) -> None:
    scores = [line("a", "snr", 1.0), line("a", "sdr", 5.0), line("ghost", "snr", 9.0)]
    found = summarise(make(tmp_path, ["snr"], [trial("a")], scores))
    assert list(found["metrics"]) == ["snr"]
    assert found["metrics"]["snr"]["mean"] == 1.0


def test_a_pooled_rate_is_of_sums(tmp_path: Path) -> None:
    counts = {"a": (1, 10), "b": (9, 10), "c": (0, 80)}
    scores = [line(k, "rate", e / n, counts={"errors": e, "total": n}) for k, (e, n) in counts.items()]
    trials = [trial(name) for name in counts]
    cell = summarise(make(tmp_path, ["rate"], trials, scores))["metrics"]["rate"]
    assert cell["mean"] == cell["penalised_mean"] == 0.1
    assert cell["p5"] == pytest.approx(np.quantile([0.1, 0.9, 0.0], 0.95))
    assert cell["interval"]["low"] <= 0.1 <= cell["interval"]["high"]


def test_an_undefined_score_of_a_pooled_rate_counts_with_the_mean_number_of_words(tmp_path: Path) -> None:
    scores = [line("a", "rate", 0.1, counts={"errors": 1, "total": 10}),
              line("b", "rate", 0.0, counts={"errors": 0, "total": 30}), line("c", "rate", None, "failed")]  # fmt: skip
    trials = [trial("a"), trial("b"), trial("c", "failed")]
    cell = summarise(make(tmp_path, ["rate"], trials, scores))["metrics"]["rate"]
    assert cell["mean"] == 1 / 40
    assert cell["penalised_mean"] == (1 + 20) / 60


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """200 random trials and the table of their scores."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "trial_id": [f"t{i}" for i in range(200)],
            "cluster": [f"s{i}" for i in rng.integers(0, 30, 200)],
            "gender": rng.choice(["same", "different"], 200),
            "snr": rng.uniform(-5, 5, 200),
            "speakers": rng.integers(2, 4, 200),
            "value": np.where(rng.random(200) < 0.1, np.nan, rng.normal(8, 4, 200)),
        }
    )
    trials = [
        trial(r.trial_id, cluster=r.cluster, gender=r.gender, snr=r.snr, speakers=r.speakers, only="one")
        for r in table.itertuples()
    ]
    scores = [
        line(r.trial_id, "si_sdr", *((None, "undefined") if np.isnan(r.value) else (r.value,)))
        for r in table.sample(frac=1, random_state=1).itertuples()
    ]
    return make(tmp_path, ["si_sdr"], trials, scores), table


def test_statistics_equal_pandas(large: tuple[Path, pd.DataFrame]) -> None:
    folder, table = large
    cell = summarise(folder)["metrics"]["si_sdr"]
    assert cell["scored"] == table.value.count()
    assert cell["mean"] == pytest.approx(table.value.mean())
    assert cell["median"] == pytest.approx(table.value.median())
    assert cell["p5"] == pytest.approx(table.value.quantile(0.05))
    assert cell["penalised_mean"] == pytest.approx(table.value.fillna(resolve("si_sdr").penalty).mean())


def test_the_interval_is_over_the_clusters_of_scored_trials(large: tuple[Path, pd.DataFrame]) -> None:
    folder, table = large
    scored = table.dropna()
    expected = mean_interval(scored.value, scored.cluster)
    found = summarise(folder)["metrics"]["si_sdr"]["interval"]
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["clusters"] == scored.cluster.nunique()


def test_strata_equal_pandas(large: tuple[Path, pd.DataFrame]) -> None:
    folder, table = large
    strata = summarise(folder)["metrics"]["si_sdr"]["strata"]
    assert set(strata) == {"gender", "snr", "speakers"}  # "only" has one value and splits nothing
    for name in ("gender", "speakers"):
        expected = table.groupby(table[name].astype(str)).value
        assert {k: v["mean"] for k, v in strata[name].items()} == pytest.approx(expected.mean().to_dict())
        assert {k: v["applicable"] for k, v in strata[name].items()} == expected.size().to_dict()
        assert {k: v["scored"] for k, v in strata[name].items()} == expected.count().to_dict()


def test_numbers_fall_into_three_bands_of_equal_counts(large: tuple[Path, pd.DataFrame]) -> None:
    folder, table = large
    bands = summarise(folder)["metrics"]["si_sdr"]["strata"]["snr"]
    expected = table.groupby(pd.qcut(table.snr, 3), observed=True).value
    assert sorted(band["mean"] for band in bands.values()) == pytest.approx(sorted(expected.mean()))
    assert all(band["applicable"] in (66, 67) for band in bands.values())


def test_trials_without_a_condition_are_a_stratum_of_their_own(tmp_path: Path) -> None:
    trials = [trial("a", snr=1.0), trial("b", snr=2.0), trial("c")]
    scores = [line(name, "snr", value) for name, value in (("a", 1.0), ("b", 2.0), ("c", 6.0))]
    strata = summarise(make(tmp_path, ["snr"], trials, scores))["metrics"]["snr"]["strata"]
    assert {label: cell["mean"] for label, cell in strata["snr"].items()} == {"1.0": 1.0, "2.0": 2.0, "None": 6.0}


def bounds(rows: Mapping[str, float], ids: Sequence[str] = "abc", metric: str = "si_sdr") -> Baselines:
    known = Baselines()
    for row, value in rows.items():
        for trial_id in ids:
            known.add(f"input of {trial_id}", {metric: Score(value)}, row)
    return known


def three(folder: Path, value: float, metric: str = "si_sdr") -> Path:
    return make(folder, [metric], [trial(name) for name in "abc"], [line(name, metric, value) for name in "abc"])


def test_the_position_is_0_at_the_mixture_and_1_at_the_tightest_upper_bound(tmp_path: Path) -> None:
    known = bounds({MIXTURE: 0.0, f"{UPPER}clean": 100.0, f"{UPPER}oracle-irm": 12.0, "silence": -20.0})
    for value, position in ((0.0, 0.0), (12.0, 1.0), (9.0, 0.75), (-3.0, -0.25)):
        found = summarise(three(tmp_path, value), known)["metrics"]["si_sdr"]["bounds"]
        assert found["position"] == {"value": pytest.approx(position), "lower": "mixture", "upper": "oracle-irm"}
        assert found["rows"] == {MIXTURE: 0, f"{UPPER}clean": 100, f"{UPPER}oracle-irm": 12, "silence": -20}


def test_the_position_runs_the_same_way_where_lower_is_better(tmp_path: Path) -> None:
    known = bounds({MIXTURE: 0.8, f"{UPPER}clean": 0.0}, metric="wrong_target")
    found = summarise(three(tmp_path, 0.2, "wrong_target"), known)["metrics"]["wrong_target"]["bounds"]
    assert found["position"]["value"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    "rows",
    [{}, {MIXTURE: 0.0}, {f"{UPPER}clean": 100.0}, {MIXTURE: 5.0, f"{UPPER}oracle-irm": 4.0}],
)
def test_without_both_bounds_there_is_no_position(tmp_path: Path, rows: Mapping[str, float]) -> None:
    assert summarise(three(tmp_path, 3.0), bounds(rows))["metrics"]["si_sdr"]["bounds"]["position"] is None
    assert summarise(three(tmp_path, 3.0), None)["metrics"]["si_sdr"]["bounds"] == {"rows": {}, "position": None}


def test_a_bound_that_was_run_on_other_trials_is_not_used(tmp_path: Path) -> None:
    known = bounds({MIXTURE: 0.0, f"{UPPER}clean": 100.0}, ids="ab")
    assert summarise(three(tmp_path, 3.0), known)["metrics"]["si_sdr"]["bounds"]["rows"] == {}


def test_a_bound_is_remembered_without_its_failures(tmp_path: Path) -> None:
    known = Baselines()
    remember_bound(small(tmp_path), f"{UPPER}clean", known)
    metric = resolve("si_sdr")
    found = {name: known.find(f"input of {name}", [metric], f"{UPPER}clean") for name in "abcde"}
    assert found["a"] == {"si_sdr": Score(10.0)}
    assert found["c"]["si_sdr"].status is Status.UNDEFINED
    assert found["d"] == {}
    assert found["e"]["si_sdr"].status is Status.NOT_APPLICABLE
    assert known.find("input of a", [metric]) == {}


def test_strata_have_intervals_where_there_are_clusters_enough(large: tuple[Path, pd.DataFrame]) -> None:
    folder, table = large
    strata = summarise(folder)["metrics"]["si_sdr"]["strata"]["gender"]
    scored = table.dropna()
    for label, rows in scored.groupby("gender"):
        expected = mean_interval(rows.value, rows.cluster, draws=summary.STRATUM_DRAWS)
        found = strata[label]["interval"]
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
        assert found["clusters"] == rows.cluster.nunique()


def test_strata_of_few_clusters_have_none(tmp_path: Path) -> None:
    trials = [trial(f"t{i}", cluster=f"c{i % 7}", side="left" if i < 21 else "right") for i in range(42)]
    cell = summarise(make(tmp_path, ["snr"], trials, [line(f"t{i}", "snr", float(i)) for i in range(42)]))
    assert [each["interval"] for each in cell["metrics"]["snr"]["strata"]["side"].values()] == [None, None]


@pytest.mark.parametrize("metric", ["si_sdr", "rate"])
def test_the_worst_trials_of_the_first_metric(tmp_path: Path, metric: str) -> None:
    values = {f"t{i:02d}": float((7 * i) % 31) for i in range(30)}
    scores = [line(name, metric, value, counts={"errors": value, "total": 31}) for name, value in values.items()]
    scores[3] = line("t03", metric, None, "failed")
    scores[4] = line("t04", metric, None, "not_applicable")
    found = summarise(make(tmp_path, [metric, "snr"], [trial(name) for name in values], scores))["worst"]
    rest = {name: value for name, value in values.items() if name not in ("t03", "t04")}
    order = sorted(rest, key=rest.__getitem__, reverse=metric == "rate")
    assert found["metric"] == metric
    assert [row["trial_id"] for row in found["trials"]] == ["t03", *order[:9]]
    assert [row["value"] for row in found["trials"]] == [None, *(rest[name] for name in order[:9])]


def test_quality_where_the_right_target_came_out(tmp_path: Path) -> None:
    scores = [
        *(line(name, "si_sdr", value) for name, value in (("a", 10.0), ("b", 6.0), ("c", -9.0), ("d", 4.0))),
        *(line(name, "wrong_target", value) for name, value in (("a", 0.0), ("b", 0.0), ("c", 1.0))),
        line("d", "wrong_target", None, "not_applicable"),
    ]
    folder = make(tmp_path, ["wrong_target", "si_sdr"], [trial(name) for name in "abcd"], scores)
    found = summarise(folder)["wrong_target"]
    assert (found["rate"], found["scored"]) == (pytest.approx(1 / 3), 3)
    assert found["interval"]["low"] <= found["rate"] <= found["interval"]["high"]
    right = found["right_target"]
    assert (right["metric"], right["mean"], right["scored"]) == ("si_sdr", 8.0, 2)


def test_without_wrong_target_nothing_is_said_about_it(tmp_path: Path) -> None:
    assert summarise(small(tmp_path))["wrong_target"] is None
