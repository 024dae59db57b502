"""Metrics by id. Importing this package imports no signal-processing library."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from types import ModuleType

from tspbench.errors import UnknownName, UsageError
from tspbench.metrics.declaration import Metric, Need, Score, Status

__all__ = ["Metric", "Need", "Score", "Status", "improvement", "known_metrics", "resolve"]

GROUP = "tspbench.metrics"
MODULES = ("ratios", "bss", "quality", "perceptual", "dnsmos", "words", "speaker", "confusion")
_ID = re.compile(r"(?P<base>[a-z0-9_]+?)(?P<gain>_i)?(?:\[(?P<parameters>[^\]]*)\])?")


@cache
def known_metrics() -> dict[str, Metric]:
    """Every metric that can be named without parameters, ``_i`` included, by id."""
    declared = [metric for module in _modules() for metric in module.METRICS]
    gains = [improvement(metric) for metric in declared if metric.improves]
    return {metric.id: metric for metric in sorted([*declared, *gains], key=lambda metric: metric.id)}


def resolve(metric_id: str) -> Metric:
    """The metric of an id such as ``si_sdr``, ``si_sdr_i``, ``wer[pocketsphinx]``, ``SDRi@NAME`` of a dialect.

    Raises
    ------
    UnknownName
        No such metric; the nearest ids are given.
    UsageError
        Parameters that this metric does not take.
    """
    if "@" in metric_id and "[" not in metric_id:
        return _of_dialect(metric_id)
    known = known_metrics()
    if metric_id in known:
        return known[metric_id]
    match = _ID.fullmatch(metric_id)
    base = _family(match["base"], known) if match else None
    if match is None or base is None or match["parameters"] is None:
        raise UnknownName("metric", metric_id, known, "List them with: tspbench list metrics.")
    if base.parametrise is None:
        raise UsageError(f"The metric {base.id!r} takes no parameters in brackets, got [{match['parameters']}].")
    metric = base.parametrise(_parameters(match["parameters"]))
    return improvement(metric) if match["gain"] else metric


def _of_dialect(metric_id: str) -> Metric:
    from tspbench.dialect import dialect_metric  # it is built on this package

    return dialect_metric(metric_id)


def _family(name: str, known: Mapping[str, Metric]) -> Metric | None:
    """A metric of a name, with brackets where it has none without: ``dwer[pocketsphinx]`` for ``dwer``."""
    return known.get(name) or next((m for m in known.values() if m.id.startswith(f"{name}[") and m.parametrise), None)


def improvement(metric: Metric) -> Metric:
    """The metric ``<id>_i``: value of the estimate minus value of the unprocessed mixture."""
    if not metric.improves:
        raise UsageError(f"There is no improvement of {metric.id!r} over the mixture.")
    base, bracket, rest = metric.id.partition("[")
    return replace(
        metric,
        id=f"{base}_i{bracket}{rest}",
        summary=f"Gain in {metric.id} over the unprocessed mixture",
        formula=f"{metric.id}(estimate) - {metric.id}(mixture)",
        bounds=(None, None),
        penalty=metric.penalty if metric.gain_penalty is None else metric.gain_penalty,
        improves=False,
        parametrise=None,
        also_called={paper: f"{label}i" for paper, label in metric.also_called.items()},
        improvement_of=metric.id,
    )


def resolve_all(ids: Iterable[str]) -> tuple[Metric, ...]:
    """Several metrics, each once, in the order given."""
    return tuple({metric.id: metric for metric in map(resolve, ids)}.values())


def _parameters(text: str) -> dict[str, str]:
    """``pocketsphinx,text=raw`` as ``{"instrument": "pocketsphinx", "text": "raw"}``; nothing may be said twice."""
    parameters: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = part.partition("=")
        key, value = (key, value) if equals else ("instrument", part)
        if key in parameters:
            raise UsageError(f"[{text}] says {key} twice: {parameters[key]!r} and {value!r}.")
        parameters[key] = value
    return parameters


def _modules() -> list[ModuleType]:
    own = [importlib.import_module(f"{__name__}.{name}") for name in MODULES]
    return [*own, *(entry.load() for entry in importlib.metadata.entry_points(group=GROUP))]
