"""Parts of a run, put together: the lines, scores and summary of the whole run, or a reason why not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
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
from thread_crew import ThreadCluster

import tspbench
from tspbench.baselines import UPPER, Baselines
from tspbench.errors import CannotMeasure, UsageError
from tspbench.runner import run as running
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
    assert tspbench.load_run(merged).record["save_audio"] == policy
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
        ([one], r"Parts 2 and 3 of 3 are missing\."),
        ([one, three], r"Part 2 of 3 is missing\."),
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
    again = re.escape(f"tspbench run … --shard 2/3 --out {parts[1]}")
    refused(parts, tmp_path / "merged", rf"part-2, part 2 of 3, is not finished \(status partial\).*{again}")


def without_the_first(lines: list[bytes]) -> list[bytes]:
    return lines[1:]


def torn(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:-5]]


def the_first_twice(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines]


def one_for_another(lines: list[bytes]) -> list[bytes]:
    return [lines[1], *lines[1:]]


def no_json(lines: list[bytes]) -> list[bytes]:
    return [b"[" + lines[0][1:], *lines[1:]]


def no_row(lines: list[bytes]) -> list[bytes]:
    return [b"[1]\n", *lines[1:]]


def an_empty_row(lines: list[bytes]) -> list[bytes]:
    return [b"{}\n", *lines[1:]]


def of_another_trial(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"trial_id":"', b'"trial_id":"x'), *lines[1:]]


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("trials", without_the_first, r"part-2, part 2 of 3, is not finished \(9 of its 10 trials are there\)"),
        ("trials", torn, r"part-2, part 2 of 3, is not finished \(9 of its 10 trials are there\)"),
        ("trials", the_first_twice, r"part-2/trials\.jsonl is damaged: the trial 't\d+' stands in it twice"),
        ("trials", no_json, r"part-2/trials\.jsonl, line 1 is damaged"),
        ("trials", no_row, r"part-2/trials\.jsonl is damaged"),
        ("trials", an_empty_row, r"part-2/trials\.jsonl is damaged \(KeyError: 'trial_id'\)"),
        ("scores", without_the_first, r"is not finished \(9 of its 10 trials have all their scores\)"),
        ("scores", torn, r"is not finished \(9 of its 10 trials have all their scores\)"),
        ("scores", the_first_twice, r"part-2/scores\.jsonl is damaged: si_sdr of the trial 't\d+' stands in it twice"),
        ("scores", one_for_another, r"part-2/scores\.jsonl is damaged: \w+ of the trial 't\d+' stands in it twice"),
        ("scores", no_json, r"part-2/scores\.jsonl, line 1 is damaged"),
        ("scores", no_row, r"part-2/scores\.jsonl is damaged"),
        ("scores", of_another_trial, r"part-2/scores\.jsonl is damaged \(KeyError: 'xt\d+'\)"),
    ],
)
def test_damaged_and_missing_lines(
    name: str, edit: Callable[[list[bytes]], list[bytes]], message: str, parts: list[Path], tmp_path: Path
) -> None:
    path = parts[1] / f"{name}.jsonl"
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    refused(parts, tmp_path / "merged", message)


def test_damaged_records(parts: list[Path], tmp_path: Path) -> None:
    path = parts[1] / "run.json"
    record = json.loads(path.read_text())
    for name in ("identity", "metrics", "wall_time_s", "code"):
        path.write_text(json.dumps({key: value for key, value in record.items() if key != name}))
        refused(parts, tmp_path / "merged", rf"part-2/run\.json is damaged \(KeyError: '{name}'\)")
    path.write_text("{")
    refused(parts, tmp_path / "merged", r"part-2/run\.json is damaged")


def test_parts_that_are_not_all_of_the_list(parts: list[Path], tmp_path: Path) -> None:
    for part in parts:
        identity = tspbench.load_run(part).record["identity"]
        spoil(part, identity={**identity, "task": {**identity["task"], "trials": TRIALS + 1}})
    refused(parts, tmp_path / "merged", f"hold {TRIALS} trials together, the run has {TRIALS + 1}")


def test_a_row_that_no_run_writes(parts: list[Path], tmp_path: Path) -> None:
    path = parts[1] / "trials.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"conditions"', b'"conditiones"', 1))
    refused(parts, tmp_path / "merged", r"One of the parts is damaged \(KeyError: 'conditions'\)")


def test_parts_that_were_scored_by_other_metrics(run: Callable[..., Path], tmp_path: Path) -> None:
    one, two = run("part-1", shard="1/2", metrics=("si_sdr",)), run("part-2", shard="2/2", metrics=("si_sdr", "snr"))
    refused([one, two], tmp_path / "merged", r"have not the same metrics: snr stands in one of them only.*--metrics")
    run("part-1", shard="1/2", metrics=("si_sdr", "snr"))
    assert {metric["id"] for metric in merge([one, two], tmp_path / "merged").record["metrics"]} == {"si_sdr", "snr"}


def test_a_part_without_any_answer_is_finished_all_the_same(run: Callable[..., Path], tmp_path: Path) -> None:
    """What fails on every trial of a part has done them; what was broken off before has not."""
    settings = {"system": "Villain", "time_limit_s": 1.0}
    parts = [run(f"part-{i}", shard=f"{i}/{TRIALS}", **settings) for i in range(1, TRIALS + 1)]
    statuses = [tspbench.load_run(part).status for part in parts]
    assert set(statuses) == {"sealed", "failed"}
    merged = merge(parts, tmp_path / "merged")
    assert merged.status == "sealed"
    assert merged.record["counts"]["failed"] + merged.record["counts"]["timed_out"] == statuses.count("failed")
    (parts[statuses.index("failed")] / "scores.jsonl").write_bytes(b"")
    refused(parts, tmp_path / "again", r"is not finished \(0 of its 1 trials have all their scores\)")


def test_a_trial_in_two_parts(parts: list[Path], tmp_path: Path) -> None:
    first = (parts[0] / "trials.jsonl").read_bytes().splitlines(keepends=True)[0]
    rest = (parts[1] / "trials.jsonl").read_bytes().splitlines(keepends=True)[1:]
    (parts[1] / "trials.jsonl").write_bytes(first + b"".join(rest))
    refused(parts, tmp_path / "merged", "part-1 and .*part-2 both hold the trial")


def test_an_interruption_leaves_nothing(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tspbench.runner.merge.summarise", interrupted)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        merge(parts, tmp_path / "new" / "merged")
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk_leaves_nothing(parts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tspbench.runner.merge.write_json", full)
    refused(parts, tmp_path / "merged", r"merged cannot be written \(No space left on device\)")


@pytest.mark.parametrize(
    ("system", "options", "remembered"),
    [("clean", {}, True), ("cascade", {"extractor": "clean", "recogniser": "recogniser"}, False)],
)
def test_bounds_are_remembered_as_by_a_run_in_one_go(
    system: str, options: dict[str, str], remembered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the parts were run elsewhere. A system that is told the truth by its options is no bound of others."""
    settings: dict[str, Any] = {"task": "tsasr-demo", "limit": 2, "workers": 1, "metrics": ("wer",)}

    def upper(cache: str) -> list[str]:
        monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path / cache))
        with contextlib.closing(Baselines()) as baselines:
            return [label for label in baselines.rows() if label.startswith(UPPER)]

    assert not upper("one go")
    tspbench.run(system, options=options, out=tmp_path / "whole", **settings)
    in_one_go = upper("one go")
    assert bool(in_one_go) == remembered
    parts = [
        tspbench.run(system, options=options, out=tmp_path / f"{i}", shard=f"{i}/2", **settings)[0].path for i in (1, 2)
    ]
    assert not upper("here")
    merge(parts, tmp_path / "merged")
    assert upper("here") == in_one_go


def test_parts_on_a_cluster(
    run: Callable[..., Path], tmp_path: Path, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, here = run("whole", batch_size=2), run("part-1", batch_size=2, shard="1/2")
    monkeypatch.setattr(running, "_cluster", lambda stack, request: ThreadCluster(2))
    there = run("part-2", batch_size=2, shard="2/2", executor="ray")
    merged = merge([here, there], tmp_path / "merged")
    assert lines(merged.path, "scores.jsonl") == lines(whole, "scores.jsonl")
    assert [each["name"] for each in merged.record["executors"]] == ["local", "threads"]


def test_what_systems_print_is_kept(parts: list[Path], tmp_path: Path) -> None:
    for number, part in enumerate(parts, start=1):
        (part / "system.log").write_text(f"{number}\n")
    assert (merge(parts, tmp_path / "merged").path / "system.log").read_text() == "1\n2\n3\n"


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
