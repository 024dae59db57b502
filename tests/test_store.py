"""The run folder: it only grows, survives a torn line, and belongs to one run and one process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tspbench import store
from tspbench.errors import OtherIdentity, UsageError
from tspbench.metrics import Score, Status
from tspbench.store import FINISHED, RunFolder, read_lines, read_record, set_aside, write_json

RECORD: dict[str, Any] = {
    "identity": {"system": {"name": "s", "digest": "a" * 64}, "protocol": {"seed": 0}},
    "metrics": [{"id": "snr", "version": 1}, {"id": "si_sdr", "version": 1}],
    "created": "first",
}


def trial_row(trial_id: str, status: str = "ok") -> dict[str, Any]:
    return {"trial_id": trial_id, "status": status, "input_digest": "in", "output": {"digest": "out"}, "text": None}


def scores(snr: float | None = 3.0, si_sdr: float = 2.0) -> dict[str, Score]:
    return {"snr": Score(snr) if snr is not None else Score.undefined("silent"), "si_sdr": Score(si_sdr)}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(tmp_path / "run", RECORD)
    made.begin()
    yield made
    made.close()


def reopened(folder: RunFolder, record: dict[str, Any] = RECORD) -> RunFolder:
    folder.close()
    return RunFolder(folder.path, record)


def changed(**identity: Any) -> dict[str, Any]:
    return {**RECORD, "identity": {**RECORD["identity"], **identity}}


def test_what_was_appended_is_known_again(folder: RunFolder) -> None:
    for trial_id in ("a", "b", "c"):
        folder.add_trial(trial_row(trial_id, "failed" if trial_id == "c" else "ok"))
    folder.add_scores("a", scores(), {})
    folder.add_scores("b", {"snr": Score(1.0)}, {})
    assert folder.complete(["a"])
    again = reopened(folder)
    assert again.states["a"] is FINISHED
    assert (again.states["b"].status, again.states["b"].scored) == ("ok", {"snr"})
    assert (again.states["b"].input_digest, again.states["b"].output_digest) == ("in", "out")
    assert again.states["c"].status == "failed"
    assert again.complete(["a"])
    assert not again.complete(["a", "b"])
    assert not again.complete(["never seen"])
    again.add_scores("b", {"si_sdr": Score(0.5)}, {})
    assert again.complete(["a", "b"])
    assert len(list(read_lines(again.path / "scores.jsonl"))) == 4
    again.close()


def test_a_score_line_holds_what_a_reader_needs(folder: RunFolder) -> None:
    folder.add_trial(trial_row("é"))
    given = {
        "snr": Score(3.0),
        "si_sdr": Score.undefined("silent estimate"),
        "wer": Score(0.5, counts={"errors": 1, "total": 2}),
    }
    folder.add_scores("é", given, {"snr": Score(1.5), "si_sdr": Score(None, Status.FAILED, "x")})
    ok, undefined, rate = read_lines(folder.path / "scores.jsonl")
    assert ok == {"trial_id": "é", "metric": "snr", "value": 3.0, "status": "ok", "reason": None, "baseline": 1.5}
    assert (undefined["value"], undefined["status"], undefined["reason"]) == (None, "undefined", "silent estimate")
    assert undefined["baseline"] is None
    assert rate["counts"] == {"errors": 1, "total": 2}
    assert "baseline" not in rate


@pytest.mark.parametrize("torn", [b'{"trial_id": "b", "sta', b'{"trial_id": "b"}', b"\x00\x00"])
def test_a_torn_last_line_is_cut_off_and_the_rest_kept(folder: RunFolder, torn: bytes) -> None:
    folder.add_trial(trial_row("a"))
    folder.close()
    path = folder.path / "trials.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert [row["trial_id"] for row in read_lines(path)] == ["a"]
    again = RunFolder(folder.path, RECORD)
    assert path.read_bytes() == whole
    assert list(again.states) == ["a"]
    again.add_trial(trial_row("b"))
    again.close()
    assert [row["trial_id"] for row in read_lines(path)] == ["a", "b"]


@pytest.mark.parametrize("whole", [0, 1, 3000])
@pytest.mark.parametrize("torn", [0, 1, 65_535, 65_536, 200_000])
def test_a_torn_line_may_be_of_any_length(folder: RunFolder, whole: int, torn: int) -> None:
    folder.close()
    lines = b"".join(json.dumps(trial_row(f"t{i}")).encode() + b"\n" for i in range(whole))
    (folder.path / "trials.jsonl").write_bytes(lines + b"x" * torn)
    again = RunFolder(folder.path, RECORD)
    again.close()
    assert len(again.states) == whole
    assert (folder.path / "trials.jsonl").read_bytes() == lines


def test_opening_a_folder_changes_nothing_that_is_whole(folder: RunFolder) -> None:
    folder.add_trial(trial_row("a"))
    folder.close()
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    RunFolder(folder.path, RECORD).close()
    assert {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()} == before


def test_another_identity_is_refused_and_every_difference_named(folder: RunFolder) -> None:
    folder.close()
    other = changed(system={"name": "s", "digest": "b" * 64}, protocol={"seed": 1, "device": "cpu"})
    with pytest.raises(OtherIdentity) as caught:
        RunFolder(folder.path, other)
    message = str(caught.value)
    assert "protocol.device: None there, cpu now" in message
    assert "protocol.seed: 0 there, 1 now" in message
    assert "system.digest: aaaaaaaaaaaa… there, bbbbbbbbbbbb… now" in message
    assert "system.name" not in message
    assert "--fresh" in message


def test_another_version_of_a_metric_is_refused(folder: RunFolder) -> None:
    folder.close()
    newer = {**RECORD, "metrics": [{"id": "snr", "version": 2}]}
    with pytest.raises(OtherIdentity, match=r"metric snr\.version: 1 there, 2 now"):
        RunFolder(folder.path, newer)


def test_metrics_may_be_added_and_history_stays(folder: RunFolder) -> None:
    folder.add_trial(trial_row("a"))
    folder.add_scores("a", scores(), {})
    more = {**RECORD, "metrics": [{"id": "sdr", "version": 1}], "created": "later"}
    again = reopened(folder, more)
    assert [metric["id"] for metric in again.record["metrics"]] == ["snr", "si_sdr", "sdr"]
    assert again.record["created"] == "first"
    assert not again.complete(["a"])
    again.close()


def test_a_second_process_is_refused(folder: RunFolder) -> None:
    code = f"""
