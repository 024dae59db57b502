"""Mistakes get one clear sentence, exit code 2, no traceback, and nothing is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench.cli import main

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``tspbench`` in a scratch folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tspbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return int(stop.value.code or 0), shown.out, shown.err

    return call


def refused(cli: Cli, arguments: tuple[str, ...], *words: str) -> None:
    code, _, error = cli(*arguments)
    assert code == 2, error
    for word in words:
        assert word in error
    assert "Traceback" not in error
    assert not Path("runs").exists()
    assert not Path("out").exists()


RUN = ("run", "--out", "out", "--task", "lass-demo", "--system")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*RUN, "mixtrue"), ["no system called 'mixtrue'", "mixture"]),
        (("run", "--out", "out", "--system", "mixture", "--task", "lass-dmo"), ["no task called", "lass-demo"]),
        ((*RUN, "mixture", "--metrics", "si_sdri"), ["no metric called 'si_sdri'", "si_sdr_i"]),
        ((*RUN, "mixture", "--metrics", "snr[x=1]"), ["takes no parameters"]),
        ((*RUN, "nmf", "--option", "rnak=3"), ["no option 'rnak'", "rank"]),
        ((*RUN, "nmf", "--option", "rank=many"), ["rank=many", "whole number"]),
        ((*RUN, "nmf", "--option", "rank"), ["key=value"]),
        ((*RUN, "nmf", "--option", "nfm.rank=3"), ["'nfm' is not run here", "nmf"]),
        ((*RUN, "mixture", "--limit", "0"), ["--limit must be at least 1"]),
        ((*RUN, "mixture", "--batch-size", "big"), ["--batch-size big"]),
        ((*RUN, "mixture", "--workers", "0"), ["--workers must be at least 1"]),
        ((*RUN, "recogniser"), ["recogniser", "is for tsasr", "lass"]),
        ((*RUN, "nowhere.py:Mine"), ["no file nowhere.py"]),
        (("run", "--out", "out", "--system", "mixture", "--task", "no/such.jsonl"), ["no/such.jsonl does not exist"]),
        (("rnu",), ["no command 'rnu'", "run"]),
        (("show", "metric", "sdri"), ["no metric called 'sdri'", "sdr_i"]),
        (("score", "--estimates", "nowhere", "--task", "lass-demo", "--out", "out"), ["no folder nowhere"]),
    ],
)
def test_names_and_options(cli: Cli, arguments: tuple[str, ...], words: list[str]) -> None:
    refused(cli, arguments, *words)


def test_a_class_that_is_not_there(cli: Cli) -> None:
    Path("mine.py").write_text("class Mine:\n    def extract(self, m, n, q):\n        return m\n")
    refused(cli, (*RUN, "mine.py:Mien"), "no class called 'Mien'", "Mine")


def test_a_file_that_does_not_import(cli: Cli) -> None:
    Path("mine.py").write_text("import nothing_of_the_kind\nclass Mine: pass\n")
    refused(cli, (*RUN, "mine.py:Mine"), "nothing_of_the_kind", "not installed")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.__setitem__(2, "{not json"), ["line 3", "not JSON"]),
        (lambda rows: rows.__setitem__(2, json.dumps({"trial_id": "x"})), ["line 3", "'x'", "sources", "required"]),
        (lambda rows: rows.append(rows[1]), ["'t0' was already on line 2"]),
        (lambda rows: rows.__setitem__(0, rows[1]), ["line 1", "header"]),
        (
            lambda rows: rows.__setitem__(1, rows[1].replace("0.wav", "../../secret.wav")),
            ["'t0'", "outside the data root"],
        ),
        (lambda rows: rows.__setitem__(1, rows[1].replace("0.wav", "gone.wav")), ["'t0'", "gone.wav does not exist"]),
        (lambda rows: rows.__setitem__(1, rows[1].replace("0.wav", "empty.wav")), ["'t0'", "empty.wav is empty"]),
        (lambda rows: rows.__setitem__(1, rows[1].replace("0.wav", "text.wav")), ["'t0'", "text.wav cannot be read"]),
    ],
)
def test_manifests(cli: Cli, tiny: Callable[..., Path], change: Callable[[list[str]], None], words: list[str]) -> None:
    path = tiny(3)
    (path.parent / "empty.wav").touch()
    (path.parent / "text.wav").write_text("this is no sound")
    rows = path.read_text().splitlines()
    change(rows)
    path.write_text("\n".join(rows) + "\n")
    refused(cli, ("run", "--out", "out", "--system", "mixture", "--task", str(path)), *words)


def test_a_folder_of_another_run(cli: Cli, tiny: Callable[..., Path]) -> None:
    task = str(tiny(3))
    assert cli("run", "--out", "mine", "--system", "mixture", "--task", task)[0] == 0
    before = {path: path.read_bytes() for path in Path("mine").iterdir() if path.suffix}
    code, _, error = cli("run", "--out", "mine", "--system", "clean", "--task", task)
    assert code == 2
    assert "another run" in error
    assert "system.name: mixture there, clean now" in error
    assert {path: path.read_bytes() for path in Path("mine").iterdir() if path.suffix} == before


def test_a_folder_of_other_things(cli: Cli, tiny: Callable[..., Path]) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    code, _, error = cli("run", "--out", "mine", "--system", "mixture", "--task", str(tiny(3)))
    assert code == 2
    assert "not empty" in error
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_estimates_that_match_no_trial(cli: Cli, tiny: Callable[..., Path]) -> None:
    Path("theirs").mkdir()
    Path("theirs/one.wav").touch()
    arguments = ("score", "--estimates", "theirs", "--task", str(tiny(3)), "--out", "out")
    refused(cli, arguments, "one.wav", "t0.wav")
