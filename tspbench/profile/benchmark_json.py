"""The latencies as pytest-benchmark writes them, so that its ``compare`` reads them.

The statistics are those that pytest-benchmark computes itself: outliers lie
beyond one standard deviation, or beyond 1.5 times the interquartile range.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tspbench.errors import UsageError
from tspbench.profile.latency import Row
from tspbench.store import write_json

FORMAT = "5.0.0"
"""The version of pytest-benchmark whose fields these are."""


def write_benchmark(path: Path, profiles: Sequence[tuple[Mapping[str, Any], Sequence[Row]]]) -> None:
    """One benchmark per system and measured cell.

    Parameters
    ----------
    profiles
        The record of each profile with its rows.

    Raises
    ------
    UsageError
        The file cannot be written.
    """
    record = profiles[0][0]
    content = {
        "machine_info": _machine(record),
        "commit_info": _commit(record["code"]),
        "benchmarks": [_benchmark(record, row) for record, rows in profiles for row in rows if row.ok],
        "datetime": record["created"],
        "version": FORMAT,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}). Choose another --benchmark-json.") from error


def stats(times: Sequence[float]) -> dict[str, Any]:
    """The statistics of some seconds."""
    ordered = sorted(times)
    mean, total = statistics.fmean(ordered), sum(ordered)
    deviation = statistics.stdev(ordered) if len(ordered) > 1 else 0.0
    q1, q3 = _quartiles(ordered)
    reach = 1.5 * (q3 - q1)
    far = sum(abs(value - mean) > deviation for value in ordered)
    beyond = sum(value < q1 - reach or value > q3 + reach for value in ordered)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(ordered),
        "median": statistics.median(ordered),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": far,
        "outliers": f"{far};{beyond}",
        "ld15iqr": next(value for value in ordered if value >= q1 - reach),
        "hd15iqr": next(value for value in reversed(ordered) if value <= q3 + reach),
        "ops": len(ordered) / total if total else 0.0,
        "total": total,
        "data": list(times),
        "iterations": 1,
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Medians of the halves; with an odd number, values between neighbours as pytest-benchmark weighs them."""
    count = len(ordered)
    if count == 1:
        return ordered[0], ordered[0]
    k, rest = divmod(count, 4)
    if rest % 2 == 0:
        return statistics.median(ordered[: count // 2]), statistics.median(ordered[count // 2 :])
    if rest == 1:
        return 0.25 * ordered[k - 1] + 0.75 * ordered[k], 0.75 * ordered[3 * k] + 0.25 * ordered[3 * k + 1]
    return 0.75 * ordered[k] + 0.25 * ordered[k + 1], 0.25 * ordered[3 * k + 1] + 0.75 * ordered[3 * k + 2]


def _benchmark(record: Mapping[str, Any], row: Row) -> dict[str, Any]:
    system = record["system"]["name"]
    cell = f"{row.seconds:g} s x {row.batch}"
    return {
        "group": cell,
        "name": f"{system}[{cell}]",
        "fullname": f"tspbench profile::{system}[{cell}]",
        "params": {"seconds": row.seconds, "batch": row.batch},
        "param": cell,
        "extra_info": {"digest": record["system"]["digest"], "hardware_key": record["hardware_key"]},
        "options": {"disable_gc": False, "timer": "perf_counter", "warmup": row.warmed_up},
        "stats": stats(row.times),
    }


def _machine(record: Mapping[str, Any]) -> dict[str, Any]:
    hardware, environment = record["hardware"], record["environment"]
    return {
        "node": record["hardware_key"],
        "machine": environment["platform"].rpartition("-")[0],
        "system": environment["platform"].partition("-")[0],
        "python_version": environment["python"],
        "cpu": {"brand_raw": hardware["cpu"], "count": hardware["cores"]},
    }


def _commit(code: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": code["commit"] or "unknown",
        "dirty": bool(code["dirty"]),
        "project": "tspbench",
        "branch": "(unknown)",
        "time": None,
        "author_time": None,
    }
