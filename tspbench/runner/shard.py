"""Part of a run: some of its batches, in a folder of their own, to be merged with the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tspbench.errors import UsageError
from tspbench.runner.orders import Trials
from tspbench.runner.plan import Batch
from tspbench.types import Trial


@dataclass(frozen=True)
class Shard:
    """The ``number``-th, from 1, of ``of`` parts."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``3/8``.

        Raises
        ------
        UsageError
            It is not written like that, or there is no such part.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match:
            raise UsageError(f"--shard {text}: write K/N, such as 3/8 for the third of eight parts.")
        number, of = int(match[1]), int(match[2])
        if of < 1:
            raise UsageError(f"--shard {text}: there must be at least one part.")
        if not 1 <= number <= of:
            raise UsageError(f"--shard {text}: parts are counted from 1 to {of}.")
        return cls(number, of)

    def batches(self, planned: Sequence[Batch]) -> tuple[Batch, ...]:
        """This part's batches of a whole run, in their order.

        Batches stay whole: who is answered together may matter to an answer. They are dealt out to
        the parts in turn, there and back, each time beginning one part further on.

        Raises
        ------
        UsageError
            There are fewer batches than parts.
        """
        if len(planned) < self.of:
            raise UsageError(f"--shard {self}: the run has no more than {len(planned)} batches. Cut it in fewer parts.")
        return tuple(batch for place, batch in enumerate(planned) if self._takes(place))

    def _takes(self, place: int) -> bool:
        # A plain turn would give the same parts the longest batches of every window whenever its size is a
        # multiple of the number of parts.
        turn, step = divmod(place, 2 * self.of)
        return (min(step, 2 * self.of - 1 - step) + turn) % self.of == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Share:
    """Some trials of many (:class:`~tspbench.runner.orders.Trials`)."""

    whole: Trials
    ids: list[str]

    @classmethod
    def of_batches(cls, whole: Trials, batches: Sequence[Batch]) -> Share:
        return cls(whole, [trial_id for batch in batches for trial_id in batch.trial_ids])

    def __len__(self) -> int:
        return len(self.ids)

    def trial(self, trial_id: str) -> Trial:
        return self.whole.trial(trial_id)


def shard_record(shard: Shard, share: Share) -> dict[str, Any]:
    """A part as the identity of its run states it, beside the whole list's digest."""
    return {"number": shard.number, "of": shard.of, "trials": len(share)}
