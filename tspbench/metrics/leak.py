"""Which wrong words of an answer are another talker's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Words = Sequence[str]
Table = npt.NDArray[np.int32]

MOST_CELLS = 50_000_000
"""What an alignment may hold in memory (4 bytes each)."""


class Step(NamedTuple):
    """One step of an alignment. ``said`` is None for an insertion, ``heard`` for a deletion."""

    kind: Literal["equal", "substitute", "insert", "delete"]
    said: str | None
    heard: str | None
    leaked: bool = False
    """A wrong word that is another talker's."""


def attributed(reference: str, hypothesis: str, others: Sequence[str] = ()) -> tuple[Step, ...]:
    """The alignment with the fewest errors that leaves most of the wrong words to the other talkers.

    An inserted or substituted word is leaked when it is matched with an equal
    word of one of ``others``; matches keep the order of each of these texts and
    use a word once. Of all alignments with the fewest errors (insertions,
    deletions and substitutions cost 1) those with most leaked words are taken:
    their number depends on no tie. Of these, the one that prefers, from the
    last word backwards, equal words, then substitutions, insertions, deletions,
    and leaks early words rather than late ones.

    Raises
    ------
    ValueError
        The texts are too long for the memory that is set aside.
    """
    said, heard = reference.split(), hypothesis.split()
    # A word that is not in the answer cannot have leaked: without it the table is smaller and the result the same.
    theirs = [[word for word in text.split() if word in set(heard)] for text in others]
    search = _Search(said, heard, theirs)
    return tuple(search.steps(search.tables()))[::-1]


def leaked(steps: Sequence[Step]) -> int:
    """How many words of an alignment are another talker's."""
    return sum(step.leaked for step in steps)


@dataclass(frozen=True, slots=True)
class _Search:
    """Least cost of aligning the first i words of ``said`` with the first j of ``heard``.

    ``tables[j][i, k1, k2, ...]`` uses no more than the first k words of each of
    the others. An error costs ``weight``, a leaked word gains 1 (there are fewer than ``weight``).
    """

    said: Words
    heard: Words
    theirs: Sequence[Words]

    @property
    def weight(self) -> int:
        return len(self.heard) + 1

    def tables(self) -> list[Table]:
        shape = (len(self.said) + 1, *(len(words) + 1 for words in self.theirs))
        if np.prod(shape, dtype=np.float64) * self.weight > MOST_CELLS:
            raise ValueError("the texts are too long to be aligned with those of the other talkers")
        deletions = self.weight * np.arange(shape[0], dtype=np.int32).reshape(-1, *[1] * len(self.theirs))
        tables = [np.broadcast_to(deletions, shape).astype(np.int32)]
        for word in self.heard:
            tables.append(self._next(tables[-1], word, deletions))
        return tables

    def _next(self, before: Table, word: str, deletions: Table) -> Table:
        wrong = before.copy()
        wrong[1:] = np.minimum(before[1:], before[:-1])  # inserted, or in the place of a word that was said
        costs: Table = self._taken(wrong, word) + np.int32(self.weight)
        right = np.flatnonzero([said == word for said in self.said])
        costs[right + 1] = np.minimum(costs[right + 1], before[right])
        reached: Table = np.minimum.accumulate(costs - deletions, axis=0) + deletions
        return reached

    def _taken(self, costs: Table, word: str) -> Table:
        """Costs after a wrong word, which may be one of the others'."""
        after = costs.copy()
        for axis, words in enumerate(self.theirs, 1):
            own, old = np.moveaxis(after, axis, 0), np.moveaxis(costs, axis, 0)
            for k in (k for k, other in enumerate(words) if other == word):
                own[k + 1] = np.minimum(own[k + 1], old[k] - 1)
            np.minimum.accumulate(own, axis=0, out=own)
        return after

    def steps(self, tables: Sequence[Table]) -> Iterator[Step]:
        """The alignment, last step first."""
        i, j = len(self.said), len(self.heard)
        used = tuple(len(words) for words in self.theirs)
        while i or j:
            cost = tables[j][(i, *used)]
            used = _fewest(tables[j][i], used)
            said, heard = self.said[i - 1] if i else None, self.heard[j - 1] if j else None
            if i and j and said == heard and tables[j - 1][(i - 1, *used)] == cost:
                step = Step("equal", said, heard)
            elif i and j and (found := self._wrong(tables[j - 1][i - 1], cost, heard, used)) is not None:
                step, used = Step("substitute", said, heard, found != used), found
            elif j and (found := self._wrong(tables[j - 1][i], cost, heard, used)) is not None:
                step, used = Step("insert", None, heard, found != used), found
            else:
                step = Step("delete", said, None)
            i, j = i - (step.said is not None), j - (step.heard is not None)
            yield step

    def _wrong(self, before: Table, cost: int, word: str | None, used: tuple[int, ...]) -> tuple[int, ...] | None:
        """How much of the others is used before a wrong word, if one leads from ``before`` to ``cost``."""
        if before[used] + self.weight == cost:
            return used
        for axis, words in enumerate(self.theirs):
            fewer = _less(used, axis)
            if used[axis] and words[used[axis] - 1] == word and before[fewer] + self.weight - 1 == cost:
                return fewer
        return None


def _fewest(costs: Table, used: tuple[int, ...]) -> tuple[int, ...]:
    """As few of the others' words as give the same cost."""
    for axis in range(len(used)):
        while used[axis] and costs[_less(used, axis)] == costs[used]:
            used = _less(used, axis)
    return used


def _less(used: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(count - (place == axis) for place, count in enumerate(used))
