"""What the runner costs beside rendering and scoring, in time and in memory.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench import manifest
from tspbench.metrics import resolve_all
from tspbench.metrics.evaluate import evaluate
from tspbench.metrics.signals import Signals
from tspbench.runner.request import Request
from tspbench.runner.run import run_systems
from tspbench.store import read_lines
from tspbench.task import Task, load_task
from tspbench.types import Mix, QueryRecipe, Role, Source, TaskKind, Trial

pytestmark = pytest.mark.bench
METRICS = ("snr", "si_sdr", "si_sdr_i")
OVERHEAD_MS = 3.0
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A small process in between: a child starts with the peak of the one that it was forked from."""


def write_task(folder: Path, trials: int, seconds: float, rate: int) -> Path:
    """Many trials over a few files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        samples = 0.1 * rng.standard_normal(round(seconds * rate)).astype(np.float32)
        soundfile.write(folder / f"{i}.wav", samples, rate, subtype="FLOAT")
    rows = [
        Trial(
            trial_id=f"t{i}",
            sources=(Source(f"{i % 8}.wav", role=Role.TARGET), Source(f"{(i + 1 + i // 8 % 7) % 8}.wav")),
            mix=Mix(snr_db=float(i % 11) - 5),
            query=QueryRecipe(text=str(i)),
            clusters={"clip": str(i % 8)},
        )
        for i in range(trials)
    ]
    header = manifest.Header(kind=TaskKind.LASS, sample_rate=rate, cluster="clip", metrics=METRICS)
    manifest.write(folder / "manifest.jsonl", header, rows)
    return folder / "manifest.jsonl"


def plain_loop(task: Task) -> float:
    """Seconds per trial of rendering and scoring alone."""
    metrics = resolve_all(METRICS)
    start = time.perf_counter()
    for trial in task:
        rendered = task.stage.render(trial)
        signals = Signals(
            sample_rate=rendered.sample_rate,
            mixture=rendered.mixture,
            target=rendered.target,
            interferers=rendered.interferers,
            estimate=rendered.mixture,
        )
        evaluate(signals, metrics)
    return (time.perf_counter() - start) / len(task)


def run_seconds(path: Path, out: Path, limit: int) -> float:
    start = time.perf_counter()
    outcome = run_systems(["mixture"], Request(task=str(path), out=out, workers=1, limit=limit))[0]
    assert outcome.status == "sealed"
    return time.perf_counter() - start


@pytest.mark.parametrize(("seconds", "rate", "few", "many"), [(0.2, 8000, 100, 1100), (10.0, 32000, 20, 220)])
def test_overhead_per_trial(seconds: float, rate: int, few: int, many: int, tmp_path: Path, benchmark) -> None:
    path = write_task(tmp_path / "task", many, seconds, rate)
    plain = min(plain_loop(load_task(str(path)).limited(few)) for _ in range(3))
    short = min(run_seconds(path, tmp_path / f"few{i}", few) for i in range(2))
    long = benchmark.pedantic(run_seconds, (path, tmp_path / "many", many), rounds=1)
    long = benchmark.stats.stats.min
    per_trial = (long - short) / (many - few)
    overhead = 1e3 * (per_trial - plain)
    benchmark.extra_info.update(overhead_ms=overhead, plain_ms=1e3 * plain)
    print(f"\n{seconds} s clips: {1e3 * per_trial:.2f} ms a trial, rendering and scoring alone {1e3 * plain:.2f} ms")
    assert overhead < OVERHEAD_MS


BUSY = """
import time
class Busy:
    queries = frozenset({"text"})
    def extract(self, mixtures, lengths, queries):
        time.sleep(0.1)
        return 0.5 * mixtures
"""
"""Takes 100 ms for a batch and leaves the processor alone, as a model on a device does."""


IDLE_SHARE = 0.02


@pytest.mark.parametrize("seconds", [1.0, 10.0])
def test_a_system_hardly_waits_between_batches(seconds: float, tmp_path: Path, benchmark) -> None:
    """Beside it two processes render and score. A machine with two cores must have nothing else to do."""
    path = write_task(tmp_path / "task", 8 * 40, seconds, 16000)
    (tmp_path / "busy.py").write_text(BUSY)
    request = Request(task=str(path), out=tmp_path / "out", batch_size=8, metrics=("snr",))
    outcome = benchmark.pedantic(run_systems, ([f"{tmp_path / 'busy.py'}:Busy"], request), rounds=1)[0]
    times = [row["time"] for row in read_lines(outcome.path / "trials.jsonl") if row["time"]["idle_s"] is not None]
    idle, compute = (sum(time[key] for time in times) for key in ("idle_s", "compute_s"))
    waits = sorted(8 * time["idle_s"] for time in times)
    benchmark.extra_info.update(idle_share=idle / (idle + compute), median_wait_ms=1e3 * waits[len(waits) // 2])
    print(f"\n{seconds} s clips: waiting {idle / (idle + compute):.2%}, median {1e3 * waits[len(waits) // 2]:.2f} ms")
    assert idle / (idle + compute) < IDLE_SHARE


def peak_memory(path: Path, out: Path, limit: int) -> int:
    """Peak resident bytes of the largest process of a run."""
    arguments = ["run", "--system", "mixture", "--task", str(path), "--limit", str(limit), "--out", str(out)]
    command = [sys.executable, "-m", "tspbench", *arguments]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *command], check=True, capture_output=True, text=True)
    assert json.loads((out / "run.json").read_text())["status"] == "sealed"
    return int(done.stdout) * 1024


def test_memory_does_not_grow_with_the_trials(tmp_path: Path, benchmark: Callable[..., None]) -> None:
    path = write_task(tmp_path / "task", 2000, 1.0, 16000)
    small = peak_memory(path, tmp_path / "small", 200)
    large = benchmark.pedantic(peak_memory, (path, tmp_path / "large", 2000), rounds=1)
    print(f"\n200 trials: {small / 2**20:.1f} MiB, 2,000 trials: {large / 2**20:.1f} MiB ({large / small:.3f})")
    assert large <= 1.1 * small
