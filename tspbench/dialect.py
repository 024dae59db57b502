"""Dialects: the scoring of a publication, figure by figure, under its own labels.

A dialect is data and a few functions in one file per publication: bundled ones
are modules of ``tspbench.tasks.dialects`` with a list ``DIALECTS``, a plug-in
names such a list (or one dialect) in the entry-point group ``tspbench.dialects``.
A figure is an ordinary metric with an id of its own, ``LABEL@DIALECT``, so it
runs, resumes and compares like any other and can be named in ``--metrics``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tspbench.errors import UnknownName, UsageError
from tspbench.metrics import Metric, improvement, resolve
from tspbench.types import TaskKind

GROUP = "tspbench.dialects"
HOME = "tspbench.tasks.dialects"
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*@[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Figure:
    """One number that a publication prints.

    ``ours`` is our metric of that name, or the nearest; ``same`` says that it
    gives the same value wherever both have one; ``differs`` what else is so, and
    ``effect`` how much that was measured to be.
    """

    label: str
    metric: Metric
    ours: str
    same: bool
    differs: str = ""
    effect: str = ""


@dataclass(frozen=True)
class Dialect:
    """A publication's scoring.

    Parameters
    ----------
    name
        Lower case, unique among all dialects; what ``--dialect`` takes.
    kinds
        The kinds of task that it scores.
    rate, span, silence, clipping, averaging
        How its code behaves, in words.
    figures
        What it prints, in its order; the first one sorts.
    parts
        Metrics that the figures are made of (what a gain is the gain of): they have ids but are not shown.
    not_reproduced
        Labels of the publication that are missing here, each with the reason.
    source
        Repository, commit and files of the code that is reproduced.
    """

    name: str
    summary: str
    kinds: tuple[TaskKind, ...]
    rate: str
    span: str
    silence: str
    clipping: str
    averaging: str
    figures: tuple[Figure, ...]
    citation: str
    source: str
    parts: tuple[Metric, ...] = ()
    not_reproduced: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(figure.metric for figure in self.figures)


def reading(metric_id: str, ours: str, **changes: Any) -> Metric:
    """A metric with the unit, direction, bounds, needs, penalty and packages of ours, and the rest as given.

    ``changes`` are fields of :class:`~tspbench.metrics.declaration.Metric`. Without
    ``compute`` it is our computation under another label.
    """
    fresh: dict[str, Any] = {"improves": False, "improvement_of": None, "parametrise": None, "also_called": {}}
    return replace(resolve(ours), id=metric_id, dialect=metric_id.rpartition("@")[2], **(fresh | changes))


def gain(metric_id: str, part: Metric, **changes: Any) -> Metric:
    """The figure ``part`` of the estimate minus ``part`` of the unprocessed mixture."""
    return replace(improvement(replace(part, improves=True)), id=metric_id, **changes)


def known_dialects() -> dict[str, Dialect]:
    """Every dialect that can be named here, bundled and plugged in, by name."""
    return {dialect.name: dialect for dialect in sorted(_declared(), key=lambda dialect: dialect.name)}


def find_dialect(name: str) -> Dialect:
    """A dialect by its name; UnknownName when nothing is called so."""
    known = known_dialects()
    if name not in known:
        raise UnknownName("dialect", name, known, "List them with: tspbench list dialects.")
    return known[name]


def dialect_metric(metric_id: str) -> Metric:
    """The metric ``LABEL@DIALECT``.

    Raises
    ------
    UnknownName
        There is no such dialect, or it has no figure of that label.
    """
    dialect = find_dialect(metric_id.rpartition("@")[2])
    known = {metric.id: metric for metric in (*dialect.metrics, *dialect.parts)}
    if metric_id not in known:
        raise UnknownName("metric", metric_id, known, f"See: tspbench show dialect {dialect.name}.")
    return known[metric_id]


def spoken_on(name: str, kind: TaskKind, task: str) -> tuple[Metric, ...]:
    """The metrics of a dialect for a task of a kind; UsageError when it scores other kinds."""
    dialect = find_dialect(name)
    if kind not in dialect.kinds:
        kinds = " and ".join(dialect.kinds)
        raise UsageError(f"The dialect {name!r} scores {kinds} tasks; the task {task!r} is {kind}.")
    return dialect.metrics


@cache
def _declared() -> tuple[Dialect, ...]:
    found = [dialect for module in _modules() for dialect in module.DIALECTS]
    for entry in importlib.metadata.entry_points(group=GROUP):
        plugged = entry.load()
        found += [plugged] if isinstance(plugged, Dialect) else plugged
    names = [dialect.name for dialect in found]
    for dialect in found:
        if names.count(dialect.name) > 1:
            raise UsageError(f"Two dialects are called {dialect.name!r}. Uninstall one of their packages.")
        _refuse_bad_ids(dialect)
    return tuple(found)


def _refuse_bad_ids(dialect: Dialect) -> None:
    for metric in (*dialect.metrics, *dialect.parts):
        if not _ID.fullmatch(metric.id) or metric.dialect != dialect.name or not metric.id.endswith(f"@{dialect.name}"):
            raise UsageError(f"The dialect {dialect.name!r} has a metric {metric.id!r}: write LABEL@{dialect.name}.")


def _modules() -> Iterator[Any]:
    spec = importlib.util.find_spec(HOME)
    for folder in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(folder).glob("[a-z]*.py")):
            yield importlib.import_module(f"{HOME}.{path.stem}")
