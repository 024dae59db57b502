"""A sealed result: what compare, gate and leaderboards need of a finished run, in one small JSON.

A gate's baseline is such a file, and so is an entry of a leaderboard. Trials
have a line each, sorted by id, and numbers six significant digits: what changes
between two runs is what a diff shows.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench.errors import CannotMeasure, TspbenchError, UsageError
from tspbench.metrics.declaration import Status
from tspbench.results import Run, load_run, refuse_part
from tspbench.store import LONE, not_a_number, read_lines

KIND = "tspbench sealed result"
SCHEMA = 1
DIGITS = 6
LONGEST_NAME = 100
PLAIN = ("label", "role", "identity", "metrics", "side_information", "synthetic", "aligned", "code", "environment",
         "hardware", "created", "counts", "summary", "profile")  # fmt: skip
"""The fields that stand in the file as they are."""


@dataclass(frozen=True)
class Sealed:
    """A finished run, trial by trial; every per-trial field is in the order of ``trial_ids`` (sorted).

    ``identity``, ``metrics``, ``counts`` (trials by status) and what describes
    the run are those of ``run.json``, ``summary`` is ``summary.json`` and
    ``profile`` is ``profile.json`` where there is one.
    """

    schema: int
    label: str
    role: str
    identity: Mapping[str, Any]
    metrics: tuple[Mapping[str, Any], ...]
    trial_ids: tuple[str, ...]
    clusters: tuple[str, ...]
    conditions: tuple[Mapping[str, Any], ...]
    values: Mapping[str, tuple[float | None, ...]]
    """By metric id; None unless the status is ``ok``."""
    statuses: Mapping[str, tuple[str, ...]]
    """By metric id: ``ok``, ``not_applicable``, ``undefined`` or ``failed``."""
    errors: Mapping[str, tuple[float | None, ...]]
    """Of pooled metrics: the counts whose sums make the rate."""
    totals: Mapping[str, tuple[float | None, ...]]
    side_information: tuple[str, ...]
    synthetic: bool
    aligned: bool
    code: Mapping[str, Any]
    environment: Mapping[str, Any]
    hardware: Mapping[str, Any]
    created: str
    counts: Mapping[str, int]
    summary: Mapping[str, Any]
    profile: Mapping[str, Any] | None = None

    def metric(self, metric_id: str) -> Mapping[str, Any] | None:
        """The record of a metric, None if it was not scored."""
        return next((metric for metric in self.metrics if metric["id"] == metric_id), None)


def read(path: Path) -> Sealed:
    """Read a run folder or a sealed file.

    Raises
    ------
    UsageError
        There is neither at ``path``, or it is damaged, or a later tspbench wrote it.
    CannotMeasure
        The run folder is not finished.
    """
    try:
        return _checked(of_run(load_run(path)) if path.is_dir() else _of_file(path))
    except TspbenchError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise UsageError(f"{path} is damaged ({type(error).__name__}: {error}).") from error


def _of_file(path: Path) -> Sealed:
    try:
        held = json.loads(path.read_text(encoding="utf-8"), parse_constant=not_a_number)
    except FileNotFoundError:
        raise UsageError(f"There is no run folder and no sealed result at {path}.") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no sealed result: {error}.") from error
    if not isinstance(held, Mapping) or held.get("kind") != KIND:
        raise UsageError(f"{path} is no sealed result. Make one with: tspbench gate RUN --save-baseline FILE")
    if held.get("schema") != SCHEMA:
        raise UsageError(f"{path} was written with schema {held.get('schema')}; this tspbench reads schema {SCHEMA}.")
    return _unpacked(held)


def _checked(sealed: Sealed) -> Sealed:
    """Refuse what no run writes: a score without a finite number would be passed over in silence."""
    parts = (sealed.identity["system"], sealed.identity["task"], sealed.identity["protocol"], sealed.summary["metrics"])
    for part in (*parts, sealed.counts, {} if sealed.profile is None else sealed.profile):
        if not isinstance(part, Mapping):
            raise TypeError(f"an object is expected where {str(part)[:40]!r} stands")
    for name, statuses in sealed.statuses.items():
        declared = sealed.summary["metrics"][name]
        _ = declared["unit"], declared["higher_is_better"]
        numbers = [sealed.values[name], *(counts[name] for counts in (sealed.errors, sealed.totals) if name in counts)]
        for trial_id, status, *found in zip(sealed.trial_ids, statuses, *numbers, strict=True):
            if status == Status.OK and not all(isinstance(x, int | float) and math.isfinite(x) for x in found):
                raise ValueError(f"{name} of {trial_id} is ok but has no finite number")
    return sealed


def write(path: Path, sealed: Sealed) -> None:
    """Write a sealed file, whole or not at all; equal results give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(_text(_packed(sealed)).encode(errors=LONE))
    draft.replace(path)


