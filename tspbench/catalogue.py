"""What can be named: systems, tasks, metrics and dialects as plain rows and pages, read from declarations alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from tspbench import decode
from tspbench.activity import origins
from tspbench.dialect_page import dialect_page, dialect_rows
from tspbench.errors import UsageError
from tspbench.metrics import Metric, known_metrics, resolve
from tspbench.prepared import names
from tspbench.prepared.load import find_protocol, load_prepared
from tspbench.system import Card, find_system, known_systems
from tspbench.task import Task, TaskInfo, known_tasks, load_task, task_folder

Kind = Literal["systems", "tasks", "metrics", "dialects"]


def rows(kind: Kind) -> list[dict[str, Any]]:
    """One row per name, with the few facts that help to choose."""
    return {"systems": _systems, "tasks": _tasks, "metrics": _metrics, "dialects": dialect_rows}[kind]()


def page(kind: Literal["system", "task", "metric", "dialect"], name: str) -> dict[str, Any]:
    """Everything declared about one of them; UnknownName when nothing is called so."""
    pages: Mapping[str, Callable[[str], dict[str, Any]]] = {
        "system": _system_page,
        "task": _task_page,
        "metric": _metric_page,
        "dialect": dialect_page,
    }
    return pages[kind](name)


def _systems() -> list[dict[str, Any]]:
    found = []
    for name, ref in known_systems().items():
        card = ref.card
        found.append(
            {
                "name": name,
                "role": card.role if card else "system",
                "kinds": [kind.value for kind in card.kinds] if card else [],
                "told": [kind.value for kind in card.queries] if card else [],
                "weights": _weights(card),
                "summary": card.summary if card else "a plug-in without a card",
            }
        )
    return found


def _weights(card: Card | None) -> str:
    if card is None or not card.checkpoints:
        return ""
    return "bundled" if all(each.bundled for each in card.checkpoints) else "to bring"


def _tasks() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "kind": info.kind.value,
            "sample_rate": info.sample_rate,
            "protocols": [protocol.name for protocol in info.protocols],
            "synthetic": info.synthetic,
            "summary": info.summary,
        }
        for name, info in known_tasks().items()
    ]


def _metrics() -> list[dict[str, Any]]:
    return [
        {
            "id": metric.id,
            "unit": metric.unit,
            "better": "higher" if metric.higher_is_better else "lower",
            "needs": sorted(need.value for need in metric.needs),
            "summary": metric.summary,
        }
        for metric in known_metrics().values()
    ]


def _system_page(name: str) -> dict[str, Any]:
    ref = find_system(name)
    facts = {"name": ref.name, "module": ref.module, "class": ref.qualname}
    return facts | (decode.encode(ref.card) if ref.card else {})


def _task_page(name: str) -> dict[str, Any]:
    if name.endswith(".jsonl"):
        return _trials_page(load_task(name))
    asked = names.parse(name)
    info, _ = task_folder(asked.task)
    return _prepared_page(info, asked) if info.protocols else _trials_page(load_task(name))


def _prepared_page(info: TaskInfo, asked: names.CellName) -> dict[str, Any]:
    """A task with protocols: all of them, or one with its lists, corpora and options; and its trials, once prepared."""
    declared: dict[str, Any] = decode.encode(info)
    if asked.protocol is None:
        declared["protocols"] = {protocol.name: protocol.summary for protocol in info.protocols}
        return declared
    protocol = find_protocol(info, asked.protocol)
    about = {f"protocol_{key}": value for key, value in decode.encode(protocol).items()}
    del declared["protocols"]
    try:
        task = load_prepared(info, asked, None, available=True)
    except UsageError as error:
        return declared | about | {"state": str(error)}
    return declared | about | _trials_page(task)


def _trials_page(task: Task) -> dict[str, Any]:
    offered = sorted({kind.value for trial in task for kind in trial.query.kinds} - {"truth"})
    absent = sum(not trial.target_present for trial in task)
    declared: dict[str, Any] = decode.encode(task.info)
    declared.pop("protocols", None)
    if masks := origins(trial.query for trial in task):
        declared["side_information"] = [*task.info.side_information, *masks]
    return declared | {
        "trials": len(task),
        "target_absent_trials": absent,
        "queries": offered,
        "conditions": sorted({name for trial in task for name in trial.conditions}),
        "trial_list_digest": task.digest,
    }


def _metric_page(name: str) -> dict[str, Any]:
    metric = resolve(name)
    return {
        "id": metric.id,
        "summary": metric.summary,
        "formula": metric.formula,
        "parameters": dict(metric.parameters),
        "unit": metric.unit,
        "range": _range(metric),
        "better": "higher" if metric.higher_is_better else "lower",
        "needs": sorted(need.value for need in metric.needs),
        "sample_rates": list(metric.sample_rates) or "any",
        "level": metric.level or "does not matter",
        "silent_estimate": metric.silence,
        "penalty": metric.penalty,
        "aggregate": metric.aggregate,
        "computed_by": metric.implementation,
        "packages": list(metric.packages),
        "also_called": dict(metric.also_called),
        "source": metric.citation,
        "definition_version": metric.version,
    }


def _range(metric: Metric) -> str:
    low, high = ("unbounded" if bound is None else f"{bound:g}" for bound in metric.bounds)
    return f"{low} to {high}"
