"""Stations that share a run end where one system alone would: same lines, whatever is lost on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thread_crew import ThreadCluster

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.runner import dispatch
from tspbench.runner import run as running
from tspbench.runner.request import Request
from tspbench.runner.run import Outcome, run_systems
from tspbench.store import read_lines, read_record

HERE = Path(__file__).parent / "systems_under_test.py"


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a system at several stations; a cluster of two, if none is given."""

    def run(
        system: str, task: Path, out: Path, *options: str, cluster: ThreadCluster | None = None, **settings: Any
    ) -> Outcome:
        crowd = cluster or ThreadCluster(2)
        request = Request(task=str(task), out=out, executor="ray", **settings)
        with monkeypatch.context() as patch:
            patch.setattr(running, "_cluster", lambda stack, request: crowd)
            return run_systems([f"{HERE}:{system}"], request, options)[0]

    return run


def alone(system: str, task: Path, out: Path, *options: str, **settings: Any) -> Outcome:
    return run_systems([f"{HERE}:{system}"], Request(task=str(task), out=out, workers=2, **settings), options)[0]


def lines(path: Path) -> list[str]:
    return sorted((path / "scores.jsonl").read_text().splitlines())


def answers(path: Path) -> dict[str, Any]:
    """What does not depend on when and where a trial was done."""
    return {row["trial_id"]: {**row, "time": None} for row in read_lines(path / "trials.jsonl")}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_stations_measure_what_one_system_does(
    batch_size: int, together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, cluster = tiny(40), ThreadCluster(2)
    one = alone("Slow", task, tmp_path / "one", "seconds=0", batch_size=batch_size)
    several = together("Slow", task, tmp_path / "several", "seconds=0", batch_size=batch_size, cluster=cluster)
    assert several.status == "sealed"
    assert lines(several.path) == lines(one.path)
    assert answers(several.path) == answers(one.path)
    assert several.summary == one.summary
    assert read_record(several.path)["identity"] == read_record(one.path)["identity"]
    assert read_record(several.path)["executors"] == [{"name": "threads", "workers": 2, "lost": 0}]
    assert not (several.path / "spool").exists()
    assert sum(cluster.shares) >= 40
    assert all(cluster.shares), "a station had nothing to do"


def test_lost_stations_cost_no_trial(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task = tiny(40)
    one = alone("Slow", task, tmp_path / "one", batch_size=2)
    cluster = ThreadCluster(2, losses=[4, 9, 15])
    two = together("Slow", task, tmp_path / "two", batch_size=2, cluster=cluster)
    assert cluster.lost == 3
    assert two.status == "sealed"
    assert two.failed == 0
    assert lines(two.path) == lines(one.path)


def test_misdeeds_are_recorded_as_with_one_system(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task = tiny(14)
    one = alone("Villain", task, tmp_path / "one", batch_size=2, time_limit_s=1.5)
    several = together("Villain", task, tmp_path / "several", batch_size=2, time_limit_s=1.5)
    assert one.failed > 4
    assert answers(several.path).keys() == answers(one.path).keys()
    found, expected = answers(several.path), answers(one.path)
    assert {name: row["error"] and row["error"]["type"] for name, row in found.items()} == {
        name: row["error"] and row["error"]["type"] for name, row in expected.items()
    }
    assert lines(several.path) == lines(one.path)


def test_a_system_that_always_dies_is_given_up(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    outcome = together("Doomed", tiny(60), tmp_path / "out")
    assert outcome.status == "failed"
    assert "10 trials in a row" in outcome.message
    assert len(answers(outcome.path)) == 10


def test_begun_by_one_and_ended_by_several_and_the_other_way_round(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(30)
    whole = lines(alone("Slow", task, tmp_path / "whole", batch_size=4).path)
    for first, second in ((alone, together), (together, alone)):
        out = tmp_path / first.__name__
        calls = []

        def interrupt(label: str, progress: Any, calls: list[int] = calls) -> None:
            calls.append(progress.scored)
            if progress.scored >= 9:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(running.Observer, "running", lambda self, label, progress: interrupt(label, progress))
            assert first("Slow", task, out, batch_size=4).status == "partial"
        assert 9 <= calls[-1] < 30
        assert second("Slow", task, out, batch_size=4).status == "sealed"
        assert lines(out) == whole
        assert len(read_record(out)["executors"]) == 2


def test_kept_estimates_come_home_and_new_metrics_are_scored_from_them(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, out = tiny(8), tmp_path / "several"
    one = alone("Slow", task, tmp_path / "one", save_audio="all")
    together("Slow", task, out, save_audio="all")
    for kept in (one.path / "audio").iterdir():
        np.testing.assert_array_equal(audio.read(out / "audio" / kept.name)[0], audio.read(kept)[0])
    before = answers(out)
    further = together("Slow", task, out, metrics=("sdr",), save_audio="all")
    assert further.status == "sealed"
    assert answers(out) == before
    assert len((out / "trials.jsonl").read_text().splitlines()) == 8, "nothing was answered again"
    expected = alone("Slow", task, tmp_path / "direct", metrics=("sdr",))
    assert {line for line in lines(out) if '"sdr"' in line} == set(lines(expected.path))


def test_only_the_worst_are_kept(together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(24)
    one = alone("Slow", task, tmp_path / "one", "seconds=0", save_audio="worst")
    several = together("Slow", task, tmp_path / "several", "seconds=0", save_audio="worst")
    kept = [sorted(path.name for path in (run.path / "audio").iterdir()) for run in (one, several)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 10


def test_a_batch_that_takes_every_station_with_it_is_given_up(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    """As when it eats all the memory of whatever node it is on."""
    cluster = ThreadCluster(2, fatal="t5")
    outcome = together("Slow", tiny(20), tmp_path / "out", "seconds=0", cluster=cluster)
    assert outcome.status == "sealed"
    assert cluster.lost in (dispatch.LOSSES, dispatch.LOSSES + 1)  # a late batch may be with two when they go
    failed = {name: row["error"] for name, row in answers(outcome.path).items() if row["error"]}
    assert failed.keys() == {"t5"}
    assert failed["t5"]["type"] == "station_lost"
    assert re.search("lost [56] times: the node ran out of memory", failed["t5"]["message"])


def test_what_lies_with_a_stuck_station_is_done_by_another(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, cluster = tiny(20), ThreadCluster(2, stuck=0)
    several = together("Slow", task, tmp_path / "several", "seconds=0", cluster=cluster)
    assert several.status == "sealed"
    assert cluster.shares == [0, 20]
    assert lines(several.path) == lines(alone("Slow", task, tmp_path / "one", "seconds=0").path)


def test_a_cluster_that_never_answers_does_not_hang(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "START_SECONDS", 1.0)
    outcome = together("Slow", tiny(5), tmp_path / "out", cluster=ThreadCluster(2, deaf=True))
    assert outcome.status == "partial"
    assert "No worker has answered" in outcome.message
    assert "there are 2 places" in outcome.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": "another"}, "code, options or weights are not those of the run"),
        ({"versions": {"tspbench": "0.0.1"}}, "but 0.0.1 where the run was started"),
    ],
)
def test_a_station_that_would_measure_something_else_is_refused(
    change: dict[str, Any],
    said: str,
    together: Callable[..., Outcome],
    tiny: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = running._post
    monkeypatch.setattr(running, "_post", lambda *arguments: replace(made(*arguments), **change))
    with pytest.raises(UsageError, match=said) as caught:
        together("Mute", tiny(5), tmp_path / "out")
    assert str(caught.value).startswith("On place ")
    assert not (tmp_path / "out").exists()


def test_a_station_that_does_not_see_the_recordings_says_so(
    together: Callable[..., Outcome], tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(5)
    load = Request.load_task

    def unmounted(request: Request) -> Any:
        found = load(request)
        monkeypatch.setattr(type(found), "check_audio", lambda *_: (task.parent / "3.wav").rename(tmp_path / "gone"))
        return found

    monkeypatch.setattr(Request, "load_task", unmounted)
    with pytest.raises(UsageError, match=r"On place .*there is no .*3\.wav .*Every node must see the recordings"):
        together("Mute", task, tmp_path / "out", batch_size=5)
