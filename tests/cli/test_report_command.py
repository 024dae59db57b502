"""``tspbench report`` as a command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tspbench


def run_cli(*arguments: object, where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tspbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=where, env=os.environ, timeout=120)


@pytest.fixture
def run(tiny: Callable[..., Path], tmp_path: Path) -> Path:
    return tspbench.run("silence", tiny(3), out=tmp_path / "run", workers=1, save_audio="all")[0].path


def test_says_what_was_made_how_large_it_is_and_where(run: Path, tmp_path: Path) -> None:
    done = run_cli("report", run, "--task", tmp_path / "tiny" / "manifest.jsonl", "--audio", "2", where=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"3 trials, 2 of them with audio; \d+\.\d MB \(\d+\.\d MB audio\)", done.stdout)
    assert "report/index.html" in done.stdout
    assert (tmp_path / "report" / "index.html").exists()
    assert len(list((tmp_path / "report" / "audio").glob("*.js"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "Missing argument"),
        (["report", "nowhere"], "There is no folder nowhere"),
        (["report", "run", "--audio", "many"], "expected a number of trials, all or none"),
        (["report", "run", "--out", "tiny"], "is not empty and holds no report"),
        (["report", "run", "--task", "tse-dmeo"], "Did you mean tse-demo"),
    ],
)
def test_mistakes_are_one_message(run: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run_cli(*arguments, where=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()


def test_without_its_manifest_a_run_is_reported_with_a_note(run: Path, tmp_path: Path) -> None:
    done = run_cli("report", run, "--audio", "none", where=tmp_path)
    assert done.returncode == 0
    assert "name it with --task" in " ".join(done.stdout.split())
