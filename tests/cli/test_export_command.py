"""``tspbench data export`` as a user types it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench.cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["tspbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_the_last_line_scores_what_was_exported(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    task = tiny(4)
    elsewhere = shutil.move(task, tmp_path / "elsewhere.jsonl")
    options = ("--limit", 3, "--data-root", task.parent, "--rate", 16_000, "--truth")
    assert run(monkeypatch, "data", "export", "--task", elsewhere, "--out", "an export", *options) == 0
    said = capfd.readouterr().out.splitlines()
    assert "an export/estimates/t0.wav" in said[-2]
    assert (tmp_path / "an export" / "truth" / "t2" / "target.wav").is_file()
    shutil.copytree("an export/mixtures", "an export/estimates")
    command = shlex.split(said[-1].removeprefix("next:"))
    assert command[:2] == ["tspbench", "score"]
    assert run(monkeypatch, *command[1:], "--metrics", "si_sdr") == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--task", "las-demo"), "lass-demo"),
        (("--limit", 0), "--limit must be at least 1"),
        (("--rate", 16), "--rate is in Hz"),
        (("--data-root", "/nowhere"), "does not exist"),
    ],
)
def test_wrong_requests_exit_with_2_and_write_nothing(
    tiny: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    changed: tuple[object, ...],
    message: str,
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "data", "export", "--task", tiny(2), "--out", out, *changed) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


def test_a_full_folder_is_refused(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    task = tiny(2)
    assert run(monkeypatch, "data", "export", "--task", task, "--out", task.parent) == 2
    assert "is not empty" in capfd.readouterr().err
    assert not (task.parent / "mixtures").exists()
