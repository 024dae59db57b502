"""The process of a system: nothing stands between two calls of the system that may be done beside them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tspbench.runner import finish
from tspbench.runner.answers import Ask, Prepared
from tspbench.runner.inference import SystemService
from tspbench.system import find_system
from tspbench.types import Audio, Query, Rendered

HERE = Path(__file__).parent / "systems_under_test.py"


def ask(name: str, folder: Path) -> Ask:
    """A trial that is rendered."""
    samples = np.full(80, 0.1, np.float32)
    rendered = Rendered(8000, samples, samples, samples[None])
    Prepared(rendered, samples, Query(8000, text="1"), ()).save(folder / f"{name}.in")
    return Ask(name, folder / f"{name}.in", folder / f"{name}.out")


@pytest.fixture
def service() -> SystemService:
    service = SystemService(find_system(f"{HERE}:Options"), {})
    service.load("cpu")
    return service


def test_a_reply_never_waits_for_its_own_answers(
    service: SystemService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the batch after it was not known yet: it may have been sent since."""

    def slowly(path: Path, samples: Audio) -> None:
        time.sleep(0.3)

    monkeypatch.setattr(finish, "write_samples", slowly)
    start = time.perf_counter()
    assert service.answer([ask("a", tmp_path)], seed=0, words=False, waveform=True) == []
    assert time.perf_counter() - start < 0.2
    told = service.answer([ask("b", tmp_path)], seed=0, words=False, waveform=True)
    assert [answer.trial_id for answer in told] == ["a"]
    assert [answer.trial_id for answer in service.settle()] == ["b"]
    assert service.settle() == []


def test_no_batch_waits_for_a_thread_to_start(service: SystemService, tmp_path: Path) -> None:
    loaded = set(threading.enumerate())
    first, second = [ask("a", tmp_path)], [ask("b", tmp_path)]
    service.answer(first, seed=0, words=False, waveform=True, upcoming=second)
    service.answer(second, seed=0, words=False, waveform=True)
    assert [answer.status for answer in service.settle()] == ["ok"]
    assert set(threading.enumerate()) == loaded
