"""The same from Python: ``tspbench.run``, ``tspbench.score``, ``tspbench.load_run``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tspbench.errors import UsageError
from tspbench.results import Run, load_run
from tspbench.runner.merge import merge as merge_parts
from tspbench.runner.request import Request
from tspbench.runner.run import run_systems, score_estimates

Settings = Any


def run(
    system: str | type | Sequence[str | type],
    task: str | Path,
    options: Mapping[str, Any] | None = None,
    **settings: Settings,
) -> list[Run]:
    """Run one or several systems on a task; see ``tspbench run --help``.

    Parameters
    ----------
    system
        Names, ``path/to/file.py:Class``, or classes that are defined in a file.
    task
        A task's name or a path to a manifest.
    options
        Options of the system(s); ``"nmf.rank"`` goes to one of several.
    settings
        The fields of :class:`tspbench.runner.request.Request`: ``limit``,
        ``metrics``, ``device``, ``batch_size``, ``workers``, ``out``,
        ``save_audio``, ``seed``, ``fresh``, ``time_limit_s``, ``data_root``,
        ``dialect``, ``available``, ``task_options`` (``{"queries": "text"}``),
        ``executor``, ``ray_address``, ``ray_workers``, ``ray_gpus_per_worker``,
        ``shard``.

    Returns
    -------
    One :class:`~tspbench.results.Run` per system, bounds first.

    Raises
    ------
    UsageError
        The request cannot be served; nothing was written.
    """
    systems = [system] if isinstance(system, str | type) else list(system)
    given = [f"{key}={value}" for key, value in (options or {}).items()]
    outcomes = run_systems([_named(each) for each in systems], _request(task, settings), given)
    return [load_run(outcome.path) for outcome in outcomes]


def score(estimates: str | Path, task: str | Path, name: str | None = None, **settings: Settings) -> Run:
    """Score a folder of estimates that were made elsewhere; see ``tspbench score --help``."""
    return load_run(score_estimates(Path(estimates), _request(task, settings), name).path)


def merge(parts: Sequence[str | Path], out: str | Path) -> Run:
    """Put the parts of a run together that were made with ``shard="K/N"``; see ``tspbench merge --help``."""
    return merge_parts([Path(part) for part in parts], Path(out))


def _request(task: str | Path, settings: Mapping[str, Any]) -> Request:
    known = inspect.signature(Request).parameters
    for key in settings:
        if key not in known:
            raise UsageError(f"There is no setting {key!r}. Known: {', '.join(sorted(set(known) - {'task'}))}.")
    prepared = dict(settings)
    for key in ("out", "data_root"):
        prepared[key] = Path(prepared[key]) if prepared.get(key) is not None else None
    if isinstance(prepared.get("metrics"), str):
        prepared["metrics"] = (prepared["metrics"],)
    prepared["metrics"] = tuple(prepared.get("metrics") or ())
    asked = prepared.get("task_options") or {}
    pairs = [f"{name}={value}" for name, value in asked.items()] if isinstance(asked, Mapping) else asked
    prepared["task_options"] = (pairs,) if isinstance(pairs, str) else tuple(pairs)
    return Request(task=str(task), **prepared)


def _named(system: str | type) -> str:
    """A class as the worker process will find it: by its file."""
    if isinstance(system, str):
        return system
    file = getattr(sys.modules.get(system.__module__), "__file__", None)
    if file is None or "<locals>" in system.__qualname__:
        raise UsageError(f"Save {system.__name__} at the top level of a file: systems run in a process of their own.")
    return f"{file}:{system.__qualname__}"
