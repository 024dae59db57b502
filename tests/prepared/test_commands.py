"""The same as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tspbench.cli import group, main
from tspbench.errors import UsageError
from tspbench.store import read_record
from tspbench.task import load_task

Toy = Any


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments], catch_exceptions=False)


def test_prepare_then_run_then_status(toy: Toy, tmp_path: Path) -> None:
    prepared = typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs)
    assert prepared.exit_code == 0
    assert "tspbench run --system mixture --task toy:one" in prepared.output
    ran = typed("run", "--system", "mixture", "--task", "toy", "--task-option", "queries=both", "--out", tmp_path / "r")
    assert ran.exit_code == 0
    task = read_record(tmp_path / "r")["identity"]["task"]
    assert (task["name"], task["trials"], task["of"]) == ("toy:one[queries=both]", 4, 4)
    states = {row["task"]: row["state"] for row in json.loads(typed("data", "status", "--json").output)}
    assert (states["toy:one"], states["toy:two"]) == ("ready", "not prepared")
    assert "reversed.csv" in typed("data", "status", "toy").output


def test_a_part_is_said_to_be_a_part(toy: Toy, tmp_path: Path) -> None:
    (toy.sounds / "b.wav").unlink()
    typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs, "--available")
    ran = typed("run", "--system", "mixture", "--task", "toy", "--available", "--out", tmp_path / "r")
    assert "2 of 4 trials" in ran.output
    task = read_record(tmp_path / "r")["identity"]["task"]
    assert (task["trials"], task["of"]) == (2, 4)


def test_the_folder_of_a_run_can_be_named_after_any_cell(toy: Toy, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs)
    for task in ("toy", "toy[queries=both]"):
        assert typed("run", "--system", "mixture", "--task", task).exit_code == 0
    folders = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(folders) == 2
    assert not any(set(name) & set(":[]") for name in folders)


def test_the_pages_of_a_prepared_task(toy: Toy) -> None:
    assert "pairs as published" in typed("show", "task", "toy").output
    before = json.loads(typed("show", "task", "toy:one", "--json").output)
    assert "not prepared" in before["state"]
    typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs)
    after = json.loads(typed("show", "task", "toy:one[queries=both]", "--json").output)
    assert after["trials"] == 4
    assert after["queries"] == ["negative_text", "text"]
    rows = {row["name"]: row for row in json.loads(typed("list", "tasks", "--json").output)}
    assert rows["toy"]["protocols"] == ["one", "two"]
    page = typed("show", "task", "toy:one").output
    assert "name: pairs.csv" in page
    assert "{'" not in page


def test_status_shows_the_cell_as_it_was_prepared(toy: Toy) -> None:
    """The cell with every option at its default lacks a corpus here that was not asked for."""
    typed("data", "prepare", "toy[noise=yes]", "--audio", f"sounds={toy.sounds}", "--audio", f"noise={toy.noise}",
          "--list", toy.pairs)  # fmt: skip
    for asked in ("toy", "toy:one", "toy:one[noise=yes]"):
        rows = json.loads(typed("data", "status", asked, "--json").output)
        assert ("toy:one[noise=yes]", "ready", "4 of 4") in {(r["task"], r["state"], r["trials"]) for r in rows}


def test_whatever_keeps_trials_out_is_said(toy: Toy) -> None:
    (toy.sounds / "b.wav").write_bytes(b"RIFF this is no audio")
    typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs, "--available")
    assert "1 clip is unreadable: b.wav" in typed("data", "status", "toy").output
    with pytest.raises(UsageError, match=r"2 of 4 trials .* 1 clip is unreadable: b\.wav"):
        load_task("toy")


def test_export_names_the_available_part(toy: Toy, tmp_path: Path) -> None:
    (toy.sounds / "b.wav").unlink()
    typed("data", "prepare", "toy", "--audio", toy.sounds, "--list", toy.pairs, "--available")
    done = typed("data", "export", "--task", "toy", "--available", "--out", tmp_path / "e")
    assert done.exit_code == 0
    assert "--available" in done.output
    assert sorted(path.name for path in (tmp_path / "e" / "mixtures").iterdir()) == ["02.wav", "03.wav"]


def test_a_task_that_is_not_prepared_ends_with_two(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tspbench", "run", "--system", "mixture", "--task", "toy"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "data prepare toy:one" in capsys.readouterr().err
