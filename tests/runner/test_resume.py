"""A broken run goes on where it stopped and ends as if it had never been broken."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench.runner.request import Request
from tspbench.runner.run import Outcome, run_systems
from tspbench.store import RunFolder, read_lines, read_record

HERE = Path(__file__).parent / "systems_under_test.py"


def command(task: Path, out: Path, batch: int, seconds: float = 0.01) -> list[str]:
    return [
        *(sys.executable, "-m", "tspbench", "run", "--system", f"{HERE}:Slow", "--task", str(task)),
        *("--out", str(out), "--batch-size", str(batch), "--workers", "2", "--option", f"seconds={seconds}"),
    ]


def lines(path: Path) -> list[str]:
    return sorted((path / "scores.jsonl").read_text().splitlines())


def killed_and_resumed(task: Path, tmp_path: Path, kills: int, batch: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(task, whole, batch), check=True, capture_output=True)
    rng = random.Random(batch)
    landed = 0
    for _ in range(kills):
        process = subprocess.Popen(command(task, broken, batch), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.4, 1.6))
        landed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert landed >= kills // 2, "the run was too short to be killed"
    done = subprocess.run(command(task, broken, batch), check=True, capture_output=True, text=True)
    assert "broken" in done.stdout
    assert read_record(broken)["status"] == "sealed"
    assert lines(broken) == lines(whole)
    assert len({row["trial_id"] for row in read_lines(broken / "trials.jsonl")}) == len(lines(whole)) // 3


def test_killed_at_random_moments(tiny: Callable[..., Path], tmp_path: Path) -> None:
    killed_and_resumed(tiny(100), tmp_path, kills=3, batch=3)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 4])
def test_killed_at_twenty_random_moments(batch: int, tiny: Callable[..., Path], tmp_path: Path) -> None:
    killed_and_resumed(tiny(1200), tmp_path, kills=20, batch=batch)


def hear_interrupts() -> None:
    """A shell lets what it runs in the background ignore them, tests included."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_runs_are_partial_and_exit_cleanly(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(30), tmp_path / "out"
    process = subprocess.Popen(
        command(task, out, 1, seconds=0.1), stdout=subprocess.PIPE, text=True, preexec_fn=hear_interrupts
    )
    while not (out / "scores.jsonl").exists() or not (out / "scores.jsonl").stat().st_size:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 3
    assert "Interrupted" in output
    assert read_record(out)["status"] == "partial"
    finished = run_systems([f"{HERE}:Slow"], Request(task=str(task), out=out, workers=2), ["seconds=0.1"])[0]
    assert finished.status == "sealed"
    assert finished.summary["trials"]["ok"] == 30


def honest(task: Path, out: Path) -> Outcome:
    return run_systems([f"{HERE}:Slow"], Request(task=str(task), out=out, workers=2), ["seconds=0"])[0]


def test_a_full_disk_stops_the_run_and_costs_nothing(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(20)
    whole = honest(task, tmp_path / "whole")
    real = RunFolder.add_scores
    calls = []

    def full(self: RunFolder, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 8:
            self._scores.write(b'{"trial_id":"t')
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, *arguments)

    monkeypatch.setattr(RunFolder, "add_scores", full)
    broken = honest(task, tmp_path / "broken")
    assert broken.status == "partial"
    assert "disk is full" in broken.message
    monkeypatch.undo()
    resumed = honest(task, tmp_path / "broken")
    assert resumed.status == "sealed"
    assert lines(resumed.path) == lines(whole.path)


def test_a_really_full_disk(tiny: Callable[..., Path], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        task = tiny(200)
        broken = honest(task, disk / "out")
        assert broken.status == "partial"
        assert "disk is full" in broken.message
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        resumed = honest(task, disk / "out")
        assert resumed.status == "sealed"
        assert lines(resumed.path) == lines(honest(task, tmp_path / "whole").path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupt_stops_the_systems_that_would_follow(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(30), tmp_path / "out"
    arguments = ["--system", f"{HERE}:Slow,{HERE}:Mute", "--task", str(task), "--out", str(out)]
    command = [sys.executable, "-m", "tspbench", "run", *arguments, "--option", "Slow.seconds=0.1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=hear_interrupts)
    while not (out / "Slow" / "scores.jsonl").exists() or not (out / "Slow" / "scores.jsonl").stat().st_size:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 3
    assert "Slow (partial)" in output
    assert not (out / "Mute").exists()
