"""Reports as files: what is refused, what the data says, which trials are played and at which level."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import tspbench
from tspbench import audio
from tspbench.errors import CannotMeasure, OtherIdentity, UsageError
from tspbench.metrics.leak import attributed, leaked
from tspbench.report import build
from tspbench.report.listening import choose
from tspbench.report.runs import read_runs
from tspbench.report.words import marks
from tspbench.store import read_lines, write_json
from tspbench.task import load_task

WORDS = st.lists(st.sampled_from(["red", "green", "blue", "house"]), max_size=8).map(" ".join)


def data(report: Path, name: str) -> Any:
    text = (report / name).read_text(encoding="utf-8")
    found = re.fullmatch(r'tsp\.put\("[a-z0-9-]+", (.*)\);\n', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def samples(signal: dict[str, Any]) -> np.ndarray:
    found, _ = soundfile.read(io.BytesIO(base64.b64decode(signal["flac"])))
    return found * signal["scale"]


def task_of(tmp_path: Path) -> str:
    return str(tmp_path / "tiny" / "manifest.jsonl")


def change(run: Path, **fields: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", record | fields)


def rewrite(path: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(edit(row)) + "\n" for row in read_lines(path)), encoding="utf-8")


# Data ------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_run_folders(lass_runs: list[Path], tmp_path: Path) -> None:
    build(lass_runs, tmp_path / "report", task=task_of(tmp_path))
    report = data(tmp_path / "report", "data/report.js")
    assert [system["label"] for system in report["systems"]] == ["mixture", "oracle-irm", "silence"]
    for run in map(tspbench.load_run, lass_runs):
        label = run.record["identity"]["system"]["name"]
        wide = run.scores.pivot(index="trial_id", columns="metric", values="value").loc[report["trials"]["ids"]]
        for metric, column in report["trials"]["values"][label].items():
            np.testing.assert_allclose(np.array(column, float), wide[metric].to_numpy(), rtol=1e-5)
        lost = run.scores[(run.scores.metric == "si_sdr") & (run.scores.status == "undefined")].trial_id
        assert [report["trials"]["ids"][i] for i in report["trials"]["lost"][label]["si_sdr"]] == sorted(lost)
        mean = run.summary["metrics"]["si_sdr"]["mean"]
        assert report["summary"][label]["si_sdr"]["mean"] == (mean if mean is None else pytest.approx(mean, rel=1e-5))
    assert len(report["trials"]["lost"]["silence"]["si_sdr"]) == 10


def test_details_are_found_where_the_page_looks(lass_runs: list[Path], nasty: str, tmp_path: Path) -> None:
    build(lass_runs, tmp_path / "report", task=task_of(tmp_path))
    report, page = (data(tmp_path / "report", f"data/{name}.js") for name in ("report", "trials-0000"))
    assert [row["id"] for row in page] == report["trials"]["ids"]
    assert report["trials"]["queries"] == ["0", nasty, *(str(i) for i in range(2, 10))]
    assert page[0]["systems"]["silence"]["reasons"]["si_sdr"]


# Audio -----------------------------------------------------------------------------------------------


def test_signals_are_those_of_the_trial_at_the_level_of_the_target(lass_runs: list[Path], tmp_path: Path) -> None:
    build(lass_runs, tmp_path / "report", task=task_of(tmp_path))
    task = load_task(task_of(tmp_path))
    payload = data(tmp_path / "report", "audio/audio-000003.js")
    trial = task.trial("t3")
    rendered = task.stage.render(trial)
    by_name = {signal["name"]: signal for signal in payload["signals"]}
    assert set(by_name) == {"mixture", "target", "enrolment", "oracle-irm", "silence"}
    assert by_name["mixture"]["also"] == ["mixture"]
    np.testing.assert_allclose(samples(by_name["mixture"]), rendered.mixture, atol=3e-5)
    assert rendered.target is not None
    np.testing.assert_allclose(samples(by_name["target"]), rendered.target, atol=3e-5)
    estimate, _ = audio.read(lass_runs[1] / "audio" / "t3.wav")
    heard = samples(by_name["oracle-irm"])
    projection = rendered.target @ rendered.target / (estimate @ rendered.target)
    np.testing.assert_allclose(heard, projection * estimate, atol=5e-5)
    assert not samples(by_name["silence"]).any()
    assert payload["problems"] == []


def test_an_estimate_that_was_exchanged_is_left_out(lass_runs: list[Path], tmp_path: Path) -> None:
    audio.write(lass_runs[1] / "audio" / "t3.wav", np.ones(1600, np.float32), 8000)
    build(lass_runs, tmp_path / "report", task=task_of(tmp_path))
    payload = data(tmp_path / "report", "audio/audio-000003.js")
    assert "oracle-irm" not in [signal["name"] for signal in payload["signals"]]
    assert "not the one that was scored" in payload["problems"][0]


def test_a_mixture_that_is_made_otherwise_now_is_left_out(lass_runs: list[Path], tmp_path: Path) -> None:
    sound, rate = soundfile.read(tmp_path / "tiny" / "3.wav", dtype="float32")
    soundfile.write(tmp_path / "tiny" / "3.wav", 0.5 * sound[::-1], rate, subtype="FLOAT")
    build(lass_runs, tmp_path / "report", task=task_of(tmp_path))
    payload = data(tmp_path / "report", "audio/audio-000003.js")
    assert {signal["kind"] for signal in payload["signals"]} == {"estimate"}
    assert "not the one that the systems heard" in payload["problems"][0]


def test_without_the_task_there_are_the_estimates(lass_runs: list[Path], tmp_path: Path) -> None:
    built = build(lass_runs, tmp_path / "report")  # a manifest's name does not lead to it
    assert "name it with --task" in built.notes[0]
    payload = data(tmp_path / "report", "audio/audio-000003.js")
    assert {signal["kind"] for signal in payload["signals"]} == {"estimate"}


def test_no_audio_on_request_and_none_that_was_not_kept(tiny: Callable[..., Path], tmp_path: Path) -> None:
    runs = [run.path for run in tspbench.run("oracle-irm", tiny(4), out=tmp_path / "run", workers=1)]
    assert build(runs, tmp_path / "a", task=task_of(tmp_path), listen="none").playable == 0
    built = build(runs, tmp_path / "b", task=task_of(tmp_path), listen="all")
    assert built.playable == 4
    assert "--save-audio all" in built.notes[0]
    assert built.size_bytes > built.audio_bytes > 0


def test_half_of_what_is_played_is_the_worst(lass_runs: list[Path]) -> None:
    runs = read_runs(lass_runs[1:2])
    values = {trial_id: row["value"] for trial_id, row in runs.shown[0].scores["si_sdr"].items()}
    ranked = sorted(values, key=lambda trial_id: values[trial_id])
    chosen = choose(runs, 6)
    assert chosen[:3] == ranked[:3]
    assert len(set(chosen)) == 6
    assert {ranked[3], ranked[-1]} <= set(chosen)
    assert choose(runs, None) == choose(runs, 99) == ranked
    assert choose(runs, 0) == []


def test_scores_without_a_value_are_the_worst(lass_runs: list[Path]) -> None:
    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        fate = {"t7": "undefined", "t2": "not_applicable"}.get(row["trial_id"])
        return {**row, "value": None, "status": fate, "reason": "x"} if fate else row

    rewrite(lass_runs[1] / "scores.jsonl", spoil)
    chosen = choose(read_runs(lass_runs[1:2]), None)
    assert (chosen[0], chosen[-1]) == ("t7", "t2")


# Words -----------------------------------------------------------------------------------------------


@given(WORDS, WORDS, WORDS)
def test_marks_have_as_many_errors_as_jiwer_counts(said: str, heard: str, others: str) -> None:
    found = marks(said, heard, [others], "raw")
    counts = jiwer.process_words(said, heard)
    assert sum(mark[0] != "=" for mark in found) == counts.substitutions + counts.deletions + counts.insertions
    assert " ".join(mark[1] for mark in found if mark[0] in "=SD") == said
    assert " ".join(mark[2 if mark[0] == "S" else 1] for mark in found if mark[0] in "=SI") == heard
    assert sum(mark[-1] is True for mark in found) == leaked(attributed(said, heard, [others]))


def test_marks_of_a_sentence() -> None:
    found = marks("The cat sat down.", "the dog sat dog down there", ["A dog."])
    assert found == [["=", "the"], ["S", "cat", "dog", True], ["=", "sat"], ["I", "dog", False], ["=", "down"],
                     ["I", "there", False]]  # fmt: skip


# Refusals --------------------------------------------------------------------------------------------


def test_runs_of_other_trials_are_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    one = tspbench.run("silence", tiny(4), out=tmp_path / "one", workers=1)[0].path
    two = tspbench.run("silence", tiny(4), out=tmp_path / "two", workers=1, limit=3)[0].path
    with pytest.raises(OtherIdentity, match=r"task\.trial_list: .* and (.|\n)*task\.trials: 4 and 3"):
        build([one, two], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_another_version_of_a_metric_is_refused(lass_runs: list[Path], tmp_path: Path) -> None:
    metrics = json.loads((lass_runs[0] / "run.json").read_text())["metrics"]
    change(lass_runs[0], metrics=[metric | {"version": 9} for metric in metrics])
    with pytest.raises(OtherIdentity, match=r"metric si_sdr\.version: 9 and 1"):
        build(lass_runs, tmp_path / "report")


def test_a_run_that_is_named_twice_is_refused(lass_runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="named twice"):
        build([lass_runs[0], lass_runs[0]], tmp_path / "report")


def test_a_task_that_is_named_must_be_that_of_the_runs(lass_runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the one of the runs"):
        build(lass_runs, tmp_path / "report", task="tse-demo")


def test_a_run_without_a_trial_cannot_be_reported(lass_runs: list[Path], tmp_path: Path) -> None:
    (lass_runs[0] / "trials.jsonl").unlink()
    with pytest.raises(CannotMeasure, match="No trial was attempted"):
        build(lass_runs[:1], tmp_path / "report")


def test_only_reports_are_replaced(lass_runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "report"
    build(lass_runs, out, listen="none")
    (out / "stale").touch()
    build(lass_runs[:2], out, listen="none")
    assert not (out / "stale").exists()
    assert sorted(path.name for path in tmp_path.glob(".report*")) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds no report"):
        build(lass_runs, tmp_path / "mine")


def test_runs_of_one_name_are_told_apart(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest = tiny(2)
    paths = [
        tspbench.run("oracle-irm", manifest, {"window_ms": window}, out=tmp_path / f"w{window}", workers=1)[0].path
        for window in (16.0, 64.0)
    ]
    labels = [shown.label for shown in read_runs(paths).shown]
    assert labels == ["oracle-irm [window_ms=16.0]", "oracle-irm [window_ms=64.0]"]
