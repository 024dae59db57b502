"""Whether two results are the same measurement of two systems, and what differs if they are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tspbench.errors import OtherIdentity
from tspbench.sealed import Sealed

MANNER = ("batch_order", "batch_size", "device", "precision", "seed")
"""Parts of the protocol that say how a system was run, not what was asked of it: told, not refused."""
NAMES = ("name", "of")
"""Parts of the task's identity that its digest makes redundant."""
DEFINITION = ("version", "parameters", "level", "penalty", "aggregate", "instrument", "dialect")


def differences(first: Sealed, second: Sealed, metric_ids: Sequence[str]) -> list[str]:
    """What makes the numbers of two results different measurements: trials, protocol, the metrics' definitions."""
    found: list[str] = []
    for part, ignored in (("task", NAMES), ("protocol", MANNER)):
        one, two = (_without(each.identity.get(part, {}), ignored) for each in (first, second))
        found += _walk(one, two, part)
    if first.trial_ids != second.trial_ids:
        found.append(f"trials: {len(first.trial_ids)} and {len(second.trial_ids)}, ids differ")
    for name in metric_ids:
        one, two = (_part(each.metric(name), DEFINITION) for each in (first, second))
        found += _walk(one, two, f"metric {name}")
    return found


def remarks(first: Sealed, second: Sealed, metric_ids: Sequence[str]) -> list[str]:
    """What differs but is no reason to refuse: how the systems were run, what they were told, package versions."""
    one, two = (_part(each.identity.get("protocol"), MANNER) for each in (first, second))
    found = list(_walk(one, two, "protocol"))
    if tuple(first.side_information) != tuple(second.side_information):
        found.append(f"side information: {_told(first)} and {_told(second)}")
    one, two = (_packages(each, metric_ids) for each in (first, second))
    return found + list(_walk(one, two, "package"))


def require_same(sealeds: Sequence[Sealed], metric_ids: Sequence[str], hint: str = "") -> None:
    """Refuse results that are not the same measurement as the first one.

    Raises
    ------
    OtherIdentity
        The message says exactly what differs.
    """
    names = labels(sealeds)
    for name, other in zip(names[1:], sealeds[1:], strict=True):
        found = differences(sealeds[0], other, metric_ids)
        if found:
            raise OtherIdentity(
                f"{names[0]} and {name} are not the same measurement. What differs: {'; '.join(found)}. {hint}".strip()
            )


def labels(sealeds: Sequence[Sealed]) -> list[str]:
    """A different name for each result: its label, with what tells equal ones apart."""
    given = [one.label for one in sealeds]
    names = [
        f"{one.label} ({one.identity['system'].get('digest', '')[:8]})" if given.count(one.label) > 1 else one.label
        for one in sealeds
    ]
    return [f"{name} #{i + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _without(part: Mapping[str, Any], ignored: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in ignored}


def _part(record: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Any]:
    return {key: (record or {}).get(key) for key in keys}


def _packages(one: Sealed, metric_ids: Iterable[str]) -> dict[str, Any]:
    return {package: version for name in metric_ids for package, version in _of_metric(one, name).items()}


def _of_metric(one: Sealed, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (one.metric(name) or {}).get("packages", {})
    return found


def _walk(first: Any, second: Any, name: str) -> Iterator[str]:
    if isinstance(first, Mapping) or isinstance(second, Mapping):
        one, two = (value if isinstance(value, Mapping) else {} for value in (first, second))
        for key in sorted({*one, *two}):
            yield from _walk(one.get(key), two.get(key), f"{name}.{key}")
    elif first != second:
        yield f"{name}: {_short(first)} and {_short(second)}"


def _short(value: Any) -> str:
    text = "none" if value in (None, "") else str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _told(one: Sealed) -> str:
    return ", ".join(one.side_information) or "none"
