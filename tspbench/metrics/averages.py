"""Ways of averaging that publications use: from the scores of a run's trials to the figures they print.

Our own statistics (mean, penalised mean, intervals) never change; these stand
beside them for the metrics of a dialect. A figure is None where the publication
would print none: some trial has no value, or a class is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Figures = dict[str, float | None]
"""Names and values; ``mean`` is the one that the publication's table shows."""


@dataclass(frozen=True, slots=True)
class Item:
    """One applicable trial: its value (None where undefined or failed) and the class of its target."""

    value: float | None
    label: str | None = None


Average = Callable[[Sequence[Item]], Figures]


def item_mean(items: Sequence[Item]) -> Figures:
    """The mean of all trials' values."""
    values = _all_values(items)
    return {"mean": float(np.mean(values)) if values else None}


def item_mean_std(items: Sequence[Item]) -> Figures:
    """The mean, and beside it the unbiased standard deviation (n - 1)."""
    values = _all_values(items)
    return item_mean(items) | {"std": float(np.std(values, ddof=1)) if len(values) > 1 else None}


def class_mean(items: Sequence[Item]) -> Figures:
    """The mean of the classes' means."""
    return {"mean": _over_classes(items, np.mean)}


def class_median_mean(items: Sequence[Item]) -> Figures:
    """The mean of the classes' medians."""
    return {"mean": _over_classes(items, np.median)}


def missing_as_zero(items: Sequence[Item]) -> Figures:
    """The sum of the values there are, over the number of all trials."""
    values = [item.value for item in items if item.value is not None]
    return {"mean": float(np.sum(values)) / len(items) if values else None}


def _all_values(items: Sequence[Item]) -> list[float]:
    """The values, or none at all where one is missing."""
    values = [item.value for item in items if item.value is not None]
    return values if len(values) == len(items) else []


def _over_classes(items: Sequence[Item], of_class: Callable[[list[float]], np.floating]) -> float | None:
    values = _all_values(items)
    classes: dict[str, list[float]] = {}
    for item, value in zip(items, values, strict=False):
        if item.label is None:
            return None
        classes.setdefault(item.label, []).append(value)
    return float(np.mean([of_class(group) for group in classes.values()])) if classes else None
