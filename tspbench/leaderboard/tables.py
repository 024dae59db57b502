"""A group of results as a table of plain values: what the Markdown, CSV, JSON and HTML pages show alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tspbench.baselines import MIXTURE
from tspbench.errors import UsageError
from tspbench.identity import MANNER
from tspbench.leaderboard.cells import Group, column_identity, digest
from tspbench.leaderboard.overlap import Relation, overlaps
from tspbench.leaderboard.ties import tie_labels
from tspbench.metrics import resolve
from tspbench.sealed import Sealed

Table = dict[str, Any]
FIGURES = ("latency_p50_s", "rtf", "throughput_x", "peak_cpu_bytes", "peak_gpu_driver_bytes", "parameters",
           "macs_per_s", "reference_seconds")  # fmt: skip
CELL = ("mean", "penalised_mean", "scored", "applicable", "attempted")
WORST = 1e300
USUAL = "float32"


@dataclass(frozen=True)
class Context:
    """What a table needs beside the results: cards as they were when results were added, and related corpora."""

    cards: Mapping[str, Mapping[str, Any]]
    relations: Sequence[Relation]


def table_of(group: Group, context: Context) -> Table:
    """Everything a board shows, in its final order: ranked systems, then unranked ones, then bounds."""
    columns = _columns(group)
    rows = [_row(result, group, columns, context) for result in group.results]
    _rank(rows, group, columns)
    rows.sort(
        key=lambda row: (row["role"] == "bound", row["rank"] or len(rows) + 1, _sort_value(row, columns), row["label"])
    )
    _positions(rows, columns)
    first = group.results[0]
    return {
        "slug": group.slug,
        "task": group.task,
        "kind": group.identity["task"]["kind"],
        "trials": group.identity["task"]["trials"],
        "clusters": len(set(first.clusters)),
        "synthetic": first.synthetic,
        "identity": group.identity,
        "differs": list(group.differs),
        "columns": columns,
        "rows": rows,
        "strata": _strata(group, columns),
    }


def _columns(group: Group) -> list[dict[str, Any]]:
    """One column for each definition; the ranking one first, the others in the order of the results."""
    found: dict[str, dict[str, Any]] = {}
    for result in group.results:
        for metric in result.metrics:
            found.setdefault(digest(column_identity(metric)), _column(metric, result))
    ids = [column["id"] for column in found.values()]
    for key, column in found.items():
        column["key"] = column["id"] if ids.count(column["id"]) == 1 else f"{column['id']} #{key[:6]}"
    return sorted(found.values(), key=lambda column: column["id"] != group.primary)


def _column(metric: Mapping[str, Any], result: Sealed) -> dict[str, Any]:
    summary = result.summary["metrics"].get(metric["id"], {})
    return {
        "key": "",
        "unit": "" if (unit := summary.get("unit", "")) == "1" else unit,
        "higher_is_better": summary.get("higher_is_better", True),
        "summary": _said(metric["id"]),
        **column_identity(metric),
    }


def _said(metric_id: str) -> str:
    try:
        return resolve(metric_id).summary
    except UsageError:  # a metric of a plug-in that is not installed here
        return ""


def _row(result: Sealed, group: Group, columns: Sequence[Mapping[str, Any]], context: Context) -> dict[str, Any]:
    system, protocol = (result.identity[part] for part in ("system", "protocol"))
    card = context.cards.get(str(system["digest"]))
    return {
        "label": result.label,
        "role": result.role,
        "rank": None,
        "tie": None,
        "cells": {column["key"]: cell for column in columns if (cell := _cell(result, column))},
        "trials": dict(result.counts),
        "flags": _flags(result, group, card, context.relations),
        "system": {"name": system["name"], "digest": system["digest"], "options": dict(system["options"])},
        "about": dict(card) if card else {},
        "how": {name: protocol[name] for name in MANNER if name in protocol},
        "cost": _cost(result.profile),
        "code": dict(result.code),
        "created": result.created,
    }


def _cell(result: Sealed, column: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of one score; None where this result does not have it under this definition."""
    metric = result.metric(column["id"])
    if metric is None or digest(column_identity(metric)) != digest(
        {name: column[name] for name in column_identity(metric)}
    ):
        return None
    found = result.summary["metrics"][column["id"]]
    if not found["applicable"]:
        return None
    interval = found.get("interval") or {}
    return {name: found[name] for name in CELL} | {"low": interval.get("low"), "high": interval.get("high")}


