"""A cell: the trials of a protocol under one choice of its options, as a manifest beside an inventory of its clips.

Cells are made from the lists when they are first asked for and kept in the
cache; the data root holds what they are made from.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import cast

from tspbench import audio, manifest
from tspbench.activity import with_cue
from tspbench.baselines import cache_folder
from tspbench.corpus import Progress
from tspbench.decode import digest
from tspbench.errors import AudioError, UsageError
from tspbench.prepared.corpus import Inventory, Stems, take_stock
from tspbench.prepared.material import Importer, Material
from tspbench.prepared.record import Prepared
from tspbench.types import Audio, Clip, TaskKind, Trial


@dataclass(frozen=True)
class Cell:
    """Where a cell lies: ``whole.jsonl`` has every trial, ``available.jsonl`` those whose audio is there."""

    folder: Path
    total: int
    available: int

    @property
    def inventory(self) -> Inventory:
        return _inventory(self.folder)

    def manifest(self, *, available: bool) -> Path:
        partly = available and self.available < self.total
        return self.folder / ("available.jsonl" if partly else "whole.jsonl")


@dataclass(frozen=True)
class CellReader:
    """Opens clips by their published names. Small and picklable: the inventory is read where it is needed."""

    folder: Path
    roots: Mapping[str, Path]

    def read(self, clip: Clip) -> tuple[Audio, int]:
        return audio.read(
            self.locate(clip),
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            sha256=clip.sha256,
            channel=clip.channel,
        )

    def measure(self, clip: Clip) -> tuple[int, int]:
        """Number of samples and rate in Hz, from the file's header."""
        return audio.measure(self.locate(clip), start_s=clip.start_s, duration_s=clip.duration_s)

    def check(self, clip: Clip) -> None:
        path = self.locate(clip)
        if not path.exists():
            raise AudioError(f"{path} is not there any more. Bring it back, or run tspbench data prepare again.")

    def locate(self, clip: Clip) -> Path:
        """The file of a clip on this machine; AudioError when it was not found."""
        found = _inventory(self.folder).found.get(clip.path)
        if found is None:
            raise AudioError(f"{clip.path} was not found. After bringing it, run tspbench data prepare again.")
        return self.roots[clip.path.partition("/")[0]] / found.path


@dataclass(frozen=True)
class Recipe:
    """What decides a cell's trials: task, kind and rate, the protocol's lists and corpora, every option."""

    task: str
    kind: TaskKind
    sample_rate: int
    cluster: str | None
    importer: str
    prepared: Prepared
    options: Mapping[str, str]

    @property
    def key(self) -> str:
        """Names the cell in the cache: other lists, options, importer or corpora make another cell."""
        module = importlib.import_module(self.importer)
        code = hashlib.sha256(b"".join(file.read_bytes() for file in _sources(module))).hexdigest()
        lists = {role: record.sha256 for role, record in self.prepared.lists.items()}
        roots = {name: str(path) for name, path in self.prepared.roots.items()}
        return digest([self.task, self.prepared.protocol, lists, roots, self.prepared.stamp, self.sample_rate,
                       dict(self.options), code])[:24]  # fmt: skip

    def trials(self, files: Mapping[str, Path], seconds: Callable[[str], float | None]) -> list[Trial]:
        """The trials, with what conditions can be told from durations."""
        importer = cast(Importer, importlib.import_module(self.importer))
        material = Material(self.prepared.declared.name, self.options, files, self.prepared.roots, seconds)
        cue = self.options.get("cue", "")
        return [replace(trial, query=with_cue(trial.query, cue)) for trial in importer.trials(material)]


def open_cell(recipe: Recipe, progress: Progress | None = None) -> Cell:
    """The cell of a recipe, made if it is not in the cache."""
    folder = cache_folder() / "cells" / recipe.key
    if not (folder / "inventory.json").exists():
        build(recipe, recipe.prepared.files(), folder, progress=progress)
    total, available = (int(number) for number in (folder / "counts").read_text().split())
    return Cell(folder, total, available)


def build(
    recipe: Recipe,
    files: Mapping[str, Path],
    folder: Path,
    *,
    listen: bool = False,
    checksums: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Inventory:
    """Make a cell in a folder, whole or not at all, and return the inventory of its clips.

    Raises
    ------
    UsageError
        A list is not what it should be, or the folder cannot be written.
    """
    stems = stems_of(recipe.importer)
    wanted: list[str] = []
    trials = recipe.trials(files, wanted.append)
    inventory = take_stock(
        {clip.path for trial in trials for clip in trial.clips()},
        recipe.prepared.roots,
        recipe.prepared.declared.roots,
        stems,
        listen=listen,
        checksums=checksums,
        unusable=recipe.prepared.unusable,
        progress=progress,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    except OSError as error:
        raise UsageError(
            f"{folder.parent} cannot be written ({error.strerror}). Set TSPBENCH_CACHE to a folder of your own."
        ) from error
    try:
        if wanted:  # durations were asked for, and are known only now
            trials = recipe.trials(files, inventory.seconds)
        there = [trial for trial in trials if all(clip.path in inventory.found for clip in trial.clips())]
        if recipe.kind is TaskKind.TSASR:
            inventory = replace(inventory, mute=tuple(t.trial_id for t in there if t.transcript is None))
            there = [trial for trial in there if trial.transcript is not None]
        counts = _write_trials(recipe, trials, there, staging)
        (staging / "counts").write_text(" ".join(map(str, counts)))
        inventory.write(staging / "inventory.json")
        _keep(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return inventory


def _keep(staging: Path, folder: Path) -> None:
    """Put a cell into the cache; one that another process made meanwhile is the same, and stays."""
    try:
        os.replace(staging, folder)
    except OSError:
        if not (folder / "inventory.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(staging, folder)


def stems_of(importer: str) -> Stems:
    """The file names without ending under which a clip may lie."""
    module = importlib.import_module(importer)
    return cast(Stems, getattr(module, "stems", lambda path: (PurePosixPath(path).stem,)))


def _write_trials(recipe: Recipe, trials: list[Trial], available: list[Trial], folder: Path) -> tuple[int, int]:
    header = manifest.Header(recipe.kind, recipe.sample_rate, name=recipe.task, cluster=recipe.cluster)
    manifest.write(folder / "whole.jsonl", header, trials)
    if len(available) < len(trials):
        manifest.write(folder / "available.jsonl", header, available)
    return len(trials), len(available)


def _sources(module: ModuleType) -> list[Path]:
    """The importer's own folder, and the modules beside it that tasks share."""
    folder = Path(str(module.__file__)).parent
    return sorted([*folder.glob("*.py"), *folder.parent.glob("*.py")])


@functools.lru_cache(maxsize=4)
def _inventory(folder: Path) -> Inventory:
    return Inventory.read(folder / "inventory.json")
