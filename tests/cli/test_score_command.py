"""tspbench score: what it says of estimates that were made elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tspbench
from tspbench.store import read_lines

RATE = 8000


def score(folder: Path, task: Path, out: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["score", "--estimates", str(folder), "--task", str(task), "--out", str(out), "--name", "theirs"]
    return subprocess.run([sys.executable, "-m", "tspbench", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def estimates(tiny: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """A task of ten trials, and clean estimates of them."""
    task = tiny(10)
    run = tspbench.run("clean", task, out=tmp_path / "clean", save_audio="all", metrics=["snr"])[0]
    return run.path / "audio", task


def test_every_problem_is_named(estimates: tuple[Path, Path], tmp_path: Path) -> None:
    folder, task = estimates

    def change(name: str, edit: Callable[[np.ndarray], np.ndarray], rate: int = RATE) -> None:
        path = folder / f"{name}.wav"
        samples, _ = soundfile.read(path, dtype="float32")
        soundfile.write(path, edit(samples), rate, subtype="FLOAT")

    (folder / "t0.wav").unlink()
    change("t1", lambda x: np.pad(x, (0, RATE)))
    change("t2", lambda x: np.stack([x, x], axis=1))
    change("t3", np.zeros_like)
    change("t4", lambda x: np.repeat(x, 2), 2 * RATE)
    change("t5", lambda x: x[:-100])
    change("t6", lambda x: x[: len(x) // 2])
    change("t7", lambda x: x * np.nan)
    (folder / "t8.wav").write_bytes(b"nothing")
    done = score(folder, task, tmp_path / "out")
    assert done.returncode == 1, done.stderr
    for problem in ("missing", "too long", "stereo", "silent", "another rate", "slightly too short", "too short"):
        assert problem in done.stdout
    rows = {row["trial_id"]: row for row in read_lines(tmp_path / "out" / "trials.jsonl")}
    kinds = {name: row["error"]["type"] if row["error"] else None for name, row in rows.items()}
    assert kinds == {
        "t0": "missing",
        "t1": "too_long",
        "t2": "stereo",
        "t3": None,
        "t4": None,
        "t5": None,
        "t6": "too_short",
        "t7": "not_finite",
        "t8": "unreadable",
        "t9": None,
    }
    assert rows["t4"]["output"]["notes"] == ["resampled from 16000 Hz"]
    assert rows["t5"]["output"]["notes"] == ["padded by 100 samples"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["metrics"]["si_sdr"]
    assert (summary["attempted"], summary["scored"]) == (10, 3)


def test_words(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4, kind="tsasr")
    folder = tmp_path / "words"
    folder.mkdir()
    for i, text in enumerate(["some words", "some swords", "", "Some words."]):
        (folder / f"t{i}.txt").write_text(text)
    run = tspbench.score(folder, task, out=tmp_path / "out", metrics=["wer", "wer_mean"])
    assert run.summary["metrics"]["wer"]["mean"] == pytest.approx((0 + 1 + 2 + 0) / 8)
    assert run.summary["metrics"]["wer_mean"]["mean"] == pytest.approx((0 + 0.5 + 1 + 0) / 4)


def test_the_estimates_are_part_of_the_identity(estimates: tuple[Path, Path], tmp_path: Path) -> None:
    folder, task = estimates
    assert score(folder, task, tmp_path / "out").returncode == 0
    samples, _ = soundfile.read(folder / "t0.wav", dtype="float32")
    soundfile.write(folder / "t0.wav", samples / 2, RATE, subtype="FLOAT")
    done = score(folder, task, tmp_path / "out")
    assert done.returncode == 2
    assert "system.digest" in done.stderr
