"""Ranks, intervals, ties, positions and flags against figures found another way; identities that differ stand apart."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench.leaderboard import add
from tspbench.leaderboard.build import read_tables
from tspbench.leaderboard.tables import Table

Finished = Callable[..., Path]


def rows_of(table: Table) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in table["rows"]}


def test_systems_are_ranked_by_the_penalised_mean_and_bounds_are_not(root: Path, finished: Finished) -> None:
    scores = {"steady": [3.0, 4.0, 5.0, 4.0], "gaps": [9.0, None, 9.0, 9.0], "low": [1.0, 1.0, 1.0, 0.0]}
    for label, values in scores.items():
        add(finished(label, {"si_sdr": values}), root)
    add(finished("oracle", {"si_sdr": [20.0] * 4}, role="bound"), root)
    (table,) = read_tables(root)
    assert [(row["label"], row["rank"]) for row in table["rows"]] == [
        ("steady", 1),
        ("low", 2),
        ("gaps", 3),
        ("oracle", None),
    ]
    cell = rows_of(table)["gaps"]["cells"]["si_sdr"]
    assert cell["penalised_mean"] == pytest.approx((27 - 50) / 4)
    assert (cell["mean"], cell["scored"], cell["applicable"]) == (9.0, 3, 4)


def test_equal_means_share_a_rank_and_lower_is_better_where_the_metric_says_so(root: Path, finished: Finished) -> None:
    declared = {
        "id": "wer_mean",
        "version": 1,
        "parameters": {},
        "level": None,
        "penalty": 1.0,
        "aggregate": "mean",
        "packages": {},
    }
    for label, values in {"a": [0.2, 0.4], "b": [0.4, 0.2], "c": [0.1, 0.1]}.items():
        add(finished(label, {"wer_mean": values}, metrics=[declared]), root)
    (table,) = read_tables(root)
    assert [(row["label"], row["rank"]) for row in table["rows"]] == [("c", 1), ("a", 2), ("b", 2)]


def test_position_lies_between_mixture_and_the_tightest_bound_above(root: Path, finished: Finished) -> None:
    means = {"mixture": 0.0, "silence": -30.0, "oracle-a": 10.0, "oracle-b": 16.0}
    for label, mean in means.items():
        add(finished(label, {"si_sdr": [mean - 1, mean + 1]}, role="bound"), root)
    add(finished("mine", {"si_sdr": [3.0, 5.0]}), root)
    found = {label: row["cells"]["si_sdr"]["position"] for label, row in rows_of(read_tables(root)[0]).items()}
    assert found == {"mine": 0.4, "mixture": 0.0, "silence": -3.0, "oracle-a": 1.0, "oracle-b": 1.6}


def test_systems_that_are_alike_share_a_letter_and_the_others_do_not(board: Path) -> None:
    rows = rows_of(read_tables(board)[0])
    assert rows["good"]["tie"] == rows["alike"]["tie"] == "a"
    assert rows["weak"]["tie"] == "b"
    assert rows["mixture"]["tie"] is None
    cell = rows["good"]["cells"]["si_sdr"]
    assert cell["low"] < cell["mean"] < cell["high"]


def test_strata_hold_the_means_of_their_trials(board: Path) -> None:
    (table,) = read_tables(board)
    hard = np.random.default_rng(0).normal(0, 3, 40)
    for label, place in {"high": slice(0, None, 2), "low": slice(1, None, 2)}.items():
        mean, trials = table["strata"]["si_sdr"]["snr"][label]["mixture"]
        assert (mean, trials) == (pytest.approx(hard[place].mean(), rel=1e-4), 20)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identity__task__trial_list": "cd" * 32}, "task.trial_list: abababababab… there, cdcdcdcdcdcd… here"),
        ({"identity__task__reader": "r"}, "task.reader:  there, r here"),
        ({"identity__protocol__sample_rate": 16000}, "protocol.sample_rate: 8000 there, 16000 here"),
        (
            {
                "metrics": [
                    {
                        "id": "si_sdr",
                        "version": 2,
                        "parameters": {"zero_mean": False},
                        "level": None,
                        "penalty": -50.0,
                        "aggregate": "mean",
                        "packages": {},
                        "instrument": None,
                    }
                ]
            },
            "first_metric.version: 1 there, 2 here",
        ),
    ],
)
def test_another_identity_gets_another_table_that_says_what_differs(
    root: Path, finished: Finished, changes: dict[str, Any], said: str
) -> None:
    add(finished("one"), root)
    add(finished("two"), root)
    add(finished("other", **changes), root)
    first, second = read_tables(root)
    assert ([row["label"] for row in first["rows"]], first["differs"]) == (["one", "two"], [])
    assert [row["label"] for row in second["rows"]] == ["other"]
    assert said in second["differs"]
    assert first["slug"] != second["slug"]
    assert first["slug"].startswith("small-")


def test_scores_by_another_definition_never_share_a_column(root: Path, finished: Finished) -> None:
    first = {
        "id": "si_sdr",
        "version": 1,
        "parameters": {},
        "level": None,
        "penalty": -50.0,
        "aggregate": "mean",
        "packages": {},
    }
    heard = first | {"id": "wer_mean", "penalty": 1.0}
    both = {"si_sdr": [1.0, 2.0], "wer_mean": [0.1, 0.3]}
    for label, instrument in {"a": "model 1", "b": "model 2"}.items():
        add(finished(label, both, metrics=[first, heard | {"instrument": instrument}]), root)
    (table,) = read_tables(root)
    assert [column["id"] for column in table["columns"]] == ["si_sdr", "wer_mean", "wer_mean"]
    shared = {
        column["key"]: [row["label"] for row in table["rows"] if column["key"] in row["cells"]]
        for column in table["columns"]
    }
    assert sorted(map(tuple, shared.values())) == [("a",), ("a", "b"), ("b",)]


def test_how_a_system_was_run_does_not_part_a_table(root: Path, finished: Finished) -> None:
    add(finished("one"), root)
    add(
        finished(
            "two",
            identity__protocol__device="cuda",
            identity__protocol__batch_size=8,
            identity__protocol__precision="bfloat16",
        ),
        root,
    )
    (table,) = read_tables(root)
    assert rows_of(table)["two"]["how"] == {"device": "cuda", "batch_size": 8, "seed": 0, "precision": "bfloat16"}
    assert ("precision", "bfloat16") in flags(table, "two")


def flags(table: Table, label: str) -> set[tuple[str, str]]:
    return {(flag["kind"], flag["text"]) for flag in rows_of(table)[label]["flags"]}


def test_every_flag_is_raised_by_what_it_is_named_for(root: Path, finished: Finished) -> None:
    (root / "corpora.csv").write_text("test,training,relation\nsmall,bounds,same corpus\n")
    (root / "results" / "systems.json").write_text(
        '{"digest-of-known": {"bundled": false, "training_sets": ["Out of bounds"]}}'
    )
    counts = {"expected": 4, "attempted": 4, "ok": 3, "failed": 1, "timed_out": 0}
    add(finished("plain"), root)
    add(
        finished(
            "all",
            side_information=["the negative caption"],
            synthetic=True,
            aligned=False,
            code__dirty=True,
            counts=counts,
        ),
        root,
        allow_dirty=True,
    )
    assert flags(read_tables(root)[0], "plain") == {("no card", "what it was trained on and told is not declared")}
    assert {kind for kind, _ in flags(read_tables(root)[0], "all")} == {
        "side information",
        "synthetic task",
        "unaligned",
        "dirty",
        "failed trials",
        "no card",
    }
    add(finished("nmf", identity__task__name="small"), root)
    assert flags(read_tables(root)[0], "nmf") == {("bundled", "comes with tspbench")}


def test_training_on_the_test_corpus_is_flagged(root: Path, finished: Finished) -> None:
    (root / "corpora.csv").write_text("test,training,relation\nsmall,little corpus,same corpus\n")
    add(finished("mine"), root)
    card = '{"digest-of-mine": {"bundled": false, "training_sets": ["Little-Corpus (train)", "Elsewhere"]}}'
    (root / "results" / "systems.json").write_text(card)
    assert flags(read_tables(root)[0], "mine") == {("train/test overlap", "Little-Corpus (train) (same corpus)")}


def test_the_order_of_the_files_does_not_matter(root: Path, finished: Finished) -> None:
    labels = [f"s{i}" for i in range(6)]
    random.Random(1).shuffle(labels)
    for label in labels:
        add(finished(label, {"si_sdr": [1.0, 2.0]}), root)
    assert [row["label"] for row in read_tables(root)[0]["rows"]] == sorted(labels)
