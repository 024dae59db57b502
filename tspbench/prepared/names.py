"""``NAME[:PROTOCOL][k=v,...]``: how a cell of a task is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol as Shape

from tspbench.errors import UnknownName, UsageError, nearest
from tspbench.prepared.declaration import TaskOption

CELL = re.compile(r"(?P<task>[^:\[\]]+)(?::(?P<protocol>[^:\[\]]+))?(?:\[(?P<options>[^\[\]]*)\])?")
UNPUBLISHED = "~"
"""Between a protocol and the digest of a list that its publication does not know."""


class HasOptions(Shape):
    """A protocol, or a task without protocols."""

    @property
    def name(self) -> str: ...

    @property
    def options(self) -> tuple[TaskOption, ...]: ...


@dataclass(frozen=True)
class CellName:
    """A task's name taken apart; ``protocol`` is None where the default is meant."""

    task: str
    protocol: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def parse(text: str, extra: Iterable[str] = ()) -> CellName:
    """Take a cell's name apart; ``extra`` holds more ``k=v``, as ``--task-option`` gives them.

    Raises
    ------
    UsageError
        The text has another form, or says one option twice.
    """
    match = CELL.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--task {text}: write NAME, NAME:PROTOCOL or NAME:PROTOCOL[option=value,…].")
    options: dict[str, str] = {}
    inside = [part for part in (match["options"] or "").split(",") if part.strip()]
    for part in [*inside, *extra]:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise UsageError(f"The task option {part!r}: write option=value.")
        if options.get(key, value) != value:
            raise UsageError(f"The task option {key} is given twice: {options[key]} and {value}.")
        options[key] = value
    return CellName(match["task"], match["protocol"], options)


def fill(protocol: HasOptions, given: Mapping[str, str]) -> dict[str, str]:
    """Every option of a protocol (or a task), in its order, defaults filled in; UnknownName for one it lacks."""
    declared = {option.name: option for option in protocol.options}
    for key, value in given.items():
        if key not in declared:
            raise UnknownName(f"option of {protocol.name}", key, declared)
        if value not in declared[key].choices:
            raise UsageError(_no_choice(declared[key], value))
    return {name: given.get(name, option.default) for name, option in declared.items()}


def label(task: str, protocol: str, declared: HasOptions, options: Mapping[str, str]) -> str:
    """The one spelling of a cell: options at their default are left out, and a protocol where there is none."""
    changed = [f"{o.name}={options[o.name]}" for o in declared.options if options[o.name] != o.default]
    cell = f"{task}:{protocol}" if protocol else task
    return f"{cell}[{','.join(changed)}]" if changed else cell


def _no_choice(option: TaskOption, value: str) -> str:
    return f"{option.name}={value}: {nearest(value, option.choices)} It may be {', '.join(option.choices)}."
