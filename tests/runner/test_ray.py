"""Runs on a Ray cluster: two nodes of a worker each, both on this machine.

Run with: nox -s ray
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tspbench.store import read_lines, read_record

pytest.importorskip("ray", reason="Ray is not installed: pip install 'tspbench[ray]'")
pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "systems_under_test.py"
STORE = 100_000_000


NODE = {"num_cpus": 2, "object_store_memory": STORE}
"""Room for a worker of two CPUs; a CPU here is a number, nothing is bound to a core."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head node; ``cluster.add_node(**NODE)`` adds another."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_enable_worker_prestart", "0")
        patch.setenv("RAY_health_check_timeout_ms", "60000")  # a busy machine is not a dead node
        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        yield made
        made.shutdown()


def command(task: Path, out: Path, *more: str, system: str = "Slow", seconds: float = 0.05) -> list[str]:
    option = ["--option", f"seconds={seconds}"] if system == "Slow" else []
    arguments = ["--system", f"{HERE}:{system}", "--task", str(task), "--out", str(out), *option, *more]
    return [sys.executable, "-m", "tspbench", "run", *arguments]


def on(cluster: Any, *more: str) -> list[str]:
    return ["--executor", "ray", "--ray-address", cluster.address, *more]


def finished(arguments: list[str], code: int = 0) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def begun(arguments: list[str], out: Path, lines: int) -> subprocess.Popen[str]:
    """A run that has written so many score lines."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    path = out / "scores.jsonl"
    while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < lines):
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()[0]
    return process


def scores(out: Path) -> list[str]:
    return sorted((out / "scores.jsonl").read_text().splitlines())


def ended(process: subprocess.Popen[str]) -> None:
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed


def stations() -> list[int]:
    """The processes of the stations that run on this machine."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"ray::Actor"):
                found.append(int(folder.name))
    return found


def same_as_locally(task: Path, out: Path) -> None:
    """A finished run on the cluster and one on this machine are the same measurement."""
    local = out.with_name("local")
    finished(command(task, local, "--batch-size", "2"))
    here, there = read_record(local), read_record(out)
    assert there["status"] == here["status"] == "sealed"
    assert there["counts"] == here["counts"]
    assert there["identity"] == here["identity"]
    assert scores(out) == scores(local)
    digests = [
        {row["trial_id"]: row["output"]["digest"] for row in read_lines(run / "trials.jsonl")} for run in (out, local)
    ]
    assert digests[0] == digests[1]


def test_a_node_is_killed(cluster: Any, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out, second = tiny(60), tmp_path / "ray", cluster.add_node(**NODE)
    process = begun(command(task, out, "--batch-size", "2", *on(cluster, "--ray-workers", "2")), out, 40)
    cluster.remove_node(second, allow_graceful=False)
    ended(process)
    same_as_locally(task, out)
    stretch = read_record(out)["executors"][0]
    assert (stretch["name"], stretch["workers"], stretch["nodes"], stretch["lost"]) == ("ray", 2, 2, 1)


def test_a_worker_is_killed_and_its_room_taken_again(cluster: Any, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(60), tmp_path / "ray"
    process = begun(command(task, out, "--batch-size", "2", *on(cluster)), out, 30)
    (first,) = stations()
    os.kill(first, signal.SIGKILL)
    ended(process)
    same_as_locally(task, out)
    assert read_record(out)["executors"][0]["lost"] == 1
    assert not stations()


def test_a_run_goes_on_wherever_it_was_broken_off(cluster: Any, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(80), tmp_path / "ray"
    arguments = command(task, out, "--batch-size", "2")
    for lines, executor in ((60, on(cluster)), (120, [])):
        process = begun([*arguments, *executor], out, lines)
        process.kill()
        process.wait()
    assert read_record(out)["status"] == "started"
    finished([*arguments, *on(cluster)])
    same_as_locally(task, out)
    assert [stretch["name"] for stretch in read_record(out)["executors"]] == ["ray", "local", "ray"]


def test_misdeeds_are_recorded_as_locally(cluster: Any, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, runs = tiny(12), (tmp_path / "local", tmp_path / "ray")
    for out, executor in zip(runs, ([], on(cluster)), strict=True):
        arguments = command(task, out, "--time-limit", "1.5", "--max-failed", "12", *executor, system="Villain")
        finished(arguments)
    rows = [{row["trial_id"]: row["error"] for row in read_lines(out / "trials.jsonl")} for out in runs]
    assert rows[1].keys() == rows[0].keys()
    kinds = [{name: error and error["type"] for name, error in row.items()} for row in rows]
    assert kinds[1] == kinds[0]
    assert set(kinds[0].values()) >= {"ValueError", "WrongOutput", "timed_out", "worker_died", "not_finite"}
    assert scores(runs[1]) == scores(runs[0])
    assert b"Segmentation fault" in (runs[1] / "system.log").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ray-address", "127.0.0.1:1"], "--ray-address 127.0.0.1:1: nothing answers there"),
        (["--ray-address", "here"], "write HOST:PORT"),
        (["--ray-address", "CLUSTER", "--ray-workers", "9"],
         "1 node with 2 CPUs and 0 GPUs: room for 1 worker of 2 CPUs, so --ray-workers 9 cannot start"),
        (["--ray-address", "CLUSTER", "--ray-gpus-per-worker", "1"], "room for 0 workers of 2 CPUs and 1 GPU"),
        (["--ray-address", "CLUSTER", "--device", "cuda"], "Add --ray-gpus-per-worker 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    options: list[str], said: str, cluster: Any, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    given = [cluster.address if option == "CLUSTER" else option for option in options]
    shown = finished(command(tiny(4), tmp_path / "out", "--executor", "ray", *given), code=2)
    assert said in " ".join(shown.split())
    assert not (tmp_path / "out").exists()
