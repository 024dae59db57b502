"""``profile.json``: figures that gates and leaderboards read, the table, and all details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tspbench import environment
from tspbench.errors import UsageError
from tspbench.profile import machine
from tspbench.profile.extras import Extras
from tspbench.profile.growth import Growth, fit
from tspbench.profile.latency import Row, reference_row
from tspbench.profile.material import Material
from tspbench.profile.memory import Memory
from tspbench.profile.request import Request
from tspbench.profile.service import Calls, Loaded
from tspbench.store import write_json

SCHEMA = 1
PROFILES = Path("profiles")


@dataclass(frozen=True)
class First:
    """The first call: ``cold_s`` and the memory after it, or why there is none."""

    seconds: float
    cold_s: float | None = None
    memory: Memory | None = None
    reason: str = ""


@dataclass(frozen=True)
class Measured:
    """Everything that one profile found."""

    loaded: Loaded
    first: First
    rows: tuple[Row, ...]
    extras: Extras
    calls: Calls
    device: str
    before: machine.State
    after: machine.State
    torch_threads: int | None
    precision: str
    driver_source: str | None


def make_record(
    identity: Mapping[str, Any], measured: Measured, request: Request, material: Material
) -> dict[str, Any]:
    """The content of ``profile.json``, plain JSON values to six significant digits."""
    hardware = environment.hardware()
    threads = machine.threads_allowed(request.threads)
    growth = _growth(measured.rows)
    record = {
        "schema": SCHEMA,
        "kind": "profile",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": dict(identity),
        "hardware_key": machine.hardware_key(hardware, threads, measured.device),
        "hardware": hardware,
        "environment": environment.environment(),
        "code": environment.code(),
        "settings": _settings(request, measured, material, threads),
        "figures": _figures(measured, growth, material),
        "table": [_table_row(row) for row in measured.rows],
        **_details(measured, growth, material),
        "machine": {
            "before": asdict(measured.before),
            "after": asdict(measured.after),
            "hints": machine.hints(measured.before, measured.after, hardware["cores"]),
        },
    }
    rounded: dict[str, Any] = _rounded(record)
    return rounded


def default_path(out: Path | None, identity: Mapping[str, Any]) -> Path:
    """``--out`` itself when it is a .json file, a file in it when it is a folder; else below ``profiles/``."""
    if out is not None and out.suffix == ".json":
        return out
    return (out or PROFILES) / f"{identity['name']}-{str(identity['digest'])[:8]}.json"


def save(path: Path, record: Mapping[str, Any]) -> None:
    """Write a profile, whole or not at all; UsageError when the place cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, record)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}). Choose another --out.") from error


def _settings(request: Request, measured: Measured, material: Material, threads: int) -> dict[str, Any]:
    return {
        "seconds": list(request.seconds),
        "batch": list(request.batch),
        "budget_s": request.budget_s,
        "device": measured.device,
        "threads": threads,
        "torch_threads": measured.torch_threads,
        "seed": request.seed,
        "precision": measured.precision,
        "task": material.task,
        "trials": [excerpt.trial_id for excerpt in material.excerpts],
        "sample_rate": material.sample_rate,
        "calls": [name for name, made in (("transcribe", measured.calls.words), ("extract", measured.calls.waveform))
                  if made],
    }  # fmt: skip


def _figures(measured: Measured, growth: Growth | None, material: Material) -> dict[str, float | int | None]:
    """One flat number (or null) per name."""
    row, extras = reference_row(measured.rows), measured.extras
    parameters, macs, lookahead = extras.parameters, extras.macs, extras.lookahead
    peaks = [measured.loaded.rss_peak, measured.first.memory.rss_peak if measured.first.memory else None]
    return {
        "reference_seconds": row.seconds,
        "load_s": measured.loaded.load_s,
        "first_call_s": measured.first.cold_s,
        "latency_p50_s": row.p50_s,
        "latency_p95_s": row.p95_s,
        "latency_p99_s": row.p99_s,
        "rtf": row.rtf,
        "throughput_x": _most([row.throughput_x for row in measured.rows]),
        "peak_cpu_bytes": _most([*peaks, *(row.peak_cpu_bytes for row in measured.rows)]),
        "peak_gpu_torch_bytes": _most([row.peak_gpu_torch_bytes for row in measured.rows]),
        "peak_gpu_driver_bytes": _most([row.peak_gpu_driver_bytes for row in measured.rows]),
        "parameters": parameters.total if parameters else None,
        "trainable_parameters": parameters.trainable if parameters else None,
        "macs_per_s": macs.total / extras.seconds if macs else None,
        "length_exponent": growth.exponent if growth else None,
        "algorithmic_latency_s": _seconds(lookahead.samples, material),
        "idle_share": extras.pipeline.idle_share if extras.pipeline else None,
    }


def _details(measured: Measured, growth: Growth | None, material: Material) -> dict[str, Any]:
    extras = measured.extras
    return {
        "load": asdict(measured.loaded),
        "first_call": _first(measured),
        "memory": {
            "cpu": "high-water mark of the resident set size of the system's process, by the kernel",
            "gpu_torch": "torch.cuda.max_memory_allocated" if measured.device == "cuda" else None,
            "gpu_driver": measured.driver_source,
        },
        "parameters": asdict(extras.parameters) if extras.parameters else None,
        "macs": {"seconds": extras.seconds, **asdict(extras.macs)} if extras.macs else None,
        "growth": asdict(growth) if growth else None,
        "algorithmic_latency": {
            "lookahead_s": _seconds(extras.lookahead.samples, material),
            "whole_file": extras.lookahead.whole_file,
            "tested_on_s": extras.seconds,
            "calls": extras.lookahead.calls,
        },
        "chunks": [
            {
                "whole_s": extras.seconds,
                "chunk_s": chunk.chunk_samples / material.sample_rate,
                "si_sdr_whole_db": chunk.si_sdr_whole,
                "si_sdr_chunked_db": chunk.si_sdr_chunked,
                "difference_db": chunk.difference,
                "trials": chunk.trials,
            }
            for chunk in extras.chunks
        ],
        "pipeline": asdict(extras.pipeline) if extras.pipeline else None,
        "reasons": dict(extras.reasons),
    }


def _first(measured: Measured) -> dict[str, Any]:
    """The cold call beside the warm median of the same length, where that was measured."""
    first = measured.first
    same = [row.p50_s for row in measured.rows if row.ok and row.batch == 1 and row.seconds == first.seconds]
    warm = same[0] if same else None
    extra = first.cold_s - warm if first.cold_s is not None and warm is not None else None
    return {"seconds": first.seconds, "cold_s": first.cold_s, "warm_p50_s": warm, "extra_s": extra,
            "reason": first.reason}  # fmt: skip


def _growth(rows: Sequence[Row]) -> Growth | None:
    alone = [(row.seconds, row.p50_s) for row in rows if row.batch == 1 and row.p50_s]
    return fit([seconds for seconds, _ in alone], [p50 for _, p50 in alone])


def _table_row(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "times"}


def _seconds(samples: int | None, material: Material) -> float | None:
    """Look-ahead in seconds; a delay is no look-ahead."""
    return None if samples is None else max(0, samples) / material.sample_rate


def _most(values: Sequence[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
