"""Faults that runs once had: each test names what must not come back."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tspbench.errors import MissingWeights, OtherIdentity, UsageError
from tspbench.runner.inference import SystemService
from tspbench.runner.orders import Progress
from tspbench.runner.request import Request
from tspbench.runner.run import Observer, Outcome, run_systems, score_estimates
from tspbench.store import RunFolder, read_lines, read_record
from tspbench.system import find_system

HERE = Path(__file__).parent / "regression_systems.py"
USUAL = Path(__file__).parent / "systems_under_test.py"
BATCH = ("t2", "t3")


def run(system: str, task: Path, out: Path, options: tuple[str, ...] = (), **settings: Any) -> Outcome:
    observer = settings.pop("observer", None)
    return run_systems([system], Request(task=str(task), out=out, workers=2, **settings), options, observer)[0]


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(read_lines(folder / f"{name}.jsonl"))


def score_lines(folder: Path) -> list[str]:
    return sorted((folder / "scores.jsonl").read_text().splitlines())


def drop(folder: Path, name: str, trial_ids: Iterable[str], metrics: Iterable[str] = ()) -> None:
    """Take lines out of a run folder, as if it had been broken off before they were written."""
    path = folder / f"{name}.jsonl"
    gone, only = set(trial_ids), set(metrics)
    kept = [row for row in read_lines(path) if row["trial_id"] not in gone or (only and row["metric"] not in only)]
    assert len(kept) < len(list(read_lines(path)))
    path.write_text("".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in kept))


def edit_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads((folder / "run.json").read_text())
    change(record)
    (folder / "run.json").write_text(json.dumps(record))


# -- resuming ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unanswered", "save_audio", "mate"),
    [("t2", "all", "unscored"), ("t3", "all", "unscored"), ("t2", "none", "unscored"), ("t3", "none", "scored")],
)
def test_half_a_batch_is_taken_up_as_the_whole_run_did_it(
    unanswered: str, save_audio: str, mate: str, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, whole, broken = tiny(4), tmp_path / "whole", tmp_path / "broken"
    settings = {"batch_size": 2, "save_audio": save_audio}
    run(f"{USUAL}:Slow", task, whole, ("seconds=0",), **settings)
    shutil.copytree(whole, broken)
    drop(broken, "trials", [unanswered])
    drop(broken, "scores", BATCH if mate == "unscored" else [unanswered])
    resumed = run(f"{USUAL}:Slow", task, broken, ("seconds=0",), **settings)
    assert resumed.status == "sealed"
    assert score_lines(broken) == score_lines(whole)
    assert sorted(row["trial_id"] for row in rows(broken, "trials")) == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize("save_audio", ["all", "none"])
def test_audio_that_changed_since_the_run_began_is_not_scored(
    save_audio: str, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, out = tiny(4), tmp_path / "out"
    run("mixture", task, out, save_audio=save_audio)
    drop(out, "scores", ["t3"])
    before = score_lines(out)
    samples, rate = soundfile.read(task.parent / "3.wav", dtype="float32")
    soundfile.write(task.parent / "3.wav", samples[::-1], rate, subtype="FLOAT")
    outcome = run("mixture", task, out, save_audio=save_audio)
    assert outcome.status == "partial"
    assert "'t3'" in outcome.message
    assert "changed" in outcome.message
    assert score_lines(out) == before


@pytest.mark.parametrize("field", ["packages", "parameters"])
def test_a_metric_that_is_computed_otherwise_now_is_another_measurement(
    field: str, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, out = tiny(2), tmp_path / "out"
    run("mixture", task, out, metrics=("snr", "si_sdr"))
    edit_record(out, lambda record: record["metrics"][1][field].update(other="0.1"))
    assert read_record(out)["metrics"][1]["id"] == "si_sdr"
    with pytest.raises(OtherIdentity, match=rf"si_sdr\b.*{field}"):
        run("mixture", task, out, metrics=("snr", "si_sdr"))
    drop(out, "scores", ["t1"], ["snr"])
    with pytest.raises(OtherIdentity, match=r"si_sdr\b"):
        run("mixture", task, out, metrics=("snr", "si_sdr"))


def test_a_complete_run_that_was_not_sealed_ends_as_it_would_have(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(4), tmp_path / "out"
    before = run("mixture", task, out)
    assert before.summary["metrics"]["si_sdr"]["bounds"]["rows"]
    edit_record(out, lambda record: record.update(status="started"))
    (out / "summary.json").unlink()
    (out / "spool").mkdir()
    (out / "spool" / "t1.f32").write_bytes(b"\0" * 8)
    after = run("mixture", task, out)
    assert after.status == read_record(out)["status"] == "sealed"
    assert after.summary == before.summary
    assert json.loads((out / "summary.json").read_text()) == before.summary
    assert not (out / "spool").exists()


def test_a_run_is_not_sealed_while_a_metric_that_was_added_is_incomplete(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    task, out = tiny(4), tmp_path / "out"
    run("mixture", task, out, metrics=("snr", "si_sdr"))
    edit_record(out, lambda record: record.update(status="partial"))
    drop(out, "scores", ["t2", "t3"], ["si_sdr"])
    smaller = run("mixture", task, out, metrics=("snr",))
    told = [smaller.status, read_record(out)["status"]]
    complete = {(row["trial_id"], row["metric"]) for row in rows(out, "scores")} >= {
        (trial_id, metric) for trial_id in ("t0", "t1", "t2", "t3") for metric in ("snr", "si_sdr")
    }
    assert complete or "sealed" not in told
    larger = run("mixture", task, out, metrics=("snr", "si_sdr"))
    assert larger.status == read_record(out)["status"] == "sealed"
    assert {name: column["attempted"] for name, column in larger.summary["metrics"].items()} == {"snr": 4, "si_sdr": 4}
    assert len(rows(out, "scores")) == 8


# -- what a score depends on ---------------------------------------------------------------------


def with_trials(task: Path, name: str, changes: dict[str, dict[str, Any]], rate: int = 8000) -> Path:
    """A manifest whose trials are the first of ``task`` with one thing changed, by the new trial's id."""
    header, trial = (json.loads(line) for line in task.read_text().splitlines()[:2])
    header["sample_rate"] = rate
    lines = [header, *(trial | {"trial_id": trial_id} | change for trial_id, change in changes.items())]
    path = task.parent / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def digests(task: Path, out: Path) -> dict[str, str]:
    outcome = run("mixture", task, out, metrics=("snr",))
    return {row["trial_id"]: row["input_digest"] for row in rows(outcome.path, "trials")}