def _flags(
    result: Sealed, group: Group, card: Mapping[str, Any] | None, relations: Sequence[Relation]
) -> list[dict[str, str]]:
    """What a reader must know before comparing: kind and words."""
    found = [("side information", text) for text in result.side_information]
    training = card["training_sets"] if card else []
    found += [("train/test overlap", text) for text in overlaps(group.task, training, relations)]
    if card is None:
        found.append(("no card", "what it was trained on and told is not declared"))
    if not result.aligned:
        forced = result.identity["protocol"].get("alignment") == "forced"
        said = "the output is not sample-aligned with the target"
        found.append(("unaligned", f"{said}; compared sample by sample all the same" if forced else said))
    if result.synthetic:
        found.append(("synthetic task", "no recordings"))
    if card and card["bundled"]:
        found.append(("bundled", "comes with tspbench"))
    precision = result.identity["protocol"].get("precision", USUAL)
    if precision != USUAL:
        found.append(("precision", str(precision)))
    if result.code.get("dirty"):
        found.append(("dirty", "measured with uncommitted changes"))
    failed = sum(result.counts.get(name, 0) for name in ("failed", "timed_out"))
    if failed:
        found.append(("failed trials", f"{failed} of {result.counts.get('attempted', 0)} count as the penalty"))
    return [{"kind": kind, "text": text} for kind, text in found]


def _cost(profile: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not profile:
        return None
    figures = {name: profile["figures"].get(name) for name in FIGURES}
    return {"hardware_key": profile["hardware_key"], "figures": figures}


def _sort_value(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> float:
    """Smaller is better; rows without a value come last."""
    if not columns or not (cell := row["cells"].get(columns[0]["key"])) or cell["penalised_mean"] is None:
        return WORST
    value = float(cell["penalised_mean"])
    return -value if columns[0]["higher_is_better"] else value


def _rank(rows: Sequence[dict[str, Any]], group: Group, columns: Sequence[Mapping[str, Any]]) -> None:
    """Ranks of the systems by the penalised mean of the first metric, and which of them are not told apart."""
    if group.primary is None:
        return
    ranked = [row for row in rows if row["role"] != "bound" and _sort_value(row, columns) < WORST]
    values = {row["label"]: _sort_value(row, columns) for row in ranked}
    results = {result.label: result for result in group.results}
    labels = sorted(values, key=lambda label: (values[label], label))
    ties = tie_labels([results[label] for label in labels], group.primary)
    for row in ranked:
        row["rank"] = 1 + sum(value < values[row["label"]] for value in values.values())
        row["tie"] = ties.get(row["label"])


def _positions(rows: Sequence[dict[str, Any]], columns: Sequence[Mapping[str, Any]]) -> None:
    """Where a mean lies between the mixture (0) and the tightest bound above it (1), by column."""
    bounds = [row for row in rows if row["role"] == "bound"]
    for column in columns:
        sign = 1 if column["higher_is_better"] else -1
        means = {row["label"]: cell["mean"] for row in bounds if (cell := row["cells"].get(column["key"]))}
        low = means.get(MIXTURE)
        spans = [sign * (mean - low) for mean in means.values() if mean is not None] if low is not None else []
        upper = min((span for span in spans if span > 0), default=None)
        for row in rows:
            cell = row["cells"].get(column["key"])
            if cell and upper and cell["mean"] is not None and low is not None:
                cell["position"] = float(f"{sign * (cell['mean'] - low) / upper:.4g}")


def _strata(group: Group, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metric, condition, label: the penalised mean and number of trials of each system."""
    found: dict[str, Any] = {}
    for column in columns:
        for result in group.results:
            if _cell(result, column) is None:
                continue
            for condition, labels in result.summary["metrics"][column["id"]]["strata"].items():
                for label, cell in labels.items():
                    place = found.setdefault(column["key"], {}).setdefault(condition, {}).setdefault(label, {})
                    place[result.label] = [cell["penalised_mean"], cell["applicable"]]
    return found
