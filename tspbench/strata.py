"""Which trials belong together when a result is broken down by a condition."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST = 64
"""A condition with more strata than this splits nothing that anyone would read."""
_LAST = (3, 0.0, "")
FEW = 6
"""So many distinct numbers stand for themselves."""
BANDS = 3
"""Of equal counts."""
EDGES: Mapping[str, tuple[Sequence[float], str]] = {
    "snr_db": ((-20, -15, -10, -5, 0, 5, 10, 15, 20), "dB"),
    "overlap": ((0.2, 0.4, 0.6, 0.8), ""),
    "enrolment_s": ((1, 2, 3, 5, 10, 15, 30, 60), "s"),
    "mixture_s": ((1, 2, 3, 5, 10, 15, 30, 60), "s"),
}
"""Conditions with bands that mean the same in every task, and their unit."""


def strata(conditions: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Indices of trials by condition and label; conditions that do not split the trials are left out.

    SNR, overlap and lengths fall into fixed bands, other numbers into three of
    equal counts; a lower edge belongs to its band. Trials that lack a condition
    are a stratum "None", the last one.
    """
    names = sorted({name for each in conditions for name in each})
    found = strata_of({name: [each.get(name) for each in conditions] for name in names})
    return {name: {label: list(places) for label, places in groups.items()} for name, groups in found.items()}


def strata_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, array[int]]]:
    """As :func:`strata`, of conditions that are columns already: by name, one value for each trial."""
    found = {}
    for name, values in sorted(columns.items()):
        groups: dict[str, array[int]] = {}
        first: dict[str, tuple[Any, int]] = {}
        for i, (value, label) in enumerate(zip(values, _labels(values, name), strict=True)):
            groups.setdefault(label, array("q")).append(i)
            first[label] = min(first.get(label, (_LAST, 0)), (_order(value), i))
        if 1 < len(groups) <= MOST:
            found[name] = {label: groups[label] for label in sorted(groups, key=lambda label: first[label])}
    return found


def _labels(values: Sequence[Any], name: str) -> list[str]:
    numbers = [value for value in values if _is_number(value)]
    if len(set(numbers)) <= FEW:
        return [str(value) for value in values]
    if name in EDGES:
        edges, unit = EDGES[name]
        bands = _bands([-math.inf, *edges, math.inf], unit)
        inner = list(edges)
    else:
        quantiles = np.quantile(numbers, np.linspace(0, 1, BANDS + 1))
        bands = [f"{low:.3g} to {high:.3g}" for low, high in itertools.pairwise(quantiles)]
        inner = list(quantiles[1:-1])
    return [bands[np.searchsorted(inner, value, "right")] if _is_number(value) else str(value) for value in values]


def _bands(edges: Sequence[float], unit: str) -> list[str]:
    def words(low: float, high: float) -> str:
        if low == -math.inf:
            return f"below {high:g} {unit}"
        return f"{low:g} {unit} or more" if high == math.inf else f"{low:g} to {high:g} {unit}"

    return [" ".join(words(low, high).split()) for low, high in itertools.pairwise(edges)]


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then words, then what is missing."""
    if _is_number(value):
        return 0, float(value), ""
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
