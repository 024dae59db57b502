"""Whole profiles of systems whose costs are known."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tspbench
from tspbench.errors import OtherIdentity, UsageError
from tspbench.profile.latency import Cell, cells, reference_length
from tspbench.profile.request import Request
from tspbench.profile.run import Outcome, profile_systems
from tspbench.types import TaskKind

SYSTEMS = Path(__file__).with_name("profiled_systems.py")
MIB = 1 << 20
FIGURES = {
    "reference_seconds", "load_s", "first_call_s", "latency_p50_s", "latency_p95_s", "latency_p99_s", "rtf",
    "throughput_x", "peak_cpu_bytes", "peak_gpu_torch_bytes", "peak_gpu_driver_bytes", "parameters",
    "trainable_parameters", "macs_per_s", "length_exponent", "algorithmic_latency_s", "idle_share",
}  # fmt: skip


@pytest.fixture
def profile(tiny: Callable[..., Path], tmp_path: Path) -> Callable[..., Outcome]:
    """Profile a class of profiled_systems.py on noise at 8 kHz."""
    tasks: dict[TaskKind, Path] = {}

    def measure(name: str, kind: TaskKind = TaskKind.LASS, options: tuple[str, ...] = (), **settings: Any) -> Outcome:
        task = tasks.setdefault(kind, tiny(4, kind, f"tiny-{kind}"))
        settings = {"seconds": (1.0, 2.0), "batch": (1, 2), "budget_s": 5.0, "out": tmp_path / "out", **settings}
        return profile_systems([f"{SYSTEMS}:{name}"], Request(task=str(task), device="cpu", **settings), options)[0]

    return measure


def rows(outcome: Outcome) -> dict[tuple[float, int], Any]:
    assert outcome.record is not None
    return {(row["seconds"], row["batch"]): row for row in outcome.record["table"]}


def test_record_is_whole(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Sleeper", budget_s=0.5)
    assert outcome.record is not None
    system = outcome.record["system"]
    assert outcome.paths[0].name == f"Sleeper-{system['digest'][:8]}.json"
    assert json.loads(outcome.paths[0].read_text()) == outcome.record
    assert (outcome.record["schema"], outcome.record["kind"]) == (1, "profile")
    assert set(outcome.record["figures"]) == FIGURES
    assert all(v is None or isinstance(v, int | float) for v in outcome.record["figures"].values())
    assert set(system) == {"name", "digest", "options", "code", "weights"}
    assert outcome.record["figures"]["parameters"] is None
    assert outcome.record["settings"]["calls"] == ["extract"]
    assert outcome.record["hardware_key"].endswith("no GPU")


def test_sleep_grows_with_length_and_is_shared_by_a_batch(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Sleeper", seconds=(1.0, 4.0, 10.0, 12.0), budget_s=6.0)
    assert outcome.record is not None
    figures, table = outcome.record["figures"], rows(outcome)
    assert figures["reference_seconds"] == 10.0
    assert 0.1 <= figures["latency_p50_s"] <= 0.15
    assert 0.01 <= figures["rtf"] <= 0.015
    assert 0.8 <= figures["length_exponent"] <= 1.1
    assert figures["first_call_s"] >= 0.1
    assert table[12.0, 2]["p50_s"] < 1.5 * table[12.0, 1]["p50_s"]
    assert figures["throughput_x"] == max(row["throughput_x"] for row in table.values())
    assert table[12.0, 2]["throughput_x"] == pytest.approx(24.0 / table[12.0, 2]["p50_s"], rel=1e-4)
    assert figures["algorithmic_latency_s"] == 0.0


def test_first_call_beside_warm_ones(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Awakening", seconds=(1.0,), batch=(1,))
    assert outcome.record is not None
    first = outcome.record["first_call"]
    assert first["cold_s"] >= 0.25
    assert first["extra_s"] == pytest.approx(first["cold_s"] - first["warm_p50_s"], rel=1e-3)
    assert first["extra_s"] >= 0.2


def test_memory_of_known_arrays(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Hoarder", seconds=(1.0, 2.0), batch=(1,))
    assert outcome.record is not None
    load, table = outcome.record["load"], rows(outcome)
    if load["rss_before"] is None:
        pytest.skip("the kernel does not tell the resident set size")
    assert 62 * MIB <= load["rss_after"] - load["rss_before"] <= 68 * MIB  # a little fits into what was free
    assert 94 * MIB <= table[2.0, 1]["peak_cpu_bytes"] - load["rss_after"] <= 102 * MIB
    assert outcome.record["figures"]["peak_cpu_bytes"] == max(row["peak_cpu_bytes"] for row in table.values())
    if load["peaks_start_over"]:  # the first call was on 2 s, and is forgotten
        assert table[1.0, 1]["peak_cpu_bytes"] - load["rss_after"] <= 8 * MIB


def test_a_cell_that_raises_costs_that_cell(profile: Callable[..., Outcome]) -> None:
    table = rows(profile("Starved", options=("how=value", "size=2", "seconds=1"), seconds=(0.5, 1.0, 2.0)))
    assert {key: row["status"] for key, row in table.items()} == {
        (0.5, 1): "ok", (0.5, 2): "ok", (1.0, 1): "ok", (1.0, 2): "failed", (2.0, 1): "ok", (2.0, 2): "failed",
    }  # fmt: skip
    assert table[2.0, 2]["reason"] == "ValueError: too long for me"
    assert table[2.0, 2]["p50_s"] is None


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_larger_cells_are_not_tried_without_memory(profile: Callable[..., Outcome], how: str) -> None:
    settings = {"seconds": (0.5, 1.0, 2.0), "batch": (1, 2, 3), "budget_s": 10.0}
    table = rows(profile("Starved", options=(f"how={how}", "size=2", "seconds=1"), **settings))
    status = {key: row["status"] for key, row in table.items()}
    assert status[1.0, 2] == "failed"
    assert {status[1.0, 3], status[2.0, 2], status[2.0, 3]} == {"left_out"}
    assert {status[2.0, 1], status[0.5, 3], status[1.0, 1]} == {"ok"}
    assert "memory" in table[1.0, 2]["reason"].lower()
    assert "ran out of memory" in table[2.0, 3]["reason"]


def test_a_call_without_end(profile: Callable[..., Outcome]) -> None:
    table = rows(profile("Starved", options=("how=hang", "size=2"), time_limit_s=2.0, budget_s=20.0))
    assert table[2.0, 2]["reason"] == "no answer within 2 s"
    assert table[2.0, 1]["status"] == "ok"


def test_first_call_that_fails(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Starved", options=("how=value", "size=1"))
    assert outcome.record is not None
    assert outcome.record["figures"]["first_call_s"] is None
    assert "too long" in outcome.record["first_call"]["reason"]
    assert outcome.record["figures"]["reference_seconds"] == 1.0


def test_cells_that_would_take_too_long_are_left_out(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Sleeper", seconds=(1.0, 60.0), batch=(1,), budget_s=0.3)
    row = rows(outcome)[60.0, 1]
    assert row["status"] == "left_out"
    assert re.fullmatch(r"one call would take about 0\.\d+ s; raise --budget", row["reason"])


@pytest.mark.parametrize("name", ["CannotLoad", "Starved"])
def test_no_number_at_all(profile: Callable[..., Outcome], name: str, tmp_path: Path) -> None:
    options = ("how=value", "size=1", "seconds=0") if name == "Starved" else ()
    outcome = profile(name, options=options)
    assert outcome.record is None
    assert ("somewhere else" if name == "CannotLoad" else "too long for me") in outcome.message
    assert not (tmp_path / "out").exists()


def test_words_only(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Clerk", kind=TaskKind.TSASR)
    assert outcome.record is not None
    assert outcome.record["settings"]["calls"] == ["transcribe"]
    assert outcome.record["reasons"]["algorithmic_latency"] == "it returns words only"
    assert outcome.record["reasons"]["chunks"] == "it returns words only"


def test_what_does_not_follow_the_target_has_no_chunked_quality(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Dreamer")
    assert outcome.record is not None
    assert outcome.record["chunks"] == []
    assert "sample by sample" in outcome.record["reasons"]["chunks"]
    assert outcome.record["algorithmic_latency"]["whole_file"] is True
    assert outcome.record["figures"]["algorithmic_latency_s"] is None


def test_input_that_is_written_over_does_not_spoil_the_next_call(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Careless")
    assert outcome.record is not None
    assert outcome.record["reasons"]["algorithmic_latency"] == "the answer is silent"
    assert "silent" in outcome.record["reasons"]["chunks"]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_network(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Convolution", threads=1)
    assert outcome.record is not None
    figures = outcome.record["figures"]
    assert figures["parameters"] == 8 * 33 + 8 + 8 + 1
    assert figures["trainable_parameters"] == 8 + 1
    assert outcome.record["parameters"]["parts"] == {"net.0": 272, "net.2": 9}
    assert figures["macs_per_s"] == pytest.approx(8000 * (33 * 8 + 8))
    assert figures["algorithmic_latency_s"] == pytest.approx(16 / 8000)
    assert outcome.record["settings"]["torch_threads"] == 1
    assert ", 1 thread," in outcome.record["hardware_key"]
    assert len(outcome.record["chunks"]) == 1
    assert math.isfinite(outcome.record["chunks"][0]["difference_db"])


def test_plan() -> None:
    plan = cells((10.0, 1.0), (4, 2))
    assert plan == [Cell(1.0, 1), Cell(1.0, 2), Cell(1.0, 4), Cell(10.0, 1), Cell(10.0, 2), Cell(10.0, 4)]
    assert (reference_length((1.0, 60.0)), reference_length((20.0, 60.0)), reference_length((10.0,))) == (1, 20, 10)


def test_profile_goes_into_a_run_of_the_same_system(
    profile: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    system = f"{SYSTEMS}:Starved"
    run = tspbench.run(system, tiny(2), out=tmp_path / "run", metrics=["snr"], options={"seconds": 9})[0]
    with pytest.raises(OtherIdentity, match=r"options: .*9.* there, .*2.* now"):
        profile("Starved", runs=(run.path,))
    with pytest.raises(OtherIdentity, match="a run of 'Starved'; profiled here: Sleeper"):
        profile("Sleeper", runs=(run.path,))
    assert not (run.path / "profile.json").exists()
    outcome = profile("Starved", options=("seconds=9",), runs=(run.path,), out=None)
    assert outcome.paths == (run.path / "profile.json",)
    assert json.loads(outcome.paths[0].read_text())["system"] == run.record["identity"]["system"]
    assert tspbench.load_run(run.path).status == "sealed"


def test_classes_of_one_file_are_not_taken_for_each_other(
    profile: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    run = tspbench.run(f"{SYSTEMS}:Awakening", tiny(2), out=tmp_path / "run", metrics=["snr"])[0]
    with pytest.raises(OtherIdentity, match="a run of 'Awakening'; profiled here: Careless"):
        profile("Careless", runs=(run.path,))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"seconds": (0.0,)}, "--seconds 0"),
        ({"seconds": (float("nan"),)}, "--seconds nan"),
        ({"batch": (0,)}, "--batch 0"),
        ({"budget_s": 0.0}, "--budget"),
        ({"threads": 0}, "--threads"),
        ({"device": "tpu"}, "--device tpu: choose"),
        ({"seconds": ()}, "--seconds names no number"),
    ],
)
def test_requests_that_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Request(**settings)


def test_a_task_that_does_not_fit(profile: Callable[..., Outcome]) -> None:
    with pytest.raises(UsageError, match="returns words only"):
        profile("Clerk", kind=TaskKind.LASS)


def test_material_is_repeated_with_its_truth() -> None:
    from tspbench.profile.material import Excerpt, Material
    from tspbench.types import Query, Truth

    target, other = np.arange(5, dtype=np.float32), np.ones((2, 5), np.float32)
    excerpt = Excerpt("t", target + 2, target, Query(10, enrolment=(target,), truth=Truth(target, other)))
    mixtures, lengths, queries = Material("m", 10, (excerpt,)).batch(1.2, 3)
    assert (mixtures.shape, lengths.tolist()) == ((3, 12), [12, 12, 12])
    for mixture, query in zip(mixtures, queries, strict=True):
        assert query.truth is not None
        assert query.truth.target.tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
        assert np.array_equal(query.truth.target + query.truth.interferers.sum(axis=0), mixture)
        assert len(query.enrolment[0]) == 5


def test_it_says_how_long_the_system_waits_in_a_run(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Sleeper", batch=(1,), budget_s=20.0)
    pipeline = outcome.record["pipeline"]
    assert (pipeline["batch"], pipeline["batches"]) == (1, 4)
    assert pipeline["idle_share"] == outcome.record["figures"]["idle_share"]
    assert pipeline["idle_share"] == pytest.approx(
        pipeline["idle_s"] / (pipeline["idle_s"] + pipeline["compute_s"]), rel=1e-4
    )
    assert pipeline["idle_s"] > 0


def test_with_too_few_batches_nothing_is_said_of_waiting(profile: Callable[..., Outcome]) -> None:
    outcome = profile("Sleeper", seconds=(1.0,), batch=(1,), budget_s=0.05)
    assert outcome.record["pipeline"] is None
    assert outcome.record["figures"]["idle_share"] is None
    assert "--budget" in outcome.record["reasons"]["pipeline"]