def test_the_input_digest_names_all_that_a_baseline_depends_on(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4, kind="tsasr")
    trial = json.loads(task.read_text().splitlines()[1])
    sources = [trial["sources"][0], trial["sources"][1] | {"transcript": "still other words"}]
    changes: dict[str, dict[str, Any]] = {
        "base": {},
        "same": {"conditions": {"parity": "none"}, "clusters": {"clip": "z"}},
        "transcript": {"transcript": "wholly different words"},
        "unwritten": {"transcript": None},
        "interferer": {"sources": sources},
        "enrolment": {"query": {"text": "0", "enrolment": [{"path": "4.wav"}]}},
        "stretch": {"query": {"text": "0", "enrolment": [{"path": "2.wav", "start_s": 0.05}]}},
    }
    found = digests(with_trials(task, "changed", changes), tmp_path / "changed")
    for path in task.parent.glob("*.wav"):  # the same samples, said to be at another rate
        samples, _ = soundfile.read(path, dtype="float32")
        soundfile.write(path, samples, 16000, subtype="FLOAT")
    found |= digests(with_trials(task, "rate", {"rate": {}}, rate=16000), tmp_path / "rate")
    assert found.pop("same") == found["base"]
    assert len(found) == 7
    assert len(set(found.values())) == 7


