"""From the name of a cell to its trials and audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tspbench.errors import UnknownName, UsageError
from tspbench.manifest import Manifest
from tspbench.prepared import names, record
from tspbench.prepared.cell import Cell, CellReader, Recipe, open_cell
from tspbench.prepared.declaration import Protocol
from tspbench.prepared.lists import describe
from tspbench.prepared.names import UNPUBLISHED, CellName
from tspbench.stage import Stage
from tspbench.task import Task, TaskInfo, ready_tasks


def load_prepared(info: TaskInfo, name: CellName, root: Path | None, *, available: bool) -> Task:
    """A cell of a prepared task.

    Raises
    ------
    UsageError
        The protocol was not prepared yet (says what to fetch and what to type),
        or trials are missing and ``available`` is not set.
    """
    asked = name.protocol or info.default_protocol
    declared = find_protocol(info, asked)
    folder = record.folder_of(record.data_root(root), info.name, asked)
    prepared = record.read(folder, {protocol.name: protocol for protocol in info.protocols})
    if prepared is None:
        raise UsageError(how_to_prepare(info, declared))
    recipe = prepared_recipe(info, prepared, name.options)
    made = open_cell(recipe)
    if made.available < made.total and not available:
        raise UsageError(_partly(made))
    if not made.available:
        raise UsageError(f"None of the {made.total:,} trials of {info.name}:{asked} can be rendered: no audio is here.")
    trials = Manifest(made.manifest(available=available))
    cell_info = replace(
        info,
        name=names.label(info.name, asked, declared, recipe.options),
        sample_rate=recipe.sample_rate,
        metrics=declared.metrics or info.metrics,
        cluster=recipe.cluster,
        side_information=declared.side_information or info.side_information,
        protocols=(declared,),
    )
    reader = CellReader(made.folder, prepared.roots)
    return Task(cell_info, trials, Stage(recipe.sample_rate, reader), whole=made.total, options=recipe.options)


def find_protocol(info: TaskInfo, asked: str) -> Protocol:
    """A protocol by name; of an unpublished list's name only the part before the digest counts."""
    by_name = {protocol.name: protocol for protocol in info.protocols}
    plain = asked.partition(UNPUBLISHED)[0]
    if plain not in by_name:
        raise UnknownName(f"protocol of {info.name}", asked, by_name)
    return by_name[plain]


def prepared_recipe(info: TaskInfo, prepared: record.Prepared, options: Mapping[str, str]) -> Recipe:
    """What a cell is made from."""
    filled = names.fill(prepared.declared, options)
    assert info.importer is not None
    return Recipe(
        task=info.name,
        kind=info.kind,
        sample_rate=_rate(filled.get("rate")) or info.sample_rate,
        cluster=prepared.declared.cluster or info.cluster,
        importer=info.importer,
        prepared=prepared,
        options=filled,
    )


def how_to_prepare(info: TaskInfo, protocol: Protocol) -> str:
    """What to fetch, what to type, and what works at once."""
    required = [file for file in protocol.files if file.required and not file.shipped]
    roots = [root for root in protocol.roots if root.needed(names.fill(protocol, {}))]
    lines = [f"The task {info.name}:{protocol.name} is not prepared on this machine."]
    lines += [f"  Fetch: {describe([file])}" for file in required]
    lines += [f"  Audio: {', '.join(p for p in (root.what, root.size, root.source) if p)}" for root in roots]
    audio = " ".join(f"--audio {root.name}=DIR" if len(roots) > 1 else "--audio DIR" for root in roots)
    given = " ".join(f"--list {file.name}" for file in required)
    lines.append(f"  Then:  tspbench data prepare {info.name}:{protocol.name} {audio} {given}".rstrip())
    at_once = next(
        (f"Ready now, without a download: --task {r.name}. " for r in ready_tasks() if r.kind is info.kind), ""
    )
    lines.append(f"{at_once}What is ready: tspbench data status.")
    return "\n".join(lines)


def _partly(made: Cell) -> str:
    lacking = " ".join(made.inventory.troubles())
    return (
        f"{made.available:,} of {made.total:,} trials can be rendered with the audio here. {lacking} "
        "Add --available to run those alone (the result says so), or bring the rest and prepare again."
    )


def _rate(text: str | None) -> int | None:
    """``8k`` or ``8000`` in Hz."""
    if text is None:
        return None
    return int(float(text[:-1]) * 1000) if text.endswith("k") else int(text)
