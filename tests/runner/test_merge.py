"""Parts of a run, put together: the lines, scores and summary of the whole run, or a reason why not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import tspbench
from tspbench.errors import CannotMeasure, TspbenchError, UsageError
from tspbench.runner.merge import merge
from tspbench.runner.request import Request
from tspbench.runner.run import run_systems
from tspbench.sealed import read
from tspbench.store import read_lines

HERE = Path(__file__).parent / "systems_under_test.py"
SCHEMA = json.loads((Path(tspbench.__file__).parent / "run_folder-1.schema.json").read_text())
TRIALS, PARTS = 26, 3


@pytest.fixture
def run(tiny: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Run a system, whole or a shard of it, and return the run folder."""
    task = str(tiny(TRIALS))

    def run(out: str, system: str = "Slow", **settings: Any) -> Path:
        request = Request(task=task, out=tmp_path / out, workers=2, **settings)
        return run_systems([f"{HERE}:{system}"], request)[0].path

    return run


@pytest.fixture
def parts(run: Callable[..., Path]) -> list[Path]:
    return [run(f"part-{i}", shard=f"{i}/{PARTS}", batch_size=4) for i in range(1, PARTS + 1)]


def lines(folder: Path, name: str) -> list[str]:
    """The lines of a file in any order, without what the clock says, and where in memory a process died."""
    rows = [{**row, "time": None} for row in read_lines(folder / name)]
    errors = [{**(row.get("error") or {}), "trace": None} for row in rows]
    return sorted(json.dumps({**row, "error": error}, sort_keys=True) for row, error in zip(rows, errors, strict=True))


@pytest.mark.parametrize(("system", "batch_size"), [("Slow", 1), ("Slow", 4), ("Villain", 4)])
def test_the_whole_run_s_lines_and_summary(
    system: str, batch_size: int, run: Callable[..., Path], tmp_path: Path
) -> None:
    """``Slow`` draws random numbers, seeded by batch; ``Villain`` fails on some trials, and dies over others."""
    settings: dict[str, Any] = {"system": system, "batch_size": batch_size, "time_limit_s": 1.0}
    whole = run("whole", **settings)
    parts = [run(f"part-{i}", shard=f"{i}/{PARTS}", **settings) for i in range(1, PARTS + 1)]
    merged = merge([parts[2], parts[0], parts[1]], tmp_path / "merged")
    for name in ("trials.jsonl", "scores.jsonl"):
        assert lines(merged.path, name) == lines(whole, name)
    assert merged.summary == tspbench.load_run(whole).summary
    assert merged.record["identity"] == tspbench.load_run(whole).record["identity"]
    assert merged.status == "sealed"
    jsonschema.validate(merged.record, {**SCHEMA, "$ref": "#/$defs/run"})
    assert read(merged.path).values == read(whole).values


def test_what_is_told_of_the_parts(parts: list[Path], tmp_path: Path) -> None:
    records = [tspbench.load_run(part).record for part in parts]
    record = merge(parts, tmp_path / "merged").record
    assert [part["number"] for part in record["parts"]] == [1, 2, 3]
    assert record["wall_time_s"] == pytest.approx(sum(each["wall_time_s"] for each in records))
    assert record["created"] == min(each["created"] for each in records)
    assert "shard" not in record["identity"]["task"]
    assert not list(tmp_path.glob(".*merging*"))


def test_the_same_command_leaves_a_merged_run_alone(
    parts: list[Path], run: Callable[..., Path], tmp_path: Path
) -> None:
    merged = merge(parts, tmp_path / "merged").path
    before = (merged / "trials.jsonl").read_bytes(), (merged / "run.json").read_bytes()
    assert run("merged", batch_size=4) == merged
    assert ((merged / "trials.jsonl").read_bytes(), (merged / "run.json").read_bytes()) == before


def test_a_part_says_so_and_is_taken_for_no_whole(parts: list[Path]) -> None:
    found = tspbench.load_run(parts[0])
    assert (found.status, found.summary["trials"]["expected"]) == ("sealed", found.summary["trials"]["attempted"])
    assert found.record["identity"]["task"]["shard"] == {"number": 1, "of": 3, "trials": len(found.trials)}
    jsonschema.validate(found.record, {**SCHEMA, "$ref": "#/$defs/run"})
    with pytest.raises(CannotMeasure, match=r"part 1 of 3 of a run.*tspbench merge"):
        read(parts[0])


def test_another_part_does_not_go_on_with_one(parts: list[Path], run: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"task\.shard\.number: 1 there, 2 now"):
        run("part-1", shard="2/3", batch_size=4)
    with pytest.raises(UsageError, match=r"task\.shard: \{.* there, None now"):
        run("part-1", batch_size=4)


@pytest.mark.parametrize(("policy", "kept"), [("all", TRIALS), ("worst", 10), ("none", 0)])
def test_kept_estimates(policy: str, kept: int, run: Callable[..., Path], tmp_path: Path) -> None:
    parts = [run(f"part-{i}", shard=f"{i}/2", save_audio=policy) for i in (1, 2)]
    whole = run("whole", save_audio=policy)
    merged = merge(parts, tmp_path / "merged").path
    names = sorted(path.name for path in (merged / "audio").glob("*"))
    assert len(names) == kept
    assert names == sorted(path.name for path in (whole / "audio").glob("*"))
    assert all((part / "audio").exists() == bool(kept) for part in parts), "the parts stay as they are"