def of_run(run: Run) -> Sealed:
    """What a run folder holds.

    Raises
    ------
    CannotMeasure
        Not every trial has its scores.
    """
    record = run.record
    rows = {row["trial_id"]: row for row in read_lines(run.path / "trials.jsonl")}
    ids = sorted(rows)
    scores: dict[str, dict[str, Mapping[str, Any]]] = {metric["id"]: {} for metric in record["metrics"]}
    for line in read_lines(run.path / "scores.jsonl"):
        if line["metric"] in scores and line["trial_id"] in rows:
            scores[line["metric"]][line["trial_id"]] = line
    _refuse_unfinished(run, len(ids), scores)
    cluster = record["identity"]["task"].get("cluster")
    columns = {name: [lines[trial_id] for trial_id in ids] for name, lines in scores.items()}
    pooled = [metric["id"] for metric in record["metrics"] if metric["aggregate"] == "pooled"]
    return Sealed(
        schema=SCHEMA,
        label=record["identity"]["system"]["name"],
        metrics=tuple(record["metrics"]),
        trial_ids=tuple(ids),
        clusters=tuple(str(rows[trial_id]["clusters"].get(cluster, trial_id)) for trial_id in ids),
        conditions=tuple(rows[trial_id]["conditions"] for trial_id in ids),
        values={name: tuple(_short(line["value"]) for line in column) for name, column in columns.items()},
        statuses={name: tuple(line["status"] for line in column) for name, column in columns.items()},
        errors={name: _counted(columns[name], "errors") for name in pooled},
        totals={name: _counted(columns[name], "total") for name in pooled},
        side_information=tuple(record["side_information"]),
        summary=_short(run.summary),
        profile=_profile(run.path),
        **{name: record[name] for name in PLAIN if name in record and name not in ("metrics", "side_information")},
    )


def _refuse_unfinished(run: Run, attempted: int, scores: Mapping[str, Mapping[str, Any]]) -> None:
    expected = run.record["identity"]["task"]["trials"]
    scored = min((len(lines) for lines in scores.values()), default=0)
    refuse_part(run)
    if run.status in ("started", "partial") or min(attempted, scored) < expected:
        raise CannotMeasure(
            f"The run {run.path} is not finished (status {run.status}, {scored} of {expected} trials scored). "
            "The command that began it goes on with it."
        )


def _counted(column: Sequence[Mapping[str, Any]], name: str) -> tuple[float | None, ...]:
    return tuple((line.get("counts") or {}).get(name) for line in column)


def _profile(folder: Path) -> Mapping[str, Any] | None:
    path = folder / "profile.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}.") from error
    return found if isinstance(found, dict) else None


def _short(value: Any) -> Any:
    """Numbers to six significant digits, inside whatever holds them."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else value


def _packed(sealed: Sealed) -> dict[str, Any]:
    held = {name: getattr(sealed, name) for name in PLAIN}
    return {"kind": KIND, "schema": SCHEMA, **held, "trials": list(_lines(sealed))}


def _lines(sealed: Sealed) -> Iterator[dict[str, Any]]:
    """One object per trial. A score is its value, [value, errors, total] of a pooled one, or the status in words."""
    for i, trial_id in enumerate(sealed.trial_ids):
        scores = {name: _score(sealed, name, i) for name in sealed.values}
        yield {"id": trial_id, "cluster": sealed.clusters[i], "conditions": sealed.conditions[i], "scores": scores}


def _score(sealed: Sealed, name: str, i: int) -> Any:
    if sealed.statuses[name][i] != Status.OK:
        return sealed.statuses[name][i]
    if name in sealed.errors:
        return [_short(sealed.values[name][i]), sealed.errors[name][i], sealed.totals[name][i]]
    return _short(sealed.values[name][i])


def _text(held: Mapping[str, Any]) -> str:
    """Indented JSON with one line for each trial."""
    head = json.dumps({**held, "trials": None}, indent=1, allow_nan=False, ensure_ascii=False)
    trials = (json.dumps(line, allow_nan=False, ensure_ascii=False) for line in held["trials"])
    return head.removesuffix("null\n}") + "[\n  " + ",\n  ".join(trials) + "\n ]\n}\n"


def _unpacked(held: Mapping[str, Any]) -> Sealed:
    trials = held["trials"]
    names = [metric["id"] for metric in held["metrics"]]
    pooled = [metric["id"] for metric in held["metrics"] if metric["aggregate"] == "pooled"]
    parts = {name: [_parts(trial["scores"][name]) for trial in trials] for name in names}
    plain = {name: held[name] for name in PLAIN}
    lists = {"metrics": tuple(held["metrics"]), "side_information": tuple(held["side_information"])}
    return Sealed(
        schema=held["schema"],
        trial_ids=tuple(str(trial["id"]) for trial in trials),
        clusters=tuple(str(trial["cluster"]) for trial in trials),
        conditions=tuple(dict(trial["conditions"]) for trial in trials),
        statuses={name: tuple(part[0] for part in parts[name]) for name in names},
        values={name: tuple(part[1] for part in parts[name]) for name in names},
        errors={name: tuple(part[2] for part in parts[name]) for name in pooled},
        totals={name: tuple(part[3] for part in parts[name]) for name in pooled},
        **{**plain, **lists},
    )


def _parts(score: Any) -> tuple[str, float | None, float | None, float | None]:
    """(status, value, errors, total) of a score as it stands in the file."""
    if isinstance(score, str):
        return Status(score).value, None, None, None
    value, errors, total = score if isinstance(score, list) else (score, None, None)
    return Status.OK.value, float(value), errors, total


def file_name(label: str) -> str:
    """The name of a folder or file for a label such as ``esc50:clapsep[queries=text]``; other labels, other names.

    >>> file_name("lass-demo")
    'lass-demo'
    >>> file_name("esc50:clapsep[queries=text]")
    'esc50-clapsep-queries-text-51ff4092'
    """
    plain = re.sub(r"[^A-Za-z0-9._+@-]+", "-", label).strip("-.")[:LONGEST_NAME]
    if plain == label:
        return label
    return f"{plain}-{hashlib.sha256(label.encode(errors=LONE)).hexdigest()[:8]}".lstrip("-")
