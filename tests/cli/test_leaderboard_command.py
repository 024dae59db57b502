"""``tspbench leaderboard``: from finished runs to pages, with exit codes that CI can use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import tspbench


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tspbench", "leaderboard", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_from_a_run_to_a_page_and_to_a_check_that_fails(tiny: Callable[..., Path], tmp_path: Path) -> None:
    whole = tspbench.run(["mixture", "oracle-irm"], tiny(6), out=tmp_path / "runs", workers=1)
    part = tspbench.run("mixture", tiny(6), out=tmp_path / "part", workers=1, limit=2)[0]
    refused = call(tmp_path, "add", str(part.path), "--allow-dirty")
    assert refused.returncode == 2
    assert "2 of the 6 trials" in refused.stderr
    assert not (tmp_path / "leaderboards").exists()

    added = call(tmp_path, "add", *(str(run.path) for run in whole), "--allow-dirty")
    assert (added.returncode, added.stderr) == (0, "")
    assert "added oracle-irm on tiny: leaderboards/results/tiny/oracle-irm.json" in added.stdout
    stale = call(tmp_path, "build", "--check")
    assert stale.returncode == 1
    assert "not up to date: leaderboards/index.html" in stale.stderr
    assert call(tmp_path, "build").returncode == 0
    assert "| oracle-irm |" in (tmp_path / "leaderboards" / "tiny.md").read_text()
    assert call(tmp_path, "build", "--check").returncode == 0


def test_mistakes_are_told_without_a_traceback(tmp_path: Path) -> None:
    for arguments, said in [(("add", "nowhere"), "There is no run folder and no sealed result at nowhere"),
                            (("build",), "leaderboards holds no results/ and no reported/"),
                            (("add", "a", "b", "--name", "c"), "--name goes with one run")]:  # fmt: skip
        done = call(tmp_path, *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_one_bad_run_does_not_keep_the_good_ones_out(tiny: Callable[..., Path], tmp_path: Path) -> None:
    run = tspbench.run("mixture", tiny(4), out=tmp_path / "run", workers=1)[0]
    done = call(tmp_path, "add", "nowhere", str(run.path), "--allow-dirty")
    assert done.returncode == 2
    assert "added mixture" in done.stdout
