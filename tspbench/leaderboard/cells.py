"""Which results may stand in one table, and which scores in one column: equal identity, or apart."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tspbench.identity import DEFINITION, MANNER
from tspbench.sealed import Sealed, file_name
from tspbench.task import known_tasks

COLUMN = ("id", *DEFINITION)
"""What makes two scores the same metric. Package versions are shown, not compared, save the instrument's."""


@dataclass(frozen=True)
class Group:
    """Results that may be ranked together: one task, protocol, dialect and definition of the first metric."""

    identity: Mapping[str, Any]
    primary: str | None
    results: tuple[Sealed, ...]
    slug: str = ""
    differs: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        return str(self.identity["task"]["name"])


def column_identity(metric: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metric.get(name) for name in COLUMN}


def digest(value: Any) -> str:
    """Of anything that JSON can hold; equal values give equal digests."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def grouped(results: Iterable[Sealed]) -> list[Group]:
    """Results by identity, in the order of task names; tables of one task say what differs between them."""
    by_task: dict[str, list[Sealed]] = defaultdict(list)
    for result in results:
        by_task[str(result.identity["task"]["name"])].append(result)
    return [group for name in sorted(by_task) for group in _of_task(name, by_task[name])]


def _of_task(name: str, results: Sequence[Sealed]) -> list[Group]:
    primary = first_metric(name, results)
    parts: dict[str, list[Sealed]] = defaultdict(list)
    for result in results:
        parts[digest(_identity(result, primary))].append(result)
    groups = []
    for key in sorted(parts, key=lambda key: (-len(parts[key]), key)):
        found = sorted(parts[key], key=lambda result: result.label)
        identity = _identity(found[0], primary)
        slug = file_name(name) if len(parts) == 1 else f"{file_name(name)}-{key[:8]}"
        groups.append(Group(identity, primary if identity["first_metric"] else None, tuple(found), slug))
    return [_compared(group, groups[0]) for group in groups]


def _compared(group: Group, first: Group) -> Group:
    if group is first:
        return group
    return Group(group.identity, group.primary, group.results, group.slug, differences(first.identity, group.identity))


def _identity(result: Sealed, primary: str) -> dict[str, Any]:
    metric = result.metric(primary)
    protocol = {name: value for name, value in result.identity["protocol"].items() if name not in MANNER}
    return {
        "task": {name: value for name, value in result.identity["task"].items() if name != "of"},
        "protocol": protocol,
        "first_metric": column_identity(metric) if metric else None,
    }


def first_metric(task: str, results: Sequence[Sealed]) -> str:
    """The metric that ranks: the task's first one where it is known here, else the one that most results have first."""
    known = known_tasks().get(task.split(":")[0].split("[")[0]) or known_tasks().get(task)
    scored = {metric["id"] for result in results for metric in result.metrics}
    if known is not None and known.metrics and known.metrics[0] in scored:
        return known.metrics[0]
    firsts = [str(result.metrics[0]["id"]) for result in results if result.metrics]
    return min(firsts, key=lambda name: (-firsts.count(name), name), default="")


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two identities: ``task.trials: 64 there, 32 here``."""
    left, right = _flat(one), _flat(other)
    missing = object()
    return tuple(
        f"{name}: {_shown(left.get(name))} there, {_shown(right.get(name))} here"
        for name in sorted({*left, *right})
        if left.get(name, missing) != right.get(name, missing)
    )


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            found |= _flat(item, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = item
    return found
