"""``tspbench data status``: what is ready, and what to bring for what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tspbench.errors import TspbenchError
from tspbench.prepared import names, record
from tspbench.prepared.cell import open_cell
from tspbench.prepared.declaration import Protocol
from tspbench.prepared.load import how_to_prepare, prepared_recipe
from tspbench.task import TaskInfo, known_tasks


@dataclass(frozen=True)
class State:
    """One protocol, under the options it was prepared with.

    ``state``: ``ready`` (all of it), ``partly``, ``broken`` (its record cannot be used) or ``not prepared``.
    """

    task: str
    state: str
    trials: str
    advice: str
    rows: int


def states(root: Path | None = None) -> list[State]:
    """Every protocol of every task, the bundled ones first."""
    found = []
    for info in known_tasks().values():
        if not info.protocols:
            found.append(State(info.name, "ready", "bundled", "", 0))
            continue
        protocols = {protocol.name: protocol for protocol in info.protocols}
        home = record.data_root(root) / info.name
        extra = sorted(path.name for path in home.glob("*~*")) if home.is_dir() else []
        for name in [*protocols, *extra]:
            found.append(_state(info, name, protocols, home))
    return sorted(found, key=lambda state: (state.trials != "bundled", state.task))


def _state(info: TaskInfo, name: str, protocols: Mapping[str, Protocol], home: Path) -> State:
    label = f"{info.name}:{name}"
    declared = protocols[name.partition("~")[0]]
    try:
        prepared = record.read(home / name, protocols)
        if prepared is None:
            return State(label, "not prepared", "", how_to_prepare(info, declared), declared.rows)
        recipe = prepared_recipe(info, prepared, prepared.options)
        label = names.label(info.name, name, declared, recipe.options)
        made = open_cell(recipe)
    except TspbenchError as error:
        return State(label, "broken", "", str(error), declared.rows)
    gone = [str(path) for path in prepared.roots.values() if not path.is_dir()]
    if gone:
        return State(label, "broken", "", f"{gone[0]} is not there any more.", declared.rows)
    trials = f"{made.available:,} of {made.total:,}"
    if made.available == made.total:
        return State(label, "ready", trials, "", declared.rows)
    advice = " ".join([*made.inventory.troubles(), "Run with --available, or bring what is missing and prepare again."])
    return State(label, "partly", trials, advice, declared.rows)
