"""Who gives way: what works beside a system does, the system does not."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from tspbench.runner import priority
from tspbench.runner.priority import Aside
from tspbench.runner.process import Child

LINUX = pytest.mark.skipif(priority.BATCH is None, reason="only Linux has batch work")


class Service:
    """What the child serves."""

    def policy(self) -> int | None:
        return priority.policy()


@pytest.fixture
def make() -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(**settings: bool) -> Child:
        made.append(Child(Service, **settings))
        return made[-1]

    yield make
    for child in made:
        child.close()


@LINUX
def test_background_children_give_way_and_others_do_not(make: Callable[..., Child]) -> None:
    system, background = make(), make(background=True)
    assert background.ask("policy") == os.SCHED_BATCH
    with priority.standing_back():
        assert priority.policy() == os.SCHED_BATCH
        system.replace()
        assert system.ask("policy") == os.SCHED_OTHER
    assert priority.policy() == os.SCHED_OTHER


@LINUX
def test_whoever_was_put_under_a_policy_stays_under_it(make: Callable[..., Child]) -> None:
    priority.put_under(os.SCHED_IDLE)
    try:
        with priority.standing_back():
            assert priority.policy() == os.SCHED_IDLE
        assert make(background=True).ask("policy") == os.SCHED_IDLE
    finally:
        priority.put_under(os.SCHED_OTHER)


@LINUX
def test_a_thread_beside_a_system_gives_way_and_the_system_does_not() -> None:
    with Aside() as aside:
        assert aside.submit(priority.policy).result() == os.SCHED_BATCH
    assert priority.policy() == os.SCHED_OTHER


def test_a_thread_stands_by() -> None:
    with Aside() as aside:
        aside.stand_by()
        before = threading.enumerate()
        aside.submit(int).result()
        assert threading.enumerate() == before
