"""What a metric sees of one trial, with everything shared between metrics computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from tspbench import audio
from tspbench.types import Audio

T = TypeVar("T")


@dataclass(frozen=True)
class Signals:
    """The answer of a system on one trial beside the truth.

    All audio is float32 at ``sample_rate``, shape (T,) ((n, T) for
    ``interferers``); ``estimate`` has the mixture's length. ``aligned`` says
    whether the estimate follows the target sample by sample.
    """

    sample_rate: int
    mixture: Audio
    target: Audio | None = None
    interferers: Audio = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    estimate: Audio | None = None
    hypothesis: str | None = None
    transcript: str | None = None
    interferer_transcripts: tuple[str, ...] = ()
    enrolment: tuple[Audio, ...] = ()
    aligned: bool = True
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def memo(self, key: Any, compute: Callable[[], T]) -> T:
        """``compute()``, once per ``key``: metrics of one family share their work here."""
        if key not in self._memo:
            self._memo[key] = compute()
        result: T = self._memo[key]
        return result

    def at(self, name: str, rate: int) -> Audio:
        """The signal ``name`` (``mixture``, ``target``, ``estimate``) at another rate."""
        return self.memo((name, rate), lambda: audio.resample(getattr(self, name), self.sample_rate, rate))

    def mixture_as_estimate(self) -> Signals:
        """The unprocessed mixture in the place of the estimate: the baseline of every ``_i``."""
        kept = {key: value for key, value in self._memo.items() if "estimate" not in str(key)}
        return Signals(
            sample_rate=self.sample_rate,
            mixture=self.mixture,
            target=self.target,
            interferers=self.interferers,
            estimate=self.mixture,
            transcript=self.transcript,
            interferer_transcripts=self.interferer_transcripts,
            enrolment=self.enrolment,
            _memo=kept,
        )
