"""Batches that do not fit into memory, in halves."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from tspbench.runner.feed import Fed

Answered = TypeVar("Answered")


class Parts:
    """Answers batches whole, or in parts where memory ran out before at their size.

    A size is that of the padded mixtures, rows times samples. What did not fit
    once is not tried again.
    """

    def __init__(self) -> None:
        self.too_large = sys.maxsize
        """The smallest size that did not fit."""

    def answer(self, fed: Fed, answer: Callable[[Fed], Answered]) -> list[tuple[Fed, Answered]]:
        """``answer`` of a batch, or of each of its parts in order.

        Raises whatever ``answer`` raises; that memory ran out only over a single mixture.
        """
        found: list[tuple[Fed, Answered]] = []
        waiting = [fed]
        while waiting:
            part = waiting.pop()
            if len(part.lengths) > 1 and part.mixtures.size >= self.too_large:
                waiting.extend(reversed(list(_halves(part))))
                continue
            try:
                found.append((part, answer(part)))
            except Exception as error:
                if len(part.lengths) == 1 or not ran_out_of_memory(error):
                    raise
                self.too_large = min(self.too_large, part.mixtures.size)
                waiting.append(part)
            else:
                continue
            _give_back()  # out here the error, whose traceback holds the tensors, is gone
        return found


def ran_out_of_memory(error: BaseException) -> bool:
    """Is this what torch raises when a device has no memory left, or Python when the machine has none?"""
    names = {cls.__name__ for cls in type(error).__mro__}
    told = any(words in str(error) for words in ("out of memory", "can't allocate memory"))
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or (isinstance(error, RuntimeError) and told)


def _halves(fed: Fed) -> Iterator[Fed]:
    middle = (len(fed.lengths) + 1) // 2
    yield fed.part(0, middle)
    yield fed.part(middle, len(fed.lengths))


def _give_back() -> None:
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
