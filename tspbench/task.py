"""Tasks: a declaration (task.toml), a trial list and a way to read its audio.

Bundled tasks are folders of ``tspbench.tasks``; a plug-in names a module folder
of its own in the entry-point group ``tspbench.tasks``; a path to a manifest is
a task too. A task with protocols is prepared first, from published lists and
the user's own audio (:mod:`tspbench.prepared`). Listing reads TOML only.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import itertools
import os
import sys
import tomllib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import cast

from tspbench import activity
from tspbench.decode import DecodeError, decode
from tspbench.errors import AudioError, ManifestError, UnknownName, UsageError
from tspbench.manifest import Manifest, list_digest, row_digest
from tspbench.prepared import names
from tspbench.prepared.declaration import Protocol as ProtocolInfo
from tspbench.prepared.declaration import TaskOption
from tspbench.stage import FileReader, Reader, Stage
from tspbench.types import QueryKind, QueryRecipe, TaskKind, Trial

GROUP = "tspbench.tasks"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What ``task.toml`` declares.

    ``cluster`` is the key of ``Trial.clusters`` that intervals resample;
    ``reader`` (``module:function``) makes the :class:`Reader` of a task whose
    audio is not in files; ``metrics`` are scored by default, the first of them
    is the one that sorts and the one whose worst trials are kept. ``importer``
    (a module) and ``protocols`` make it a task that has to be prepared.
    ``options`` are those of a task that has not: only ``cue``, see
    :func:`tspbench.activity.with_cue`.
    """

    name: str
    kind: TaskKind
    sample_rate: int
    summary: str
    metrics: tuple[str, ...]
    cluster: str | None = None
    synthetic: bool = False
    manifest: str = "manifest.jsonl"
    data: str = "."
    reader: str | None = None
    citation: str = ""
    licence: str = ""
    side_information: tuple[str, ...] = ()
    description: str = ""
    importer: str | None = None
    default_protocol: str = ""
    protocols: tuple[ProtocolInfo, ...] = ()
    options: tuple[TaskOption, ...] = ()


