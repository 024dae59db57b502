"""Answers finished beside the next batch: none is lost, none comes twice, order is kept."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import numpy as np
import pytest

from tspbench.runner import finish
from tspbench.runner.answers import Ask
from tspbench.runner.finish import Finisher, Reply
from tspbench.types import Audio


def ask(name: str, folder: Path) -> Ask:
    return Ask(name, folder / f"{name}.in", folder / f"{name}.out")


def reply(value: float = 0.5) -> Reply:
    return Reply(8000, None, np.full(4, value, np.float32), seconds=1.0, idle_s=0.25)


def test_a_batch_is_answered_with_the_next_one_and_the_last_when_it_is_asked_for(tmp_path: Path) -> None:
    finisher = Finisher()
    told: list[str] = []
    for done, name in enumerate(("a", "b", "c")):
        finisher.add([ask(name, tmp_path)], [reply()])
        told += [answer.trial_id for answer in finisher.take(behind=1)]
        assert len(told) >= done
    told += [answer.trial_id for answer in finisher.take(behind=0)]
    assert told == ["a", "b", "c"]
    assert finisher.take(behind=0) == []


def test_finishing_goes_on_beside_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(path: Path, samples: Audio) -> None:
        time.sleep(0.2)

    monkeypatch.setattr(finish, "write_samples", slowly)
    finisher = Finisher()
    start = time.perf_counter()
    finisher.add([ask("a", tmp_path)], [reply()])
    assert finisher.take(behind=1) == []
    assert time.perf_counter() - start < 0.1
    assert [answer.trial_id for answer in finisher.take(behind=0)] == ["a"]


def test_an_answer_says_what_it_took(tmp_path: Path) -> None:
    finisher = Finisher()
    finisher.add([ask("a", tmp_path)], [reply()])
    (answer,) = finisher.take(behind=0)
    assert (answer.compute_s, answer.idle_s) == (1.0, 0.25)
    assert answer.output is not None
    assert (answer.output.peak, answer.output.samples) == (0.5, 4)
    assert (tmp_path / "a.out").exists()


def test_an_estimate_that_is_not_finite_fails_alone(tmp_path: Path) -> None:
    finisher = Finisher()
    finisher.add([ask("a", tmp_path), ask("b", tmp_path)], [reply(np.nan), reply()])
    first, second = finisher.take(behind=0)
    assert first.failure is not None
    assert (first.failure.type, second.status) == ("not_finite", "ok")


def test_an_estimate_that_cannot_be_written_fails_its_trial(tmp_path: Path) -> None:
    finisher = Finisher()
    finisher.add([ask("gone/a", tmp_path), ask("b", tmp_path)], [reply(), reply()])
    first, second = finisher.take(behind=0)
    assert first.failure is not None
    assert (first.failure.type, second.status) == ("not_written", "ok")


def test_a_full_disk_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, samples: Audio) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(finish, "write_samples", full)
    finisher = Finisher()
    finisher.add([ask("a", tmp_path)], [reply()])
    with pytest.raises(OSError, match="No space"):
        finisher.take(behind=0)