from pathlib import Path
from tspbench.store import RunFolder
try:
    RunFolder(Path({str(folder.path)!r}), {RECORD!r})
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"UsageError Another tspbench process is writing {folder.path}. Wait for it")


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"is not empty and holds no run. Choose another --out"):
        RunFolder(tmp_path, RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="is a file, not a folder"):
        RunFolder(tmp_path / "out", RECORD)


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    RunFolder(tmp_path, RECORD).close()
    assert read_record(tmp_path)["schema"] == store.SCHEMA


def test_a_run_that_ended_right_after_it_opened_its_folder_can_go_on(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", RECORD).close()
    RunFolder(tmp_path / "run", RECORD).close()


def test_sealing_keeps_what_was_kept_and_drops_an_empty_folder(folder: RunFolder) -> None:
    folder.kept("a").write_bytes(b"wav")
    folder.seal("partial", counts={"ok": 1})
    assert not folder.sealed
    assert folder.kept("a").exists()
    folder.kept("a").unlink()
    folder.seal("sealed")
    assert folder.sealed
    assert not (folder.path / "audio").exists()
    record = read_record(folder.path)
    assert (record["status"], record["counts"], record["created"]) == ("sealed", {"ok": 1}, "first")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_is_never_written(folder: RunFolder, bad: float) -> None:
    folder.add_trial(trial_row("a"))
    before = (folder.path / "scores.jsonl").read_bytes(), (folder.path / "run.json").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.add_scores("a", {"snr": Score(1.0), "si_sdr": Score(bad)}, {})
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.write_record(wall_time_s=bad)
    assert before == ((folder.path / "scores.jsonl").read_bytes(), (folder.path / "run.json").read_bytes())


def test_a_json_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "run.json", {"a": 1})

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "run.json", {"a": 2})
    assert json.loads((tmp_path / "run.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no run (no run.json)."),
        ("{", "run.json is damaged: "),
        ("[]", "run.json is damaged: "),
        ("{}", "run.json is damaged: 'schema'."),
        ('{"schema": 99}', "was written with schema 99; this tspbench reads schema 1."),
    ],
)
def test_a_record_that_cannot_be_read_says_why(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        read_record(tmp_path)
    assert said in str(caught.value)


def test_lines_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "no.jsonl")) == []


def test_setting_aside_moves_and_deletes_nothing(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "run") is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("1")
    aside = set_aside(tmp_path / "run")
    assert aside is not None
    assert aside.name.startswith("run.replaced-")
    assert (aside / "run.json").read_text() == "1"
    assert not (tmp_path / "run").exists()
