"""Profiles as rich tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

NONE = "–"
REASONS = {
    "chunks": "chunked quality",
    "algorithmic_latency": "algorithmic latency",
    "macs": "MACs",
    "pipeline": "idle time",
}
"""How a profile calls what it did not find."""


def latency_table(record: Mapping[str, Any]) -> Table:
    """One row per length and batch size."""
    gpu = record["settings"]["device"] == "cuda"
    table = Table(title=Text(f"{record['system']['name']}: latency and throughput"), title_justify="left")
    columns = ["audio", "batch", "p50", "95 % interval", "p95", "p99", "repeats", "real-time\nfactor",
               "audio s\nper s", "peak\nmemory"]  # fmt: skip
    for name in [*columns, *(["GPU p50", "GPU torch", "GPU driver"] if gpu else [])]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in record["table"]:
        table.add_row(*_cells(row, gpu), Text(_remark(row), style="yellow"))
    return table


def figures_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """Single figures, one column per system."""
    table = Table(title_justify="left")
    table.add_column("")
    for record in records:
        table.add_column(Text(record["system"]["name"]), justify="right")
    for name, shown in FIGURES.items():
        table.add_row(name, *(Text(shown(record)) for record in records))
    return table


def notes(record: Mapping[str, Any]) -> list[str]:
    """What to know about a profile, one line each."""
    settings = record["settings"]
    calls = " + ".join(settings["calls"])
    found = [f"{calls} on {settings['task']} at {settings['sample_rate']} Hz; {record['hardware_key']}"]
    if record["pipeline"]:
        found.append(_waited(record["pipeline"]))
    for chunk in record["chunks"]:
        found.append(
            f"fed in chunks of {chunk['chunk_s']:g} s instead of {chunk['whole_s']:g} s: SI-SDR "
            f"{chunk['si_sdr_chunked_db']:.2f} dB instead of {chunk['si_sdr_whole_db']:.2f} dB "
            f"({chunk['difference_db']:+.2f} dB, {chunk['trials']} trials)"
        )
    reasons = {REASONS.get(name, name): reason for name, reason in record["reasons"].items()}
    found += [f"no {name}: {reason}" for name, reason in reasons.items()]
    if record["first_call"]["reason"]:
        found.append(f"the first call failed: {record['first_call']['reason']}")
    if record["macs"] and record["macs"]["uncounted"]:
        found.append(f"MACs leave out {', '.join(record['macs']['uncounted'])}")
    return found + list(record["machine"]["hints"])


def _waited(pipeline: Mapping[str, Any]) -> str:
    between = duration(pipeline["idle_s"] / max(1, pipeline["batches"] - 1))
    return (
        f"in a run of {pipeline['batches']} batches of {pipeline['batch']} the system waited {between} between two, "
        f"{pipeline['idle_share']:.1%} of the time, while {pipeline['workers']} processes rendered and scored "
        f"({pipeline['metric']})"
    )


def duration(seconds: float | None) -> str:
    """Three significant digits with a unit that suits."""
    if seconds is None:
        return NONE
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-6)} µs"


def size(count: float | None, unit: str = "B", step: float = 1024.0) -> str:
    """Three significant digits with the largest prefix that fits; binary prefixes for bytes."""
    if count is None:
        return NONE
    power = 0
    while count >= step and power < 5:
        count, power = count / step, power + 1
    prefix = " kMGTP"[power].strip()
    if step == 1024.0 and prefix:
        prefix = f"{prefix.upper()}i"
    return f"{_three(count)} {prefix}{unit}".strip()


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _cells(row: Mapping[str, Any], gpu: bool) -> list[str]:
    low, high = row["p50_low_s"], row["p50_high_s"]
    shown = [
        f"{row['seconds']:g} s",
        str(row["batch"]),
        duration(row["p50_s"]),
        NONE if low is None else f"{duration(low)} – {duration(high)}",
        duration(row["p95_s"]),
        duration(row["p99_s"]),
        str(row["repeats"] or NONE),
        NONE if row["rtf"] is None else f"{row['rtf']:.3g}",
        NONE if row["throughput_x"] is None else _three(row["throughput_x"]),
        size(row["peak_cpu_bytes"]),
    ]
    if gpu:
        shown += [duration(row["device_p50_s"]), size(row["peak_gpu_torch_bytes"]), size(row["peak_gpu_driver_bytes"])]
    return shown


def _remark(row: Mapping[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['status'].replace('_', ' ')}: {row['reason']}"
    return "" if row["warmed_up"] else "one call, not warmed up"


def _figure(name: str, shown: Callable[[Any], str]) -> Callable[[Mapping[str, Any]], str]:
    return lambda record: shown(record["figures"][name])


def _first_call(record: Mapping[str, Any]) -> str:
    first = record["first_call"]
    if first["cold_s"] is None or first["warm_p50_s"] is None:
        return duration(first["cold_s"])
    return f"{duration(first['cold_s'])} ({first['cold_s'] / first['warm_p50_s']:.2g} x warm)"


def _exponent(record: Mapping[str, Any]) -> str:
    growth = record["growth"]
    if growth is None:
        return NONE
    error = growth["standard_error"]
    return f"{growth['exponent']:.2f}" + ("" if error is None else f" ± {error:.2f}")


def _latency(record: Mapping[str, Any]) -> str:
    found = record["algorithmic_latency"]
    if found["whole_file"]:
        return "whole file"
    return NONE if found["lookahead_s"] is None else f"{1000 * found['lookahead_s']:.1f} ms"


def _parts(record: Mapping[str, Any]) -> str:
    parameters = record["parameters"]
    parts = sorted(parameters["parts"].items(), key=lambda part: -part[1]) if parameters else []
    return "\n".join(f"{name} {size(count, '', 1000.0)}" for name, count in parts[:8]) or NONE


def _count(unit: str) -> Callable[[Any], str]:
    return lambda value: size(value, unit, 1000.0)


FIGURES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "load time": _figure("load_s", duration),
    "first call": _first_call,
    "latency p50": _figure("latency_p50_s", duration),
    "latency p95": _figure("latency_p95_s", duration),
    "latency p99": _figure("latency_p99_s", duration),
    "… on audio of": _figure("reference_seconds", lambda value: f"{value:g} s"),
    "real-time factor": _figure("rtf", lambda value: f"{value:.3g}"),
    "best throughput, audio s per s": _figure("throughput_x", _three),
    "time grows as length to the": _exponent,
    "algorithmic latency": _latency,
    "idle between batches of a run": _figure("idle_share", lambda value: NONE if value is None else f"{value:.1%}"),
    "memory before loading": lambda record: size(record["load"]["rss_before"]),
    "memory after loading": lambda record: size(record["load"]["rss_after"]),
    "peak memory": _figure("peak_cpu_bytes", size),
    "peak GPU memory, torch": _figure("peak_gpu_torch_bytes", size),
    "peak GPU memory, driver": _figure("peak_gpu_driver_bytes", size),
    "parameters": _figure("parameters", _count("")),
    "… trainable": _figure("trainable_parameters", _count("")),
    "… by part": _parts,
    "MACs per second of audio": _figure("macs_per_s", _count("")),
}
"""How each figure is called and shown."""
