"""A child process: several requests under way, none lost, none in the way of another."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from typing import Any

import pytest

from tspbench.runner import priority
from tspbench.runner.process import SMALL, Child, ChildDied

pytestmark = pytest.mark.timeout(60)
LINUX = pytest.mark.skipif(priority.BATCH is None, reason="only Linux has batch work")


class Service:
    """What the child serves."""

    def echo(self, value: Any) -> Any:
        return value

    def nap(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def repeat(self, text: str, times: int) -> str:
        return text * times

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def policy(self) -> int | None:
        return priority.policy()


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(Service)
    yield child
    child.close()


def test_requests_are_answered_in_their_order(child: Child) -> None:
    for work, value in (("first", 1), ("second", 2), ("third", 3)):
        child.send("echo", value, busy_with=work)
    assert child.works == ["first", "second", "third"]
    assert child.busy_with == "first"
    assert [child.receive() for _ in range(3)] == [1, 2, 3]
    assert (child.works, child.busy_with) == ([], None)


def test_the_next_request_is_begun_without_its_parent(child: Child) -> None:
    child.ask("echo", 0)
    child.send("nap", 0.2)
    child.send("nap", 0.2)
    time.sleep(0.7)
    start = time.perf_counter()
    assert [child.receive(), child.receive()] == [0.2, 0.2]
    assert time.perf_counter() - start < 0.15, "the second nap began only when the first was taken in"


def test_time_runs_from_a_request_s_turn(child: Child) -> None:
    """Each takes most of its limit; together they take more than any one may."""
    child.ask("echo", 0)
    for _ in range(3):
        child.send("nap", 0.5, seconds=0.8)
    for _ in range(3):
        assert child.deadline is not None
        while not child.connection.poll():
            assert not child.overdue
            wait([child.connection], timeout=0.02)
        child.receive()
    assert child.deadline is None
    child.send("nap", 5, seconds=0.1)
    time.sleep(0.2)
    assert child.overdue


@pytest.mark.parametrize("size", [10, SMALL, 10 * SMALL, 100 * SMALL])
@pytest.mark.parametrize("back", [10, 10 * SMALL, 100 * SMALL])
def test_large_requests_and_answers_do_not_wait_for_each_other(size: int, back: int, child: Child) -> None:
    """A parent that writes more than the pipe holds, to a child that writes more than it holds, would wait for ever."""
    for i in range(4):
        child.send("repeat", "x" * size, max(1, back // size), busy_with=i)
    assert [len(child.receive()) for _ in range(4)] == [size * max(1, back // size)] * 4


def test_a_death_is_told_of_the_first_and_leaves_the_others(child: Child) -> None:
    child.ask("echo", 0)
    child.send("die", busy_with="first")
    child.send("echo", 2, busy_with="second")
    with pytest.raises(ChildDied, match="SIGKILL"):
        child.receive()
    assert child.works == ["second"]
    child.replace()
    assert child.works == []
    assert child.ask("echo", 3) == 3


def test_an_answer_that_was_given_before_the_death_is_not_lost(child: Child) -> None:
    child.ask("echo", 0)
    child.send("echo", 1, busy_with="first")
    child.send("die", busy_with="second")
    child.send("echo", "x" * 10 * SMALL, busy_with="third")
    time.sleep(0.3)
    assert child.exited
    assert child.receive() == 1
    assert child.works == ["second", "third"]
    with pytest.raises(ChildDied, match="SIGKILL"):
        child.receive()


def test_a_child_that_died_while_it_was_idle_says_so_when_it_is_asked(child: Child) -> None:
    child.ask("echo", 0)
    os.kill(child.pid, signal.SIGKILL)
    while not child.exited:
        time.sleep(0.01)
    with pytest.raises(ChildDied, match="SIGKILL"):
        child.ask("echo", 1)


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


@pytest.fixture
def make() -> Iterator[Callable[..., Child]]:
    made: list[Child] = []

    def make(**settings: bool) -> Child:
        made.append(Child(Service, **settings))
        return made[-1]

    yield make
    for child in made:
        child.close()