def test_two_checkpoints_of_one_name_both_matter(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out, root = tiny(1), tmp_path / "out", tmp_path / "weights"
    for folder in ("encoder", "decoder"):
        (root / folder).mkdir(parents=True)
        (root / folder / "net.pt").write_text(folder)
    run(f"{HERE}:TwoWeights", task, out, (f"root={root}",))
    for folder in ("encoder", "decoder"):
        (root / folder / "net.pt").write_text("trained further")
        with pytest.raises(OtherIdentity, match=r"system\.weights"):
            run(f"{HERE}:TwoWeights", task, out, (f"root={root}",))
        (root / folder / "net.pt").write_text(folder)
    assert run(f"{HERE}:TwoWeights", task, out, (f"root={root}",)).already_done


def test_a_bound_with_options_does_not_pass_for_the_bound(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    usual = run("oracle-irm", task, tmp_path / "usual").summary["metrics"]["si_sdr"]["mean"]
    other = run("oracle-irm", task, tmp_path / "other", ("exponent=4",)).summary["metrics"]["si_sdr"]["mean"]
    assert abs(usual - other) > 1e-3
    bounds = run("mixture", task, tmp_path / "out").summary["metrics"]["si_sdr"]["bounds"]
    known = [mean for label, mean in bounds["rows"].items() if "oracle-irm" in label]
    assert any(mean == pytest.approx(usual, rel=1e-12) for mean in known)
    assert bounds["position"]["upper"].startswith("oracle-irm")


# -- workers and what they send ------------------------------------------------------------------


class Sluggish(Observer):
    """Keeps the parent from looking, long enough for an idle worker to die."""

    def checking(self, done: int, total: int) -> None:
        time.sleep(0.5 if done == 1 else 0)

    def running(self, label: str, progress: Progress) -> None:
        time.sleep(0.12)


@pytest.mark.parametrize(("after", "seconds"), [("extract", 0.05), ("load", 0.05), ("describe", 0.3)])
def test_a_worker_that_dies_while_idle_costs_trials_at_most(
    after: str, seconds: float, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    options = (f"after={after}", f"seconds={seconds}")
    outcome = run(f"{HERE}:DiesIdle", tiny(2), tmp_path / "out", options, metrics=("snr",), observer=Sluggish())
    assert outcome.status == read_record(outcome.path)["status"]
    given_up = outcome.status != "sealed" and "exited with code 5" in outcome.message
    assert given_up or len(rows(outcome.path, "trials")) == len(rows(outcome.path, "scores")) == 2
    errors = [row["error"] for row in rows(outcome.path, "trials") if row["error"]]
    assert {error["message"] for error in errors} <= {"the worker process exited with code 5"}


def test_errors_that_cannot_be_sent_are_recorded(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run(f"{HERE}:Exotic", tiny(4), tmp_path / "out", metrics=("snr",))
    assert outcome.status == "sealed"
    errors = {row["trial_id"]: row["error"] for row in rows(outcome.path, "trials")}
    found = {name: (error["type"], error["message"]) for name, error in errors.items() if error}
    assert found == {
        "t0": ("OwnError", "broken at home"),
        "t1": ("ValueError", "held by a lock"),
        "t2": ("UsageError", "held by a lock"),
    }


def test_words_of_a_type_of_their_own_are_words(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run(f"{HERE}:Tokens", tiny(2, kind="tsasr"), tmp_path / "out", metrics=("wer",))
    assert outcome.status == "sealed"
    assert {row["text"] for row in rows(outcome.path, "trials")} == {"some words"}
    assert outcome.summary["metrics"]["wer"]["mean"] == 0.0


@pytest.mark.timeout(60)  # far below the time limit of its two tries
def test_a_death_is_seen_although_the_line_is_held_open(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run(f"{HERE}:LeavesAChild", tiny(3), tmp_path / "out", metrics=("snr",), time_limit_s=600.0)
    assert outcome.status == "sealed"
    errors = {row["trial_id"]: row["error"] for row in rows(outcome.path, "trials")}
    assert {name for name, error in errors.items() if error} == {"t1"}
    assert (errors["t1"]["type"], errors["t1"]["message"]) == (
        "worker_died",
        "the worker process exited with code 7",
    )


def test_a_script_without_a_main_guard_ends_and_says_so(tiny: Callable[..., Path], tmp_path: Path) -> None:
    script, marker, out = tmp_path / "script.py", tmp_path / "marker", tmp_path / "out"
    script.write_text(
        f"open({str(marker)!r}, 'a').write('.')\n"
        "import tspbench\n"
        "class Mine:\n"
        "    def extract(self, mixtures, lengths, queries):\n"
        "        return mixtures\n"
        f"tspbench.run(Mine, {str(tiny(2))!r}, out={str(out)!r})\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert 'if __name__ == "__main__"' in done.stderr
    assert marker.read_text() == ".."  # the script itself and one worker
    assert not out.exists()


# -- what is refused -----------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_fresh_does_not_move_what_is_no_run(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(2), tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("years of work")
    before = names(tmp_path)
    with pytest.raises(UsageError, match="holds no run"):
        run("mixture", task, out, fresh=True)
    assert names(tmp_path) == before


def test_fresh_does_not_move_what_is_being_written(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(2), tmp_path / "out"
    run("mixture", task, out)
    writer = RunFolder(out, read_record(out))
    before = names(tmp_path)
    try:
        with pytest.raises(UsageError, match="nother tspbench process"):
            run("mixture", task, out, fresh=True)
        assert names(tmp_path) == before
    finally:
        writer.close()
    assert run("mixture", task, out, fresh=True).status == "sealed"


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", "..", ""])
def test_estimates_cannot_be_named_out_of_their_folder(name: str, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, estimates, out = tiny(2), tmp_path / "estimates", tmp_path / "out"
    estimates.mkdir()
    soundfile.write(estimates / "t0.wav", np.zeros(1600, np.float32), 8000)
    with pytest.raises(UsageError, match="name"):
        score_estimates(estimates, Request(task=str(task), out=out), name)
    assert not out.exists()


def test_weights_that_are_missed_while_loading_leave_nothing_behind(tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"put net\.pt beside the system") as caught:
        run(f"{HERE}:LooksForWeights", tiny(2), tmp_path / "out")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_weights_that_vanish_during_a_run_do_not_take_its_results_along(
    tiny: Callable[..., Path], tmp_path: Path
) -> None:
    options = (f"marker={tmp_path / 'marker'}",)
    outcome = run(f"{HERE}:LosesWeights", tiny(12), tmp_path / "out", options, metrics=("snr",))
    assert outcome.status == read_record(outcome.path)["status"] == "partial"
    assert "net.pt is gone" in outcome.message
    assert {"t0", "t1"} <= {row["trial_id"] for row in rows(tmp_path / "out", "trials")}


def test_a_refusal_never_takes_results_along(tiny: Callable[..., Path], tmp_path: Path) -> None:
    """Here: the folder records a metric that this tspbench does not know (any more)."""
    task, out = tiny(2), tmp_path / "out"
    run("mixture", task, out, metrics=("snr",))
    before = score_lines(out)
    edit_record(out, lambda record: record["metrics"].append(record["metrics"][0] | {"id": "of_a_plug_in"}))
    edit_record(out, lambda record: record.update(status="started"))
    with contextlib.suppress(UsageError):
        run("mixture", task, out, metrics=("snr",))
    assert score_lines(out) == before


def test_two_systems_of_one_name_are_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    body = "class Mine:\n    def extract(self, mixtures, lengths, queries):\n        return mixtures\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(body)
    systems = ["mixture", f"{tmp_path / 'one.py'}:Mine", f"{tmp_path / 'two.py'}:Mine"]
    with pytest.raises(UsageError, match="Mine"):
        run_systems(systems, Request(task=str(tiny(2)), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("setting", "value"), [("device", "gpu"), ("save_audio", "wurst")])
def test_settings_that_do_not_exist_are_refused(setting: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=value):
        Request(task="lass-demo", out=tmp_path / "out", **{setting: value})


def test_modules_whose_file_does_not_exist_are_not_part_of_a_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.ops calls its file ``_ops.py``: relative to a system's own folder it names nothing."""
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def extract(self, mixtures, lengths, queries):\n        return 0\n"
    )
    monkeypatch.chdir(tmp_path)
    service = SystemService(find_system("mine.py:Mine"), {})
    before = service.describe().code_digest
    phantom = types.ModuleType("phantom")
    phantom.__file__ = "_phantom.py"
    monkeypatch.setitem(sys.modules, "phantom", phantom)
    assert service.describe().code_digest == before
