"""A child process: several requests under way, none lost, none in the way of another."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

import pytest

from tspbench.runner.process import AHEAD_BYTES, Child, ChildDied

pytestmark = pytest.mark.timeout(60)


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


@pytest.mark.parametrize("size", [10, AHEAD_BYTES, 10 * AHEAD_BYTES, 100 * AHEAD_BYTES])
@pytest.mark.parametrize("back", [10, 10 * AHEAD_BYTES, 100 * AHEAD_BYTES])
def test_large_requests_and_answers_do_not_wait_for_each_other(size: int, back: int, child: Child) -> None:
    """A parent that writes more than the pipe holds, to a child that writes more than it holds, would wait for ever."""
    for i in range(4):
        child.send("repeat", "x" * size, max(1, back // size), busy_with=i)
    assert [len(child.receive()) for _ in range(4)] == [size * max(1, back // size)] * 4


@pytest.mark.parametrize("seed", range(4))
def test_small_requests_do_not_overtake_large_ones(seed: int, child: Child) -> None:
    sizes = random.Random(seed).choices([1, AHEAD_BYTES // 2, 20 * AHEAD_BYTES], k=12)
    for size in sizes:
        child.send("echo", "x" * size)
    assert [len(child.receive()) for _ in sizes] == sizes


def test_asking_ahead_does_not_wait_for_the_child(child: Child) -> None:
    """However much is asked of it, more than a pipe holds."""
    child.ask("echo", 0)
    child.send("nap", 1.0)
    start = time.perf_counter()
    for _ in range(40):
        child.send("echo", "x" * (AHEAD_BYTES - 200))
    assert time.perf_counter() - start < 0.5
    assert child.receive() == 1.0
    assert [len(child.receive()) for _ in range(40)] == [AHEAD_BYTES - 200] * 40


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
    child.send("echo", "x" * 10 * AHEAD_BYTES, busy_with="third")
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
