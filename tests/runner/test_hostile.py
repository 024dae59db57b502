"""Systems that misbehave cost their trials, not the run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tspbench.runner.engine import UNDER_WAY
from tspbench.runner.lengths import planned_batches
from tspbench.runner.plan import Batch
from tspbench.runner.process import Child
from tspbench.runner.request import Request
from tspbench.runner.run import Outcome, run_systems
from tspbench.store import read_lines
from tspbench.task import load_task

HERE = Path(__file__).parent / "systems_under_test.py"
TRIALS = 24


def expected(number: int) -> str | None:
    """The type of error that ``Villain`` earns on a trial, in the order in which it misbehaves."""
    for divisor, rest, kind in (
        (7, 3, "ValueError"),
        (11, 5, "WrongOutput"),
        (13, 6, "timed_out"),
        (17, 8, "worker_died"),
        (19, 9, "worker_died"),
        (5, 4, "not_finite"),
    ):
        if number % divisor == rest:
            return kind
    return None


def run(system: str, task: Path, out: Path, **settings: object) -> Outcome:
    request = Request(task=str(task), out=out, workers=2, time_limit_s=1.5, **settings)
    return run_systems([f"{HERE}:{system}"], request)[0]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_misdeed_is_recorded_where_it_happened(
    batch_size: int, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    outcome = run("Villain", tiny(TRIALS), tmp_path / "out", batch_size=batch_size)
    rows = {row["trial_id"]: row for row in read_lines(outcome.path / "trials.jsonl")}
    assert sorted(rows) == sorted(f"t{i}" for i in range(TRIALS))
    found = {name: row["error"]["type"] if row["error"] else None for name, row in rows.items()}
    assert found == {f"t{i}": expected(i) for i in range(TRIALS)}
    assert outcome.status == "sealed"
    bad = sum(expected(i) is not None for i in range(TRIALS))
    assert outcome.failed == bad
    scores = list(read_lines(outcome.path / "scores.jsonl"))
    assert len(scores) == TRIALS * 3
    assert all(row["reason"] for row in scores if row["value"] is None)
    assert outcome.summary["metrics"]["si_sdr"]["scored"] == TRIALS - bad
    assert outcome.summary["metrics"]["si_sdr"]["attempted"] == TRIALS


def test_a_crash_says_how_the_process_ended(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Villain", tiny(10), tmp_path / "out")
    rows = {row["trial_id"]: row for row in read_lines(outcome.path / "trials.jsonl")}
    assert rows["t8"]["error"]["message"] == "the worker process exited with code 9"
    assert rows["t9"]["error"]["message"] == "the worker process was killed by SIGSEGV"
    assert "Segmentation fault" in rows["t9"]["error"]["trace"]
    assert "seventh" in rows["t3"]["error"]["message"]


def test_a_worker_that_dies_once_costs_no_trial(tiny: Callable[..., Path], tmp_path: Path) -> None:
    request = Request(task=str(tiny(5)), out=tmp_path / "out")
    outcome = run_systems([f"{HERE}:DiesOnce"], request, [f"marker={tmp_path / 'marker'}"])[0]
    assert outcome.failed == 0
    assert (tmp_path / "marker").exists()


def test_a_system_that_always_dies_is_given_up(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Doomed", tiny(30), tmp_path / "out")
    assert outcome.status == "failed"
    assert "10 trials in a row" in outcome.message
    assert len(list(read_lines(outcome.path / "trials.jsonl"))) < 30


def test_a_death_costs_nothing_to_the_batch_behind_it(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been sent already; it is answered as if nothing had happened, in the same company and the same order."""
    asked: list[int] = []
    turns: dict[Batch, int] = {}
    real = Child.send

    def send(child: Child, method: str, *arguments: object, **rest: object) -> None:
        real(child, method, *arguments, **rest)
        asked.append(len(child.works))
        if method == "answer":
            turns[child.works[-1]] = len(asked)

    monkeypatch.setattr(Child, "send", send)
    path = str(tiny(TRIALS))
    request = Request(task=path, out=tmp_path / "out", workers=2, batch_size=4, metrics=("snr",))
    outcome = run_systems([f"{HERE}:Crowded"], request, options=("bad=8",))[0]
    rows = {row["trial_id"]: row for row in read_lines(outcome.path / "trials.jsonl")}
    assert {name: row["error"]["type"] for name, row in rows.items() if row["error"]} == {"t8": "worker_died"}
    planned = planned_batches(load_task(path), 4)
    whole = [batch for batch in planned if "t8" not in batch.trial_ids]
    assert sorted(whole, key=lambda batch: turns[batch]) == whole
    expected = {}
    for batch in planned:
        company = [{name} for name in batch.trial_ids] if "t8" in batch.trial_ids else [set(batch.trial_ids)]
        expected |= {name: 1.0 + sum(int(other[1:]) for other in group) for group in company for name in group}
    found = {name: row["output"]["peak"] for name, row in rows.items() if row["output"]}
    assert found == {name: peak for name, peak in expected.items() if name != "t8"}
    assert max(asked) == UNDER_WAY == 2


