"""``merge`` as a command, and how a part shows itself to the others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tspbench

TRIALS = 16


def run_cli(*arguments: object, where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tspbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=where, env=os.environ, timeout=120)


@pytest.fixture
def parts(tiny: Callable[..., Path], tmp_path: Path) -> list[Path]:
    task = tiny(TRIALS)
    return [
        tspbench.run("mixture", task, out=tmp_path / f"part-{i}", workers=1, shard=f"{i}/2")[0].path for i in (1, 2)
    ]


def test_parts_become_a_run(parts: list[Path], tmp_path: Path) -> None:
    done = run_cli("merge", *parts, "--out", "whole", where=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{TRIALS}/{TRIALS}" in done.stdout
    assert "mixture: whole" in done.stdout
    assert len(tspbench.merge(list(map(str, parts)), str(tmp_path / "again")).trials) == TRIALS


def test_the_next_commands_take_it(parts: list[Path], tmp_path: Path) -> None:
    tspbench.merge(parts, tmp_path / "whole")
    for command in (
        ["gate", "whole", "--save-baseline", "baseline.json"],
        ["gate", "whole", "--baseline", "baseline.json", "--rule", "si_sdr > baseline - 1"],
        ["report", "whole", "--task", "tiny/manifest.jsonl"],
        ["show", "run", "whole"],
    ):
        done = run_cli(*command, where=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "art 1 of" not in done.stdout
    again = run_cli("run", "--system", "mixture", "--task", "tiny/manifest.jsonl", "--out", "whole", where=tmp_path)
    assert "was done already" in again.stdout


def test_a_part_says_so_wherever_it_is_shown(parts: list[Path], tmp_path: Path) -> None:
    for command in (["show", "run", "part-1"], ["report", "part-1", "--task", "tiny/manifest.jsonl"]):
        done = run_cli(*command, where=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "art 1 of 2" in done.stdout
    line = ("run", "--system", "mixture", "--task", "tiny/manifest.jsonl", "--out", "part-2", "--shard", "2/2")
    assert "part 2 of 2: 8 trials" in run_cli(*line, where=tmp_path).stdout


@pytest.mark.parametrize(
    "command",
    [["gate", "part-1", "--save-baseline", "baseline.json"], ["compare", "part-1", "part-2"],
     ["power", "--run", "part-1", "--delta", "1"], ["leaderboard", "add", "part-1"], ["cpwer", "part-1"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_nobody_takes_a_part_for_a_whole(command: list[str], parts: list[Path], tmp_path: Path) -> None:
    done = run_cli(*command, where=tmp_path)
    assert done.returncode == 3
    assert "part-1 is part 1 of 2 of a run. Put the parts together first: tspbench merge" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["merge", "part-1", "--out", "whole"], "Part 2 of 2 is missing."),
        (["merge", "part-1", "nowhere", "--out", "whole"], "nowhere holds no run"),
        (["merge", "part-1", "part-2", "--out", "tiny"], "is not empty and holds no run"),
        (["merge", "part-1", "part-2"], "Missing option '--out'"),
        (["merge"], "Missing argument"),
        (["run", "--system", "mixture", "--task", "tiny/manifest.jsonl", "--shard", "9/8", "--out", "whole"],
         "--shard 9/8: parts are counted from 1 to 8."),
        (["run", "--system", "mixture", "--task", "tiny/manifest.jsonl", "--shard", "1/20", "--out", "whole"],
         "--shard 1/20: the run has no more than 16 batches."),
        (["run", "--system", "mixture", "--task", "tiny/manifest.jsonl", "--shard", "2/2", "--out", "part-1"],
         "task.shard.number: 1 there, 2 now"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message(arguments: list[str], message: str, parts: list[Path], tmp_path: Path) -> None:
    done = run_cli(*arguments, where=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "whole").exists()
