"""Comparisons against hand-made pairs, pandas and simulation; refusals in words."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench import sealed, stats
from tspbench.compare import _letter_groups, compare, tie_groups
from tspbench.errors import CannotMeasure, OtherIdentity, UnknownName, UsageError
from tspbench.pairing import paired
from tspbench.sealed import Sealed

Make = Callable[..., Sealed]


def normal(count: int, seed: int, mean: float = 0.0, spread: float = 1.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, spread, count).tolist()


def only(made: list[Sealed] | tuple[Sealed, ...], **settings: object) -> object:
    comparisons = compare(made, **settings).comparisons
    assert len(comparisons) == 1
    return comparisons[0]


def test_a_difference_is_of_the_means_and_its_interval_of_the_paired_differences(sealed_result: Make) -> None:
    base, gain, clusters = np.array(normal(60, 1, 5, 4)), np.array(normal(60, 2, 1, 0.5)), np.arange(60) // 3
    found = only(
        [
            sealed_result({"si_sdr": list(base + gain)}, clusters),
            sealed_result({"si_sdr": list(base)}, clusters, label="two"),
        ]
    )
    assert found.difference == pytest.approx(gain.mean())
    assert found.means == pytest.approx(((base + gain).mean(), base.mean()))
    expected = stats.mean_interval(gain, clusters.astype(str))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.p == found.p_corrected == pytest.approx(stats.sign_flip_p(gain, clusters.astype(str)))
    assert (found.first, found.second, found.trials, found.clusters) == ("one", "two", 60, 20)
    assert found.verdict == "better"


def test_a_lower_error_rate_is_better_and_is_of_sums(sealed_result: Make) -> None:
    words = np.random.default_rng(0).integers(5, 20, 40)
    few, many = [(n // 5, int(n)) for n in words], [(n // 2, int(n)) for n in words]
    found = only([sealed_result({"wer": few}), sealed_result({"wer": many}, label="two")])
    rates = [sum(e for e, _ in counts) / words.sum() for counts in (few, many)]
    assert found.means == pytest.approx(tuple(rates))
    assert found.difference == pytest.approx(rates[0] - rates[1])
    assert found.verdict == "better"
    assert found.interval.high < 0


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [(0.02, 0.1, "equal"), (1.0, 0.1, "better"), (-1.0, 0.1, "worse"), (0.1, 3.0, "undecided"), (0.0, 0.0, "equal")],
)
def test_verdicts(sealed_result: Make, shift: float, spread: float, verdict: str) -> None:
    base = np.array(normal(50, 1, 5, 4))
    other = base + shift + np.array(normal(50, 2, 0, 1)) * spread
    assert (
        only([sealed_result({"si_sdr": list(other)}), sealed_result({"si_sdr": list(base)}, label="b")]).verdict
        == verdict
    )


def test_two_results_without_a_rare_error_are_equal_only_if_there_are_many_trials(sealed_result: Make) -> None:
    few, many = ([sealed_result({"wrong_target": [0.0] * n}, label=name) for name in "ab"] for n in (24, 1000))
    assert only(few).verdict == "undecided"
    assert only(many).verdict == "equal"  # 1 - 0.025 ** (1 / 1000) = 0.0037 < 0.005


def test_a_margin_decides_what_is_equal(sealed_result: Make) -> None:
    base = np.array(normal(50, 1))
    pair = [sealed_result({"si_sdr": list(base + 0.3)}), sealed_result({"si_sdr": list(base)}, label="b")]
    assert only(pair).verdict == "better"
    assert only(pair, margins={"si_sdr": 0.5}).verdict == "equal"
    assert only([sealed_result({"estoi": list(base)}), sealed_result({"estoi": list(base)}, label="b")]).margin is None
    for margins in ({"si_sdr": 0.0}, {"si_sdr": float("nan")}, {"snr": 1.0}):
        with pytest.raises(UsageError):
            compare(pair, margins=margins)


def test_failures_count_as_the_penalty_and_are_told(sealed_result: Make) -> None:
    good = normal(40, 1, 10)
    found = compare([sealed_result({"si_sdr": [*good[:-4], *[None] * 4]}), sealed_result({"si_sdr": good}, label="b")])
    one = found.comparisons[0]
    assert one.means[0] == pytest.approx((sum(good[:-4]) - 4 * 50) / 40)
    assert one.penalised == (4, 0)
    assert any("4 and 0 without a score count as the penalty" in line for line in found.notes())


def test_a_failed_trial_of_a_pooled_rate_has_the_words_that_the_other_result_counted(sealed_result: Make) -> None:
    one = sealed_result({"wer": [None, (1, 10), None, (0, 20)]})
    two = sealed_result({"wer": [(3, 30), (1, 10), None, (0, 20)]}, label="b")
    pair = paired(one, two, "wer")
    usual = np.mean([10, 20, 30, 10, 20])
    assert pair.first.bottoms.tolist() == [30, 10, usual, 20]
    assert pair.first.tops.tolist() == [30, 1, usual, 0]  # a penalty of 1: every word is wrong
    assert pair.second.tops.tolist() == [3, 1, usual, 0]


def test_trials_to_which_a_metric_applies_in_one_result_only_are_left_out_and_counted(sealed_result: Make) -> None:
    one = sealed_result({"si_sdr": ["-", *normal(20, 1)]})
    two = sealed_result({"si_sdr": [1.0, *normal(20, 2)]}, label="b")
    found = compare([one, two])
    assert (found.comparisons[0].trials, found.comparisons[0].left_out) == (20, 1)
    assert any("1 trials left out" in line for line in found.notes())
    with pytest.raises(CannotMeasure, match="No trial has a value"):
        compare([sealed_result({"si_sdr": ["-"] * 9}), sealed_result({"si_sdr": ["-"] * 9}, label="b")])


def test_strata_are_compared_on_request_and_corrected_together(sealed_result: Make) -> None:
    conditions = [{"gender_pair": "FM" if i % 2 else "MM"} for i in range(60)]
    base = np.array(normal(60, 1))
    gain = np.array(normal(60, 2, 0.5)) + np.array([1.0 if i % 2 else 0.0 for i in range(60)])
    pair = [
        sealed_result({"si_sdr": list(base + gain)}, None, conditions),
        sealed_result({"si_sdr": list(base)}, None, conditions, "b"),
    ]
    found = compare(pair, by=["gender_pair"])
    assert [(each.condition, each.stratum, each.trials) for each in found.comparisons] == [
        (None, None, 60),
        ("gender_pair", "FM", 30),
        ("gender_pair", "MM", 30),
    ]
    assert found.comparisons[1].difference == pytest.approx(gain[1::2].mean())
    assert [each.p_corrected for each in found.comparisons] == stats.holm([each.p for each in found.comparisons])
    assert found.tested == 3
    assert compare(pair, by=["all"]) == found
    with pytest.raises(UnknownName, match="Did you mean gender_pair"):
        compare(pair, by=["gender"])


def test_too_few_clusters_get_no_verdict(sealed_result: Make) -> None:
    found = compare([sealed_result({"si_sdr": [9.0] * 7}), sealed_result({"si_sdr": [1.0] * 7}, label="b")])
    one = found.comparisons[0]
    assert (one.interval, one.p, one.verdict, found.tested) == (None, None, "undecided", 0)
    assert any("below 8 clusters" in line for line in found.notes())


def test_three_results_are_three_pairs_and_a_gain_is_not_tested_beside_its_base(sealed_result: Make) -> None:
    made = [
        sealed_result({"si_sdr": normal(20, i), "si_sdr_i": normal(20, i)}, label=name) for i, name in enumerate("abc")
    ]
    found = compare(made)
    assert [(each.first, each.second) for each in found.comparisons] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert {each.metric for each in found.comparisons} == {"si_sdr"}
    assert {each.metric for each in compare(made, ["si_sdr_i"]).comparisons} == {"si_sdr_i"}


def test_equal_labels_are_told_apart(sealed_result: Make) -> None:
    one = sealed_result({"si_sdr": normal(20, 1)})
    other = replace(one, identity={**one.identity, "system": {"digest": "other-digest"}})
    found = compare([one, other, other]).comparisons
    assert [each.second for each in found] == ["one (other-di) #2", "one (other-di) #3", "one (other-di) #3"]


def identity(task: dict[str, object] | None = None, rate: int = 8000) -> dict[str, object]:
    return {"task": {"trial_list": "a" * 64, **(task or {})}, "protocol": {"sample_rate": rate}, "system": {}}


CHANGES = {
    "task.trial_list: aaaaaaaaaaaa… and b": {"identity": identity({"trial_list": "b"})},
    "task.options.split: none and 2": {"identity": identity({"options": {"split": 2}})},
    "protocol.sample_rate: 8000 and 16000": {"identity": identity(rate=16000)},
    "metric si_sdr.version: 1 and 2": {"version": 2},
    "metric si_sdr.instrument: none and whisper": {"instrument": "whisper"},
    "trials: 20 and 20, ids differ": {"trial_ids": tuple(f"x{i}" for i in range(20))},
}


@pytest.mark.parametrize("difference", CHANGES)
def test_other_measurements_are_refused_with_what_differs(sealed_result: Make, difference: str) -> None:
    one, two = (sealed_result({"si_sdr": normal(20, i)}, label=name) for i, name in enumerate("ab"))
    change = dict(CHANGES[difference])
    if not {"identity", "trial_ids"} & set(change):
        change = {"metrics": ({**two.metrics[0], **change},)}
    other = replace(two, **change)
    with pytest.raises(OtherIdentity) as refusal:
        compare([one, other])
    assert difference in str(refusal.value)
    if "trial_ids" not in change:
        found = compare([one, other], allow_different=True)
        assert difference in " ".join(found.different)
        assert found.notes()[0].startswith("NOT THE SAME MEASUREMENT")
        assert found.as_dict()["identity_differs"]


def test_how_systems_were_run_is_told_not_refused(sealed_result: Make) -> None:
    one, two = (sealed_result({"si_sdr": normal(20, i)}, label=name) for i, name in enumerate("ab"))
    protocol = {**two.identity["protocol"], "seed": 3, "device": "cuda"}
    metrics = ({**two.metrics[0], "packages": {"numpy": "9"}},)
    other = replace(two, identity={**two.identity, "protocol": protocol}, metrics=metrics, side_information=("lips",))
    found = compare([one, other])
    assert not found.different
    assert found.remarks == (
        "protocol.device: none and cuda", "protocol.seed: 0 and 3", "side information: none and lips",
        "package.numpy: none and 9",
    )  # fmt: skip


def test_questions_without_an_answer_are_refused(sealed_result: Make) -> None:
    one = sealed_result({"si_sdr": normal(20, 1)})
    with pytest.raises(UsageError, match="at least two"):
        compare([one])
    with pytest.raises(UnknownName, match="Did you mean si_sdr"):
        compare([one, one], ["si_sdrr"])
    with pytest.raises(UsageError, match="share no metric"):
        compare([one, sealed_result({"snr": normal(20, 1)})])


def test_a_report_is_json_and_flat(sealed_result: Make) -> None:
    one, two = (sealed_result({"si_sdr": normal(20, i)}, label=name) for i, name in enumerate("ab"))
    held = json.loads(json.dumps(compare([one, two]).as_dict(), allow_nan=False))
    row = held["comparisons"][0]
    assert row["low"] < row["difference"] < row["high"]
    assert not any(isinstance(value, dict | list) for value in row.values())


def test_tie_groups_go_from_best_to_worst(sealed_result: Make) -> None:
    base = np.array(normal(60, 1, 5, 4))
    gains = {"low": 0.0, "high": 3.0, "high too": 3.05, "middle": 1.5}
    made = [
        sealed_result({"si_sdr": list(base + gain + np.array(normal(60, i, 0, 0.4)))}, label=name)
        for i, (name, gain) in enumerate(gains.items())
    ]
    groups = tie_groups(made, "si_sdr")
    assert [sorted(group) for group in groups] == [["high", "high too"], ["middle"], ["low"]]
    assert [sorted(group) for group in tie_groups(made[::-1], "si_sdr")] == [sorted(group) for group in groups]
    assert tie_groups([], "si_sdr") == []


def test_two_results_share_a_tie_group_exactly_where_they_are_not_told_apart(sealed_result: Make) -> None:
    base = np.array(normal(60, 1, 5, 4))
    spreads = {"best": (3.0, 0.3), "noisy": (1.5, 9.0), "worst": (0.0, 0.3), "best too": (2.99, 0.3)}
    made = [
        sealed_result({"si_sdr": list(base + gain + np.array(normal(60, i, 0, spread)))}, label=name)
        for i, (name, (gain, spread)) in enumerate(spreads.items())
    ]
    groups = tie_groups(made, "si_sdr")
    assert [sorted(group) for group in groups] == [["best", "best too", "noisy"], ["noisy", "worst"]]
    for each in compare(made).comparisons:
        together = any({each.first, each.second} <= set(group) for group in groups)
        assert together == (each.verdict not in ("better", "worse"))


@given(st.integers(0, 7), st.data())
def test_letters_are_the_largest_groups_without_a_pair_that_is_apart(count: int, data: st.DataObject) -> None:
    names = "abcdefg"[:count]
    pairs = [frozenset(pair) for pair in itertools.combinations(names, 2)]
    apart = [pair for pair in pairs if data.draw(st.booleans())]
    subsets = [set(c) for k in range(1, count + 1) for c in itertools.combinations(names, k)]
    fit = [group for group in subsets if not any(pair <= group for pair in apart)]
    largest = [group for group in fit if not any(group < other for other in fit)]
    assert sorted(map(sorted, largest)) == _letter_groups(names, apart)


def test_tie_groups_of_an_error_rate_begin_with_the_lowest(sealed_result: Make) -> None:
    made = [sealed_result({"wer": [(k, 10)] * 12}, label=str(k)) for k in (5, 1, 1)]
    assert tie_groups(made, "wer") == [["1 (11111111) #2", "1 (11111111) #3"], ["5"]]


@pytest.mark.slow
def test_no_more_than_one_family_in_twenty_has_a_false_claim(sealed_result: Make) -> None:
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(400):
        clusters = np.repeat(np.arange(20), rng.integers(1, 6, 20))
        values = [rng.normal(0, 1, 20)[clusters] + rng.normal(0, 1, len(clusters)) for _ in range(3)]
        results = [sealed_result({"si_sdr": list(v)}, clusters, label=n) for v, n in zip(values, "abc", strict=True)]
        false += any(each.verdict in ("better", "worse") for each in compare(results).comparisons)
    assert false / 400 < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 400)


def test_a_run_does_not_differ_from_itself() -> None:
    golden = sealed.read(Path(__file__).parent / "golden" / "run-schema-1")
    found = compare([golden, golden])
    assert {each.difference for each in found.comparisons} == {0.0}