@pytest.mark.parametrize("under_way", [0, UNDER_WAY])
def test_a_process_that_somebody_kills_is_replaced(
    under_way: int, tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is idle, or while all that may be lies before it."""
    killed: list[int] = []
    real = Child.send

    def send(child: Child, method: str, *arguments: object, **rest: object) -> None:
        if method == "answer" and not killed and not under_way:
            kill(child)
        real(child, method, *arguments, **rest)
        if method == "answer" and not killed and len(child.works) == under_way:
            kill(child)

    def kill(child: Child) -> None:
        os.kill(child.pid, signal.SIGKILL)
        while not child.exited:
            time.sleep(0.01)
        killed.append(child.pid)

    monkeypatch.setattr(Child, "send", send)
    outcome = run("Crowded", tiny(12), tmp_path / "out", batch_size=2)
    assert len(killed) == 1
    assert (outcome.status, outcome.failed) == ("sealed", 0)
    assert sorted(row["trial_id"] for row in read_lines(outcome.path / "trials.jsonl")) == sorted(
        f"t{i}" for i in range(12)
    )


def test_the_time_limit_runs_from_a_batch_s_turn(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """Each takes more than half of it, and is asked for while the one before is under way."""
    request = Request(task=str(tiny(3)), out=tmp_path / "out", batch_size=1, time_limit_s=2.3)
    outcome = run_systems([f"{HERE}:Slow"], request, ["seconds=1.4"])[0]
    assert (outcome.status, outcome.failed) == ("sealed", 0)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_answers_that_a_dying_process_had_not_handed_over_are_given_again(
    batch_size: int, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, option = tiny(TRIALS), f"mark={tmp_path / 'mark'}"
    request = Request(task=str(task), out=tmp_path / "out", workers=2, batch_size=batch_size, save_audio="all")
    outcome = run_systems([f"{HERE}:DiesLater"], request, options=(option,))[0]
    assert (tmp_path / "mark").exists()
    assert (outcome.status, outcome.failed) == ("sealed", 0)
    rows = list(read_lines(outcome.path / "trials.jsonl"))
    assert sorted(row["trial_id"] for row in rows) == sorted(f"t{i}" for i in range(TRIALS))
    scores = list(read_lines(outcome.path / "scores.jsonl"))
    assert len(scores) == 3 * TRIALS
    whole = run_systems([f"{HERE}:DiesLater"], replace(request, out=tmp_path / "again"), options=(option,))[0]
    digests = [{row["trial_id"]: row["output"]["digest"] for row in read_lines(path / "trials.jsonl")}
               for path in (outcome.path, whole.path)]  # fmt: skip
    assert digests[0] == digests[1]
