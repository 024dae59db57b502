"""A batch that does not fit into memory is answered in parts, and its size is not tried again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.runner.feed import Fed
from tspbench.runner.parts import Parts, ran_out_of_memory
from tspbench.types import Query


class OutOfMemoryError(RuntimeError):
    """Called as torch's is."""


def fed(lengths: list[int]) -> Fed:
    """Row i holds the number i + 1 over its length, zeros beyond."""
    mixtures = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in enumerate(lengths):
        mixtures[row, :length] = row + 1
    return Fed(mixtures, np.array(lengths), tuple(Query(8000, text=str(i)) for i in range(len(lengths))))


class Device:
    """Holds so many samples; remembers what was tried."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[tuple[int, int]] = []

    def __call__(self, part: Fed) -> list[float]:
        self.tried.append(part.mixtures.shape)
        if part.mixtures.size > self.room:
            raise OutOfMemoryError("no room")
        return [float(row[:length].mean()) for row, length in zip(part.mixtures, part.lengths, strict=True)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=17), st.integers(50, 2000))
def test_every_row_is_answered_once_and_in_order(lengths: list[int], room: int) -> None:
    device = Device(room)
    found = Parts().answer(fed(lengths), device)
    assert [value for _, values in found for value in values] == [float(i + 1) for i in range(len(lengths))]
    assert [query.text for part, _ in found for query in part.queries] == [str(i) for i in range(len(lengths))]
    for part, _ in found:
        assert part.mixtures.shape == (len(part.lengths), part.lengths.max())


def test_a_size_that_did_not_fit_is_not_tried_again() -> None:
    parts, device = Parts(), Device(room=50)
    parts.answer(fed([10] * 16), device)
    assert device.tried == [(16, 10), (8, 10), (4, 10), (4, 10), (4, 10), (4, 10)]
    assert parts.too_large == 80
    device.tried.clear()
    parts.answer(fed([10] * 16), device)
    assert device.tried == [(4, 10)] * 4
    device.tried.clear()
    parts.answer(fed([5] * 8), device)  # as many rows, but they fit
    assert device.tried == [(8, 5)]


def test_one_mixture_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OutOfMemoryError):
        Parts().answer(fed([10, 100, 10]), Device(room=50))


def test_other_errors_are_not_tried_again() -> None:
    tried = []

    def broken(part: Fed) -> None:
        tried.append(part)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Parts().answer(fed([10] * 4), broken)
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("x"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (RuntimeError("CUDA error: out of memory"), True),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_running_out(error: Exception, ran_out: bool) -> None:
    assert ran_out_of_memory(error) is ran_out
    torch = pytest.importorskip("torch")
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