@dataclass(frozen=True)
class Task:
    """Trials in order, and the stage that renders them.

    ``whole`` is how many trials the full list has where only the available
    ones are here; ``options`` are those of a prepared task's cell.
    """

    info: TaskInfo
    trials: Manifest
    stage: Stage
    limit: int | None = None
    whole: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        return self.trials.ids[: self.limit]

    def __len__(self) -> int:
        return len(self.trials) if self.limit is None else min(self.limit, len(self.trials))

    def __iter__(self) -> Iterator[Trial]:
        return itertools.islice(iter(self.trials), self.limit)

    def trial(self, trial_id: str) -> Trial:
        return cast(Trial, self.trials[self.trials.place(trial_id)])

    def limited(self, limit: int | None) -> Task:
        """The first ``limit`` trials, as a list with a digest of its own."""
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise UsageError(f"--limit must be at least 1, got {limit!r}.")
        return replace(self, limit=limit)

    @cached_property
    def reader_digest(self) -> str:
        """Identity of the code that makes the audio, where it does not come from files; else empty."""
        if self.info.reader is None:
            return ""
        module = sys.modules[self.info.reader.partition(":")[0]]
        files = sorted(Path(str(module.__file__)).parent.rglob("*.py"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    @cached_property
    def digest(self) -> str:
        """Identity of the trial list (sha256)."""
        if self.limit is None or self.limit >= len(self.trials):
            return self.trials.digest
        header = self.trials.header
        return list_digest(header.kind, header.sample_rate, map(row_digest, self))

    def check_audio(self, progress: Callable[[int], None] | None = None, only: Container[str] | None = None) -> None:
        """Open the header of every recording once, or of those of ``only`` some trials.

        Raises
        ------
        AudioError, ManifestError
            Naming the trial and the file.
        """
        seen: set[tuple[str, float, float | None]] = set()
        for done, trial in enumerate(self, start=1):
            for clip in trial.clips() if only is None or trial.trial_id in only else ():
                key = (clip.path, clip.start_s, clip.duration_s)
                if key in seen:
                    continue
                seen.add(key)
                try:
                    self.stage.check(clip, trial.query)
                except (AudioError, ManifestError) as error:
                    raise type(error)(f"Trial {trial.trial_id!r}: {error}") from error
            if progress:
                progress(done)


def known_tasks() -> dict[str, TaskInfo]:
    """Every task that can be named here, bundled and plugged in, by name."""
    return {name: info for name, (info, _) in sorted(_declared().items())}


def ready_tasks() -> list[TaskInfo]:
    """Tasks that need no preparation, by kind; of one kind the synthetic ones, which read no recordings, first."""
    kinds = list(TaskKind)
    ready = [info for info in known_tasks().values() if not info.protocols]
    return sorted(ready, key=lambda info: (kinds.index(info.kind), not info.synthetic, info.name))


def load_task(
    name: str, data_root: Path | None = None, *, options: Iterable[str] = (), available: bool = False
) -> Task:
    """A task by its name, or from a manifest by its path.

    Parameters
    ----------
    name
        ``NAME``, ``NAME:PROTOCOL``, ``NAME:PROTOCOL[option=value,…]``, or a path.
    data_root
        Where a manifest's paths start, or where prepared tasks lie.
    options
        More of a task's options, as ``option=value``.
    available
        Go on with the trials whose audio is here.

    Raises
    ------
    UnknownName
        Nothing is called so; the nearest names are given.
    ManifestError
        The trial list breaks its rules.
    UsageError
        The task has to be prepared first, or part of its audio is missing.
    """
    if name.endswith(".jsonl") or os.sep in name:
        if list(options):
            raise UsageError(f"--task-option is for tasks with protocols; {name} is a manifest.")
        return _from_manifest(Path(name), data_root)
    cell = names.parse(name, options)
    info, folder = task_folder(cell.task)
    if info.protocols:
        from tspbench.prepared.load import load_prepared

        return load_prepared(info, cell, data_root, available=available)
    if cell.protocol or (cell.options and not info.options):
        has = "no protocols" if info.options else "no protocols and no options"
        raise UsageError(f"The task {info.name!r} has {has}: write --task {info.name}.")
    if data_root is not None:
        raise UsageError(f"--data-root is for manifests and prepared tasks; {info.name!r} brings its own audio.")
    return _ready(info, folder, names.fill(info, cell.options))


def _ready(info: TaskInfo, folder: Path, options: Mapping[str, str]) -> Task:
    """A task that brings its audio; its option ``cue`` changes what its trials tell of the target."""
    cue = options.get("cue", "")
    trials = Manifest(folder / info.manifest, lambda trial: replace(trial, query=activity.with_cue(trial.query, cue)))
    named = replace(info, name=names.label(info.name, "", info, options))
    return Task(named, trials, Stage(info.sample_rate, _reader(info, folder)), options=options)


def task_folder(name: str) -> tuple[TaskInfo, Path]:
    """What a task declares, and the folder it lies in; UnknownName with the nearest names."""
    declared = _declared()
    if name not in declared:
        raise UnknownName(
            "task", name, declared, "List them with: tspbench list tasks. A path to a manifest (.jsonl) is a task too."
        )
    return declared[name]


def servable(kinds: frozenset[QueryKind], recipe: QueryRecipe) -> bool:
    """Can a system that declares ``kinds`` be told what it needs to know?

    Negative queries only help; of the others one must be there. A system that
    declares nothing needs nothing.
    """
    positive = {kind for kind in kinds if not kind.negative}
    return not positive or bool(positive & recipe.kinds)


def _from_manifest(path: Path, data_root: Path | None) -> Task:
    manifest = Manifest(path)
    header = manifest.header
    info = TaskInfo(
        name=header.name,
        kind=header.kind,
        sample_rate=header.sample_rate,
        summary=header.note or f"your own trial list, {path.name}",
        metrics=header.metrics or DEFAULT_METRICS[header.kind],
        cluster=header.cluster,
        synthetic=header.synthetic,
    )
    root = data_root.resolve() if data_root else manifest.data_root
    return Task(info, manifest, Stage(info.sample_rate, FileReader(root)))


DEFAULT_METRICS: dict[TaskKind, tuple[str, ...]] = {
    TaskKind.LASS: ("si_sdr", "si_sdr_i", "snr", "snr_i", "sdr", "sdr_i", "wrong_target"),
    TaskKind.TSE: ("si_sdr", "si_sdr_i", "sdr_i", "pesq_wb", "estoi", "dnsmos_ovrl", "wrong_target"),
    TaskKind.TSASR: ("wer", "wer_mean", "wer[pocketsphinx]", "si_sdr"),
}


def _declared() -> dict[str, tuple[TaskInfo, Path]]:
    found: dict[str, tuple[TaskInfo, Path]] = {}
    for folder in _task_folders():
        for path in sorted(folder.glob("task.toml")):
            info = _read_info(path)
            found[info.name] = (info, folder)
    return found


def _task_folders() -> Iterator[Path]:
    home = _package_folder("tspbench.tasks")
    if home:
        yield from sorted(path for path in home.iterdir() if path.is_dir())
    for entry in importlib.metadata.entry_points(group=GROUP):
        plugged = _package_folder(entry.value)
        if plugged:
            yield plugged


def _package_folder(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a plug-in that was removed by halves
        return None
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def _read_info(path: Path) -> TaskInfo:
    try:
        return decode(TaskInfo, tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, DecodeError) as error:
        raise ManifestError(f"{path}: {error}") from error


def _reader(info: TaskInfo, folder: Path) -> Reader:
    if info.reader is None:
        return FileReader((folder / info.data).resolve())
    module, _, function = info.reader.partition(":")
    return cast(Reader, getattr(importlib.import_module(module), function)())
