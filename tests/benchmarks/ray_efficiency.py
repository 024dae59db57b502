"""How busy Ray keeps workers whose system only waits: ``python tests/benchmarks/ray_efficiency.py``.

A cluster of one node is started on this machine, whose CPUs are a number only.
For each number of workers two runs differ in length alone: what they differ in
time is free of starting up. Beside it stands how long the systems waited
between trials, by their own clocks. Scores are compared with those of a local run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from tspbench import manifest
from tspbench.runner.request import Request
from tspbench.runner.run import run_systems
from tspbench.store import read_lines
from tspbench.types import Mix, QueryRecipe, Role, Source, TaskKind, Trial

WAITING = """
import time
class Waiting:
    queries = frozenset({{"text"}})
    def extract(self, mixtures, lengths, queries):
        time.sleep({seconds} * len(mixtures))
        return 0.5 * mixtures
"""
SHORT, LONG = 4, 44
"""Trials for each worker."""
HEAD = "workers  trials  seconds  ideal  efficiency   idle  starting up, s"


def write_task(folder: Path, trials: int) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(8000).astype(np.float32), 8000)
    sources = (Source("a.wav", role=Role.TARGET), Source("b.wav"))
    rows = (Trial(f"t{i}", sources, Mix(snr_db=i % 5), QueryRecipe(text=str(i))) for i in range(trials))
    header = manifest.Header(kind=TaskKind.LASS, sample_rate=8000, metrics=("snr",))
    manifest.write(folder / "manifest.jsonl", header, rows)
    return folder / "manifest.jsonl"


def timed(system: str, request: Request) -> tuple[float, Path]:
    """Seconds of a run, and its folder."""
    start = time.monotonic()
    (outcome,) = run_systems([system], request)
    assert outcome.status == "sealed", outcome.message
    return time.monotonic() - start, outcome.path


def scores(run: Path) -> set[str]:
    return set((run / "scores.jsonl").read_text().splitlines())


def idle_share(run: Path) -> float:
    """Of the systems' time between their first answer and their last."""
    times = [row["time"] for row in read_lines(run / "trials.jsonl") if row["time"]["idle_s"] is not None]
    idle, compute = (sum(each[key] for each in times) for key in ("idle_s", "compute_s"))
    return idle / (idle + compute)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="that a trial takes")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    given = parser.parse_args()
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_prestart_worker_first_driver="0", RAY_enable_worker_prestart="0")
    node = {"num_cpus": 2 * max(given.workers), "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "waiting.py").write_text(WAITING.format(seconds=given.seconds))
        task = str(write_task(folder, LONG * max(given.workers)))
        system = f"{folder / 'waiting.py'}:Waiting"
        print(f"{given.seconds:g} s a trial, batches of 1\n{HEAD}")
        for workers in given.workers:
            ray = Request(task=task, executor="ray", ray_address=cluster.address, ray_workers=workers)
            times = {}
            for each in (SHORT, LONG):
                out, limit = folder / f"{workers}-{each}", each * workers
                request = Request(**{**vars(ray), "out": out, "limit": limit})
                times[each], run = timed(system, request)
                if each == SHORT:
                    _, local = timed(system, Request(task=task, out=out.with_suffix(".local"), limit=limit))
                    assert scores(run) == scores(local), "scores differ from those of a local run"
            took, ideal = times[LONG] - times[SHORT], (LONG - SHORT) * given.seconds
            start = times[SHORT] - SHORT * given.seconds
            trials = (LONG - SHORT) * workers
            shares = f"{ideal / took:10.3f}  {idle_share(run):5.1%}"
            print(f"{workers:7d}  {trials:6d}  {took:7.1f}  {ideal:5.1f}  {shares}  {start:14.1f}", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
