"""A task as files: what is in them, what is not, and that they score as the task itself."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import tspbench
from tspbench import audio, manifest
from tspbench.errors import AudioError, UsageError
from tspbench.export import export, report
from tspbench.manifest import Manifest
from tspbench.task import load_task
from tspbench.types import Clip, Mix, Role, Source, TaskKind, Trial

METRICS = ["si_sdr", "si_sdr_i", "snr"]
QUESTION = {
    "trial_id", "mixture", "sample_rate", "duration_s", "text", "negative_text",
    "audio", "negative_audio", "enrolment", "speaker_vector", "activity_mask",
}  # fmt: skip


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "trials.jsonl").read_text(encoding="utf-8").splitlines()]


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def rewrite(path: Path, edit: Callable[[Trial], Trial]) -> Path:
    """A manifest with edited trials, next to the given one."""
    old = Manifest(path)
    new = path.with_name("edited.jsonl")
    manifest.write(new, old.header, [edit(trial) for trial in old])
    return new


def columns(run: tspbench.Run) -> Any:
    return run.scores.sort_values(["trial_id", "metric"])[["trial_id", "metric", "value"]].reset_index(drop=True)


@pytest.mark.parametrize("system", ["clean", "mixture"])
def test_an_export_scores_as_the_task_itself(system: str, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4)
    out = export(task, tmp_path / "out", truth=True)
    estimates = out / "mixtures"
    if system == "clean":
        estimates = tmp_path / "estimates"
        estimates.mkdir()
        for row in rows(out):
            shutil.copy(out / row["target"], estimates / f"{row['trial_id']}.wav")
    inside = tspbench.run(system, task, out=tmp_path / "inside", metrics=METRICS)[0]
    outside = tspbench.score(estimates, task, out=tmp_path / "outside", metrics=METRICS)
    assert len(inside.scores) == 4 * len(METRICS)
    assert columns(outside).equals(columns(inside))


def test_without_truth_nothing_tells_the_answer(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3, kind=TaskKind.TSASR)
    out = export(task, tmp_path / "out")
    assert files(out) == {
        "trials.jsonl",
        "trials.csv",
        *(f"mixtures/t{i}.wav" for i in range(3)),
        *(f"queries/t{i}/enrolment-0.wav" for i in range(3)),
    }
    assert [set(row) for row in rows(out)] == [QUESTION] * 3
    tables = (out / "trials.jsonl").read_text() + (out / "trials.csv").read_text()
    assert "words" not in tables, "neither the target's transcript nor the interferer's"
    assert not re.search(r"[^-]\b\d\.wav", tables), "no names of source files"


def test_truth_adds_signals_and_words(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3, kind=TaskKind.TSASR)
    out = export(task, tmp_path / "out", truth=True)
    for row in rows(out):
        assert set(row) == QUESTION | {"target", "interferers", "transcript"}
        assert row["transcript"] == "some words"
        parts = [soundfile.read(out / name)[0] for name in (row["target"], *row["interferers"])]
        mixture, rate = soundfile.read(out / row["mixture"])
        assert len(parts) == 2
        assert rate == row["sample_rate"] == 8000
        assert len(mixture) / rate == pytest.approx(row["duration_s"], abs=1e-6)
        np.testing.assert_allclose(sum(parts), mixture, atol=1e-6)


def test_every_kind_of_query_is_written(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(2)
    vector = np.arange(5, dtype=np.float32)
    np.save(task.parent / "vector.npy", vector)
    clips = (Clip("0.wav", duration_s=0.1), Clip("1.wav", start_s=0.05))

    def edit(trial: Trial) -> Trial:
        told = replace(
            trial.query, text="caf\u00e9, a \"dog\"\nand rain", negative_text="rain", audio=clips,
            negative_audio=clips[:1], speaker_vector=Clip("vector.npy"),
        )  # fmt: skip
        return replace(trial, query=told)

    out = export(rewrite(task, edit), tmp_path / "out", limit=1)
    (row,) = rows(out)
    assert row["text"] == 'caf\u00e9, a "dog"\nand rain'
    assert row["negative_text"] == "rain"
    assert row["audio"] == ["queries/t0/audio-0.wav", "queries/t0/audio-1.wav"]
    assert row["negative_audio"] == ["queries/t0/negative_audio-0.wav"]
    assert row["enrolment"] == ["queries/t0/enrolment-0.wav"]
    assert np.array_equal(np.load(out / row["speaker_vector"]), vector)
    whole = [soundfile.read(task.parent / f"{i}.wav", dtype="float32")[0] for i in range(3)]
    written = [soundfile.read(out / name, dtype="float32")[0] for name in (*row["audio"], *row["enrolment"])]
    for found, expected in zip(written, [whole[0][:800], whole[1][400:], whole[2]], strict=True):
        assert np.array_equal(found, expected)
    with (out / "trials.csv").open(encoding="utf-8", newline="") as file:
        (cells,) = csv.DictReader(file)
    joined = {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()}
    assert cells == {name: "" if value is None else str(value) for name, value in joined.items()}


def test_an_absent_target_has_no_file(tiny: Callable[..., Path], tmp_path: Path) -> None:
    def edit(trial: Trial) -> Trial:
        sources = tuple(replace(source, role=Role.INTERFERER) for source in trial.sources)
        return replace(trial, sources=sources, mix=Mix(length="max"))

    out = export(rewrite(tiny(1), edit), tmp_path / "out", truth=True)
    (row,) = rows(out)
    assert row["target"] is None
    assert {path.name for path in (out / "truth" / "t0").iterdir()} == {"interferer-0.wav", "interferer-1.wav"}


def test_another_rate_holds_for_all_files(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(2)
    out = export(task, tmp_path / "out", truth=True, rate=16_000)
    waves = sorted(name for name in files(out) if name.endswith(".wav"))
    assert len(waves) == 2 * 4
    assert {audio.probe(out / name)[1:] for name in waves} == {(16_000, 1)}
    assert {soundfile.info(str(out / name)).subtype for name in waves} == {"FLOAT"}
    rendered = load_task(str(task)).stage.render(load_task(str(task)).trial("t1"))
    found, _ = audio.read(out / "mixtures" / "t1.wav")
    assert np.array_equal(found, audio.resample(rendered.mixture, 8_000, 16_000))
    assert rows(out)[1]["duration_s"] == pytest.approx(len(rendered.mixture) / 8_000)
    run = tspbench.score(out / "mixtures", task, out=tmp_path / "run", metrics=["si_sdr"])
    assert run.summary["trials"]["ok"] == 2


@pytest.mark.parametrize("task", ["lass-demo", "tse-demo"])
def test_bundled_tasks_are_synthesised(task: str, tmp_path: Path) -> None:
    out = export(task, tmp_path / "out", limit=2)
    loaded = load_task(task)
    for row in rows(out):
        found, rate = audio.read(out / row["mixture"])
        assert rate == loaded.info.sample_rate
        assert np.array_equal(found, loaded.stage.render(loaded.trial(row["trial_id"])).mixture)
        assert row["audio"] or row["enrolment"]


def test_an_empty_folder_will_do_and_a_full_one_is_left_alone(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(1), tmp_path / "out"
    out.mkdir()
    assert export(task, out) == out
    before = {name: (out / name).read_bytes() for name in files(out)}
    with pytest.raises(UsageError, match="not empty"):
        export(task, out)
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    with pytest.raises(UsageError, match="is a file"):
        export(task, out / "trials.csv")


@pytest.mark.parametrize("rate", [16, 0, -1, 10**9])
def test_rates_that_are_not_hertz_are_refused(rate: int, tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--rate is in Hz"):
        export(tiny(1), tmp_path / "out", rate=rate)
    assert not (tmp_path / "out").exists()


def test_audio_is_checked_before_anything_is_written(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(6)
    (task.parent / "7.wav").unlink()
    told: list[tuple[str, int, int]] = []
    with pytest.raises(AudioError, match=r"Trial 't5'.*7\.wav does not exist"):
        export(task, tmp_path / "out", progress=lambda *step: told.append(step))
    assert {step for step, _, _ in told} == {"checking the audio"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_broken_export_leaves_nothing(there: bool, tiny: Callable[..., Path], tmp_path: Path) -> None:
    task, out = tiny(4), tmp_path / "out"
    soundfile.write(task.parent / "4.wav", np.zeros(1600), 8_000)  # the interference of t3: no ratio can be set
    if there:
        out.mkdir()
    with pytest.raises(AudioError, match="silent"):
        export(task, out, truth=True)
    assert out.exists() is there
    assert not there or not list(out.iterdir())


def test_a_full_disk_is_an_error_of_one_line(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, samples: object, rate: int) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    task = tiny(1)
    monkeypatch.setattr(audio, "write", full)
    with pytest.raises(UsageError, match=r"out cannot be written: No space left on device\.$"):
        export(task, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_counts_every_trial(tiny: Callable[..., Path], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    export(tiny(5), tmp_path / "out", limit=3, progress=lambda *step: told.append(step))
    assert told == [(step, done, 3) for step in ("checking the audio", "writing") for done in (1, 2, 3)]


def test_the_report_ends_with_a_command_that_has_the_same_trials(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    said = report(task, "my out", limit=2, data_root=task.parent).splitlines()
    assert said[1].endswith("my out/estimates/t0.wav")
    expected = f"tspbench score --task {task} --estimates 'my out/estimates' --limit 2 --data-root {task.parent}"
    assert said[-1].split(maxsplit=1) == ["next:", expected]


def test_words_are_asked_for_as_text(tiny: Callable[..., Path]) -> None:
    said = report(tiny(1, kind=TaskKind.TSASR), "out").splitlines()[1]
    assert "out/estimates/t0.txt with the words" in said


def test_ids_with_dots_keep_them(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = rewrite(
        tiny(1), lambda trial: replace(trial, trial_id="a.b.wav", sources=(Source("0.wav", role=Role.TARGET),))
    )
    out = export(task, tmp_path / "out", truth=True)
    assert files(out) >= {"mixtures/a.b.wav.wav", "truth/a.b.wav/target.wav"}
    run = tspbench.score(out / "mixtures", task, out=tmp_path / "run", metrics=["si_sdr"])
    assert run.summary["trials"]["ok"] == 1