def spoil(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_refused(parts: list[Path], run: Callable[..., Path], tmp_path: Path) -> None:
    one, two, three = parts
    other = run("other", shard="2/3", batch_size=4, seed=1)
    fourth = run("fourth", shard="2/4", batch_size=4)
    whole = run("whole", batch_size=4)
    for folders, message in (
        ([one], r"Of 3 parts 2 are missing: 2, 3\."),
        ([one, three], r"Of 3 parts 1 is missing: 2\."),
        ([one, two, two, three], r"part-2 and .*part-2 are both part 2 of 3"),
        ([one, other, three], r"not parts of one run\. What differs: protocol\.seed: 0 there, 1 now"),
        ([one, fourth, three], r"not parts of one run\. What differs: task\.parts: 3 there, 4 now"),
        ([one, two, whole], r"whole is a whole run, not a part of one"),
        ([one, two, tmp_path / "tiny"], r"tiny holds no run"),
        ([one, two, tmp_path / "nowhere"], r"nowhere holds no run"),
        ([], "No part is named"),
    ):
        refused(folders, tmp_path / "merged", message)
    refused(parts, whole, "holds a run already")
    refused(parts, tmp_path / "tiny", "is not empty and holds no run")


def refused(folders: list[Path], out: Path, message: str) -> None:
    before = sorted(out.parent.iterdir())
    with pytest.raises(UsageError, match=message):
        merge(folders, out)
    assert sorted(out.parent.iterdir()) == before, "something was written"


def test_a_part_that_is_not_finished(parts: list[Path], tmp_path: Path) -> None:
    spoil(parts[1], status="partial")
    refused(parts, tmp_path / "merged", r"part-2, part 2 of 3, is not finished \(status partial\)")


@pytest.mark.parametrize("name", ["trials.jsonl", "scores.jsonl"])
def test_damaged_and_missing_lines(name: str, parts: list[Path], tmp_path: Path) -> None:
    path = parts[1] / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"{", b"[", 1))
    refused(parts, tmp_path / "merged", rf"part-2/{name}, line 1 is damaged")
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[1:]))
    refused(parts, tmp_path / "merged", "it holds|lack scores")


def test_a_trial_in_two_parts(parts: list[Path], tmp_path: Path) -> None:
    first = (parts[0] / "trials.jsonl").read_bytes().splitlines(keepends=True)[0]
    rest = (parts[1] / "trials.jsonl").read_bytes().splitlines(keepends=True)[1:]
    (parts[1] / "trials.jsonl").write_bytes(first + b"".join(rest))
    refused(parts, tmp_path / "merged", "part-2 and .*part-1 both hold the trial")


def test_an_interruption_leaves_nothing(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tspbench.runner.merge.summarise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        merge(parts, tmp_path / "merged")
    assert not list(tmp_path.glob("*merg*")) + list(tmp_path.glob(".*merg*"))


def test_a_part_that_was_killed_and_gone_on_with(
    run: Callable[..., Path], tmp_path: Path, tiny: Callable[..., Path]
) -> None:
    whole, second = run("whole"), run("part-2", shard="2/2")
    arguments = ["run", "--system", f"{HERE}:Slow", "--task", str(tmp_path / "tiny" / "manifest.jsonl"),
                 "--shard", "1/2", "--out", str(tmp_path / "part-1"), "--option", "seconds=0.1"]  # fmt: skip
    child = subprocess.Popen([sys.executable, "-m", "tspbench", *arguments], stdout=subprocess.DEVNULL)
    while not any(read_lines(tmp_path / "part-1" / "scores.jsonl")):
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with pytest.raises(UsageError, match="is not finished"):
        merge([tmp_path / "part-1", second], tmp_path / "merged")
    subprocess.run([sys.executable, "-m", "tspbench", *arguments], check=True, stdout=subprocess.DEVNULL)
    with pytest.raises(UsageError, match=r"system\.options\.seconds"):
        merge([tmp_path / "part-1", second], tmp_path / "merged")
    again = run_systems([f"{HERE}:Slow"], replace_shard(tmp_path, "2/2"), ["seconds=0.1"])[0].path
    merged = merge([tmp_path / "part-1", again], tmp_path / "merged")
    assert lines(merged.path, "scores.jsonl") == lines(whole, "scores.jsonl")


def replace_shard(folder: Path, shard: str) -> Request:
    request = Request(task=str(folder / "tiny" / "manifest.jsonl"), workers=2)
    return replace(request, shard=shard, out=folder / "again")


def test_from_python_and_from_the_command_line(parts: list[Path], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from tspbench.cli import group

    assert len(tspbench.merge([str(part) for part in parts], tmp_path / "merged").trials) == TRIALS
    done = CliRunner().invoke(group, ["merge", *map(str, parts), "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
    assert f"{TRIALS}/{TRIALS}" in done.output
    with pytest.raises(TspbenchError):
        CliRunner().invoke(group, ["merge", str(parts[0]), "--out", str(tmp_path / "no")], catch_exceptions=False,
                           standalone_mode=False)  # fmt: skip
