"""Which estimates stay on disk after they are scored."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tspbench.metrics import Metric, Score
from tspbench.runner.orders import Journal
from tspbench.store import read_lines

WORST = 10
"""How many estimates ``--save-audio worst`` keeps."""

Policy = Literal["none", "worst", "all"]


class Kept(Protocol):
    """A folder that holds estimates; a ``RunFolder`` is such a thing."""

    @property
    def path(self) -> Path: ...
    def kept(self, trial_id: str) -> Path: ...


@dataclass
class Keeper:
    """Applies ``--save-audio``: the worst trials are those of the first metric, undefined ones first."""

    policy: Policy
    metric: Metric
    _kept: list[tuple[float, str]] = field(default_factory=list)

    def resume(self, folder: Kept) -> None:
        """Take up the worst trials of the part of the run that is done."""
        if self.policy != "worst":
            return
        for row in read_lines(folder.path / "scores.jsonl"):
            if row["metric"] == self.metric.id and folder.kept(row["trial_id"]).exists():
                heapq.heappush(self._kept, (self._badness(row["value"]), row["trial_id"]))

    def place(self, folder: Journal, trial_id: str) -> Path | None:
        """Where the scorer shall write the estimate, if anywhere."""
        state = folder.states.get(trial_id)
        judged = state is not None and self.metric.id in state.scored
        if self.policy == "none" or (self.policy == "worst" and judged):
            return None
        return folder.kept(trial_id)

    def scored(self, folder: Journal, trial_id: str, scores: Mapping[str, Score]) -> None:
        """Drop the best of the kept when there are too many."""
        if self.policy != "worst" or self.metric.id not in scores or not folder.kept(trial_id).exists():
            return
        heapq.heappush(self._kept, (self._badness(scores[self.metric.id].value), trial_id))
        self.drop(folder)

    def drop(self, folder: Kept | Journal) -> None:
        """Drop the best of the kept until no more than :data:`WORST` are left."""
        while len(self._kept) > WORST:
            _, best = heapq.heappop(self._kept)
            folder.kept(best).unlink(missing_ok=True)

    def _badness(self, value: float | None) -> float:
        if value is None:
            return float("inf")
        return -value if self.metric.higher_is_better else value
