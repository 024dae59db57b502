"""What a metric is: a pure function and a declaration that pins its definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tspbench.metrics.averages import Average
    from tspbench.metrics.signals import Signals

Value = float | int | str | bool | None


class Need(StrEnum):
    """What must be at hand for a metric to apply to a trial."""

    ESTIMATE = "estimate"
    """The system returned a waveform."""
    HYPOTHESIS = "hypothesis"
    """The system returned words."""
    TARGET = "target"
    """The trial has a target, and its waveform is known."""
    ABSENCE = "absence"
    """The trial's target is absent from the mixture."""
    INTERFERERS = "interferers"
    TRANSCRIPT = "transcript"
    ENROLMENT = "enrolment"
    ALIGNED = "aligned"
    """The estimate follows the target sample by sample."""


class Status(StrEnum):
    """What became of one metric on one trial."""

    OK = "ok"
    NOT_APPLICABLE = "not_applicable"
    """The question makes no sense here (no target, no transcript…): left out of every mean."""
    UNDEFINED = "undefined"
    """The system's answer has no value under the definition (silence…): penalised."""
    FAILED = "failed"
    """The system gave no usable answer, or the metric broke: penalised."""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric on one trial. ``value`` is a finite number, or None with a reason.

    ``counts`` are the raw counts of a rate (``errors``, ``total`` and their
    parts), which alone may be pooled.
    """

    value: float | None
    status: Status = Status.OK
    reason: str | None = None
    counts: Mapping[str, int] | None = None

    @classmethod
    def undefined(cls, reason: str) -> Score:
        return cls(None, Status.UNDEFINED, reason)


@dataclass(frozen=True)
class Metric:
    """A metric's declaration.

    Parameters
    ----------
    id
        Never stands for two computations. Variants stand in brackets:
        ``wer[pocketsphinx]``, ``dnsmos_ovrl[level=raw]``.
    version
        Raised whenever the same input may give another value.
    compute
        From :class:`~tspbench.metrics.signals.Signals` to :class:`Score`; pure.
    bounds
        The least and greatest value it can take; None where unbounded.
    penalty
        What an undefined or failed score counts as in the penalised mean.
    gain_penalty
        The same for ``<id>_i``; None where ``penalty`` itself is a loss.
    aggregate
        ``mean`` of the trials' values, or ``pooled``: the sum of
        ``counts["errors"]`` over the sum of ``counts["total"]``.
    improves
        True when ``<id>_i``, the gain over the unprocessed mixture, is a metric too.
    level
        Whether the estimate's level matters, and the policy when it does:
        ``matched`` (scaled to the target by projection where aligned, else to
        the mixture's active level) or ``raw``; None for metrics blind to level.
    sample_rates
        The rates in Hz it works at (signals are resampled once); empty for any.
    silence
        What a silent estimate gets, in words.
    also_called
        Papers or code bases and the label under which they print this computation.
    parametrise
        Builds a variant from bracketed parameters; None when there are none.
    dialect
        The dialect whose reading this is (``SDRi@NAME``); None for our own metrics.
    average
        How its publication averages; its figures stand in the summary beside our own mean.
    """

    id: str
    version: int
    summary: str
    formula: str
    compute: Callable[[Signals], Score] = field(repr=False)
    needs: frozenset[Need]
    unit: str
    higher_is_better: bool
    bounds: tuple[float | None, float | None]
    penalty: float
    silence: str
    implementation: str
    citation: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    aggregate: Literal["mean", "pooled"] = "mean"
    improves: bool = False
    level: Literal["matched", "raw"] | None = None
    sample_rates: tuple[int, ...] = ()
    also_called: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    extra: str | None = None
    parametrise: Callable[[Mapping[str, str]], Metric] | None = field(default=None, repr=False)
    gain_penalty: float | None = None
    improvement_of: str | None = None
    dialect: str | None = None
    average: Average | None = field(default=None, repr=False)
