"""How well the dispatcher keeps its stations busy, by a clock of our own: nothing here waits."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tspbench.baselines import Baselines
from tspbench.metrics import Score, resolve_all
from tspbench.runner import dispatch
from tspbench.runner.answers import Answer, Output
from tspbench.runner.dispatch import Dispatcher, Lost
from tspbench.runner.keep import Keeper
from tspbench.runner.lines import trial_row
from tspbench.runner.orders import Orders
from tspbench.runner.plan import batches
from tspbench.runner.spool import Spool
from tspbench.runner.station import Done, Lot, Report
from tspbench.runner.workbench import RenderReport
from tspbench.store import RunFolder, read_lines
from tspbench.task import load_task
from tspbench.types import Trial

LATENCY = 0.01
"""Seconds that a request and its reply are under way."""


class Waiting:
    """Stations whose whole work is to wait ``seconds`` a trial. ``dies``: when which station is lost."""

    pool = 1

    def __init__(self, size: int, seconds: Callable[[Trial], float], dies: dict[float, int] | None = None) -> None:
        self.size, self.seconds, self.now = size, seconds, 0.0
        self.dies = sorted((dies or {}).items(), reverse=True)
        self.events: list[tuple[float, int, int, int, Lot | None]] = []
        self.count = 0
        self.lives = [0] * size
        self.queues: list[deque[Lot]] = [deque() for _ in range(size)]
        self.busy = [False] * size
        self.finished: list[list[Done]] = [[] for _ in range(size)]
        self.asked = [False] * size
        self.given: list[list[int]] = [[] for _ in range(size)]

    def start(self, number: int) -> None:
        self.lives[number] += 1
        self.queues[number].clear()
        self.finished[number].clear()
        self.busy[number], self.asked[number] = False, True
        self.at(LATENCY, number, None)

    def ask(self, number: int, lots: Sequence[Lot]) -> None:
        self.given[number].append(len(lots))
        self.queues[number].extend(lots)
        self.asked[number] = True
        self.go_on(number, LATENCY)
        if self.finished[number]:
            self.at(LATENCY, number, None)

    def go_on(self, number: int, delay: float) -> None:
        if not self.busy[number] and self.queues[number]:
            lot = self.queues[number].popleft()
            self.busy[number] = True
            self.at(delay + sum(map(self.seconds, lot.trials)), number, lot)

    def at(self, delay: float, number: int, lot: Lot | None) -> None:
        self.count += 1
        heapq.heappush(self.events, (self.now + delay, self.count, number, self.lives[number], lot))

    def wait(self, seconds: float) -> list[tuple[int, Report | Lost]]:
        until = self.now + seconds
        while self.events and self.events[0][0] <= until:
            if self.dies and self.dies[-1][0] <= self.events[0][0]:
                self.now, number = self.dies.pop()
                return [(number, Lost("a node died"))]
            self.now, _, number, life, lot = heapq.heappop(self.events)
            if life != self.lives[number]:
                continue
            if lot is not None:
                self.busy[number] = False
                self.finished[number] += [done(trial) for trial in lot.trials]
                self.go_on(number, 0.0)
            if self.asked[number]:
                self.asked[number] = False
                return [(number, self.report(number))]
        self.now = until
        return []

    def report(self, number: int) -> Report:
        found, self.finished[number] = self.finished[number], []
        return Report(found, [], len(self.queues[number]) + self.busy[number], loaded=True)

    def offer(self) -> str:
        return ""

    def close(self) -> list[bytes]:
        return []


def done(trial: Trial) -> Done:
    output = Output("0" * 32, 1, 8000, 0.5, 0.1, silent=False, clipped=False)
    row = trial_row(trial, RenderReport("0" * 32, 1.0, 0.0), Answer(trial.trial_id, output=output))
    return Done(trial.trial_id, row, {"snr": Score(1.0)}, {})


@pytest.fixture
def spent(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Waiting, int, int], float]:
    """Seconds by the crew's clock until every trial has its lines."""

    def run(crew: Waiting, trials: int, batch_size: int) -> float:
        metrics = resolve_all(["snr"])
        folder = RunFolder(tmp_path / "run", {"identity": {}, "metrics": [{"id": "snr"}]})
        folder.begin()
        orders = Orders(metrics, batch_size, seed=0, device="cpu", time_limit_s=9.0, words=False, waveform=True)
        monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: crew.now))
        spool, keeper = Spool(folder.path / "spool"), Keeper("none", metrics[0])
        task = load_task(str(tiny(trials)))
        dispatcher = Dispatcher(orders, task, folder, spool, crew, Baselines(tmp_path), keeper, lambda _: None)
        dispatcher.run(batches(task.ids, batch_size))
        folder.close()
        rows = [row["trial_id"] for row in read_lines(folder.path / "scores.jsonl")]
        assert sorted(rows) == sorted(task.ids)
        return crew.now

    return run


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
def test_efficiency_is_above_nine_tenths(workers: int, spent: Callable[..., float]) -> None:
    ideal = 160 / workers
    assert ideal <= spent(Waiting(workers, lambda _: 1.0), 160, 1) <= ideal / 0.9


def test_efficiency_with_uneven_trials(spent: Callable[..., float]) -> None:
    """Of 0.5 to 1.5 s, so that nobody can know who will be done first."""
    seconds = lambda trial: 0.5 + int(trial.trial_id[1:]) % 11 / 10  # noqa: E731
    ideal = sum(0.5 + i % 11 / 10 for i in range(320)) / 8
    assert ideal <= spent(Waiting(8, seconds), 320, 2) <= ideal / 0.9


def test_what_is_handed_out_becomes_less_towards_the_end(spent: Callable[..., float]) -> None:
    crew = Waiting(4, lambda _: 1.0)
    spent(crew, 60, 1)
    for given in crew.given:
        assert given[0] == dispatch.AHEAD + crew.pool
        assert sum(given) == 15
        assert max(given[-3:]) <= 1


def test_a_lost_station_costs_what_it_had_in_hand(spent: Callable[..., float]) -> None:
    crew = Waiting(4, lambda _: 1.0, dies={10.5: 0, 20.5: 2})
    lost = 2 * (1.0 + LATENCY)
    assert 40.0 <= spent(crew, 160, 1) <= (160 + lost) / 4 / 0.95


def test_a_straggler_at_the_end_is_overtaken(spent: Callable[..., float]) -> None:
    """The first station that meets trial 55 hangs for an hour; another does it in a second."""
    met: list[str] = []

    def seconds(trial: Trial) -> float:
        met.append(trial.trial_id)
        return 3600.0 if met.count("t55") == 1 and trial.trial_id == "t55" else 1.0

    assert spent(Waiting(4, seconds), 60, 1) < 30.0
