"""The simulation of docs/scaling.md against what can be written down."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "docs" / "million_trials.py"


@pytest.fixture(scope="module")
def simulation() -> Any:
    spec = importlib.util.spec_from_file_location("million_trials", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def cluster(simulation: Any, **changes: Any) -> Any:
    """Twenty workers, everything equal, nothing fails and the journal costs nothing."""
    still = {"spread": 0.0, "straggle": 0.0, "failures_per_hour": 0.0, "load_s": 0.0, "twice": False}
    free = {"exchange_s": 0.0, "line_s": 0.0}
    return simulation.Cluster(**{"workers": 20, "trials": 4000, "batch": 4, **still, **free, **changes})


@pytest.mark.parametrize(("load", "batch", "seconds"), [(0.0, 4, 1.0), (60.0, 4, 1.0), (7.0, 1, 0.25), (0.0, 40, 2.0)])
def test_equal_times_and_a_free_journal(load: float, batch: int, seconds: float, simulation: Any) -> None:
    found = simulation.simulate(cluster(simulation, load_s=load, batch=batch, seconds=seconds))
    assert found.makespan_s == pytest.approx(load + 4000 * seconds / 20)
    assert found.efficiency == pytest.approx(1 / (1 + load * 20 / (4000 * seconds)))
    assert (found.failures, found.repeated) == (0, 0)


def test_batches_that_do_not_go_round_evenly(simulation: Any) -> None:
    """1,001 batches on 20 workers are 51 rounds."""
    assert simulation.simulate(cluster(simulation, trials=4004)).makespan_s == pytest.approx(51 * 4.0)


def test_a_journal_that_is_the_limit(simulation: Any) -> None:
    """The server is never idle but while the first batches are done; its work is 1,000 batches and 20 greetings."""
    found = simulation.simulate(cluster(simulation, seconds=0.001, exchange_s=0.01, line_s=0.005))
    work = 1000 * (0.01 + 4 * 0.005)
    assert work <= found.makespan_s <= work + 20 * 0.01 + 0.03
    assert found.journal_busy > 0.99


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_waiting_for_the_journal_is_that_of_a_queue(load: float, simulation: Any) -> None:
    """Workers that take exponential times and never rest: Poisson arrivals at a server of constant time, M/D/1.

    Mean wait (Pollaczek and Khinchine): rho s / (2 (1 - rho)).
    """
    workers, seconds = 400, 10.0
    cost = load * seconds / workers

    def waited(trials: int) -> float:
        drawn = {"workers": workers, "batch": 1, "seconds": seconds, "spread": math.inf, "exchange_s": cost}
        return simulation.simulate(cluster(simulation, trials=trials, **drawn)).journal_wait_s * (trials + workers)

    # The difference of a long run and a shorter one is free of the beginning, where all report at once.
    found = (waited(80_000) - waited(20_000)) / 60_000
    assert found == pytest.approx(load * cost / (2 * (1 - load)), rel=0.1)


def test_failures(simulation: Any) -> None:
    """A batch of time t that starts over after failures of rate f, each costing r: (exp(f t) - 1) (1/f + r)."""
    rate, restart, seconds = 1 / 20.0, 5.0, 10.0
    found = simulation.simulate(
        cluster(simulation, workers=1, trials=3000, batch=1, seconds=seconds, load_s=restart,
                failures_per_hour=rate * 3600.0)
    )  # fmt: skip
    each = math.expm1(rate * seconds) * (1 / rate + restart)
    assert found.makespan_s == pytest.approx(restart + 3000 * each, rel=0.06)
    assert found.failures == pytest.approx(3000 * math.expm1(rate * seconds), rel=0.06)


def test_stragglers_are_overtaken_and_every_trial_counts_once(simulation: Any) -> None:
    slow = cluster(simulation, straggle=0.01, slow=50.0, seed=3)
    plain, twice = (simulation.simulate(simulation.replace(slow, twice=twice)) for twice in (False, True))
    assert twice.makespan_s < plain.makespan_s
    assert twice.repeated > 0
    assert twice.efficiency > plain.efficiency


@pytest.mark.parametrize("journals", [1, 2, 4])
def test_journals_that_share_the_work_and_are_the_limit(journals: int, simulation: Any) -> None:
    """Each has its share of the trials and of the workers: trials/s are n / (line + exchange / batch)."""
    busy = cluster(simulation, trials=16_000, seconds=0.001, exchange_s=0.01, line_s=0.005, journals=journals)
    found = simulation.simulate(busy)
    assert 16_000 / found.makespan_s == pytest.approx(journals / (0.005 + 0.01 / 4), rel=0.01)
    assert found.journal_busy > 0.99


def test_where_journals_are_no_limit_they_change_nothing(simulation: Any) -> None:
    idle = cluster(simulation, journals=4)
    assert simulation.simulate(idle).makespan_s == pytest.approx(4000 * 1.0 / 20)
