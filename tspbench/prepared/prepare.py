"""``tspbench data prepare``: from a published list and a corpus on disk to a task that runs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tspbench import manifest
from tspbench.baselines import cache_folder
from tspbench.corpus import Progress
from tspbench.errors import UsageError, nearest
from tspbench.prepared import cell, corpus, lists, names, record
from tspbench.prepared.corpus import Inventory
from tspbench.prepared.declaration import Protocol, Root
from tspbench.prepared.load import prepared_recipe
from tspbench.task import TaskInfo, task_folder

ATTEMPTS = 100
"""How often to try again where another process prepares the same protocol."""


@dataclass(frozen=True)
class Report:
    """What was prepared: the cell's name, its trials and the state of the clips."""

    label: str
    folder: Path
    total: int
    available: int
    digest: str
    published: bool
    expected_digest: bool | None
    """Whether the trials are those that task.toml pins; None where it pins none."""
    inventory: Inventory


def prepare(
    task: str,
    audio: Sequence[str],
    list_files: Sequence[str],
    *,
    data_root: Path | None = None,
    available: bool = False,
    checksums: Path | None = None,
    headers_only: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Prepare one protocol of a task; nothing is written unless all of it is.

    Raises
    ------
    UsageError
        A list or a corpus is not what it should be; with ``available`` trials
        whose audio is missing or unusable are left out instead.
    """
    asked = names.parse(task)
    info, home = task_folder(asked.task)
    if not info.protocols:
        raise UsageError(f"{asked.task} is ready as it is: it brings its own audio.")
    given = lists.recognise(info.name, info.protocols, info.default_protocol, asked.protocol, list_files, home)
    prepared = record.Prepared(
        task=info.name,
        protocol=given.name,
        declared=given.declared,
        lists=given.records,
        roots=_roots(given.declared, audio, names.fill(given.declared, asked.options)),
        folder=record.folder_of(record.data_root(data_root), info.name, given.name),
        stamp=uuid.uuid4().hex,
        options=asked.options,
    )
    known = corpus.read_checksums(checksums) if checksums else None
    recipe = prepared_recipe(info, prepared, asked.options)
    target = cache_folder() / "cells" / recipe.key
    inventory = cell.build(recipe, given.files, target, listen=not headers_only, checksums=known, progress=progress)
    try:
        refuse(inventory, available=available)
        _install(replace(prepared, unusable={**inventory.broken, **inventory.unfit}), given.files)
    except UsageError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return _report(info, prepared, recipe, inventory)


def _report(info: TaskInfo, prepared: record.Prepared, recipe: cell.Recipe, inventory: Inventory) -> Report:
    made = cell.open_cell(recipe)
    digest = manifest.Manifest(made.manifest(available=False)).digest
    plain = dict(recipe.options) == names.fill(prepared.declared, {})
    published = all(row.published for row in prepared.lists.values())
    pinned = prepared.declared.digest if plain and published else ""
    return Report(
        label=names.label(info.name, prepared.protocol, prepared.declared, recipe.options),
        folder=prepared.folder,
        total=made.total,
        available=made.available,
        digest=digest,
        published=published,
        expected_digest=digest == pinned if pinned and made.available == made.total else None,
        inventory=inventory,
    )


def refuse(inventory: Inventory, *, available: bool) -> None:
    """Refuse clips that are missing or of no use, one sentence per kind of trouble.

    Raises
    ------
    UsageError
        Nothing was found at all, or something is wrong and ``available`` is not set.
    """
    troubles = inventory.troubles()
    if not inventory.found:
        nothing = "None of the list's audio can be used."
        if not (inventory.ambiguous or inventory.broken or inventory.unfit):
            nothing = "None of the list's audio was found: is --audio the right folder?"
        raise UsageError(" ".join([*troubles, nothing]))
    if inventory.troubled and not available:
        raise UsageError(
            "\n".join([*troubles, "Nothing was prepared. Bring the files, or add --available to go on without them."])
        )


def _roots(protocol: Protocol, given: Sequence[str], options: Mapping[str, str]) -> dict[str, Path]:
    """``--audio DIR`` and ``--audio NAME=DIR`` by the name of the corpus."""
    declared = {root.name: root for root in protocol.roots}
    found: dict[str, Path] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = _only_root(protocol, options), text
        if name not in declared:
            raise UsageError(f"--audio {text}: {protocol.name} has no corpus {name!r}. {nearest(name, declared)}")
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise UsageError(f"--audio {text}: {folder} is not a folder.")
        found[name] = folder.absolute()
    lacking = [root for root in protocol.roots if root.needed(options) and root.name not in found]
    if lacking:
        raise UsageError(f"{protocol.name} needs --audio {describe_root(lacking[0])}.")
    return found


def _only_root(protocol: Protocol, options: Mapping[str, str]) -> str:
    required = [root.name for root in protocol.roots if root.needed(options)]
    return required[0] if required else protocol.roots[0].name


def describe_root(root: Root) -> str:
    """A corpus as a user is asked for it."""
    return ", ".join(part for part in (f"{root.name}=DIR: {root.what}", root.size, root.source) if part)


def _install(prepared: record.Prepared, files: Mapping[str, Path]) -> None:
    """Put lists and record into the data root, in one step."""
    folder = prepared.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder.parent))
        try:
            (staging / "lists").mkdir()
            for role, path in files.items():
                shutil.copyfile(path, staging / "lists" / prepared.lists[role].name)
            record.write(replace(prepared, folder=staging))
            _put(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error.strerror}). Name another place with --data-root or TSPBENCH_DATA."
        ) from error


def _put(staging: Path, folder: Path) -> None:
    """Put a folder in the place of another; of several processes that do so at once, the last one wins."""
    old = staging.with_name(f"{staging.name}-old")
    for left in reversed(range(ATTEMPTS)):
        with contextlib.suppress(FileNotFoundError):
            os.replace(folder, old)
        try:
            os.replace(staging, folder)
        except OSError as error:
            if not left or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                with contextlib.suppress(OSError):
                    os.replace(old, folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            shutil.rmtree(old, ignore_errors=True)
            return
