from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tspbench.errors import AudioError
from tspbench.task import FileReader, Stage, Task, known_tasks, load_task
from tspbench.tasks.demo_voices import ALIKE, UTTERANCES
from tspbench.tasks.tse_demo.make_manifest import main
from tspbench.types import QueryKind, Trial

DIGEST = "2007af8b7ec47deabd0367db06b91ece9d5132b05a06a480bc511673385c0f53"
"""Identity of the trial list. A change makes old results incomparable: change it only on purpose."""

LISTED = {row["file"]: row for row in csv.DictReader(UTTERANCES.open(encoding="utf-8"))}
VOICES = {row["speaker"] for row in LISTED.values()}


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("tse-demo")


@pytest.fixture(scope="module")
def trials(task: Task) -> list[Trial]:
    return list(task)


def test_declaration_says_synthetic() -> None:
    info = known_tasks()["tse-demo"]
    assert (info.kind, info.sample_rate, info.synthetic, info.cluster) == ("tse", 16_000, True, "speaker")
    assert info.metrics == (
        "si_sdr", "si_sdr_i", "sdr_i", "pesq_wb", "estoi", "dnsmos_ovrl", "spk_cos[resemblyzer]", "wrong_target",
        "leakage",
    )  # fmt: skip
    assert info.description.strip().startswith("Synthetic.")


def test_committed_list_is_what_the_script_makes(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made.jsonl"
    monkeypatch.setattr(sys, "argv", ["make_manifest", "--out", str(made)])
    main()
    assert made.read_bytes() == task.trials.path.read_bytes()


def test_list_has_the_committed_identity(task: Task) -> None:
    assert task.digest == DIGEST


def test_header_agrees_with_the_declaration(task: Task) -> None:
    header, info = task.trials.header, task.info
    assert (header.kind, header.sample_rate, header.name) == (info.kind, info.sample_rate, info.name)
    assert (header.cluster, header.synthetic, header.data_root) == (info.cluster, True, info.data)


def test_the_manifest_alone_finds_its_audio(task: Task) -> None:
    alone = load_task(str(task.trials.path))
    assert alone.digest == task.digest
    alone.check_audio()


def test_counts_and_balance(trials: list[Trial]) -> None:
    present = trials[:60]
    assert [trial.target_present for trial in trials] == [True] * 60 + [False] * 4
    assert Counter(trial.conditions["speaker"] for trial in present) == dict.fromkeys(VOICES, 6)
    assert Counter(trial.conditions["interferer_speaker"] for trial in present) == dict.fromkeys(VOICES, 6)
    assert len({(trial.conditions["speaker"], trial.conditions["interferer_speaker"]) for trial in present}) == 60
    assert len({trial.sources[0].path for trial in present}) == 60
    assert len({trial.query.enrolment[0].path for trial in present}) == 60


def test_voices_of_one_origin_never_meet(trials: list[Trial]) -> None:
    """The pairs are those that the table in the README of demo_voices shows."""
    assert {voice for pair in ALIKE for voice in pair} <= VOICES
    readme = (UTTERANCES.parent / "README.md").read_text(encoding="utf-8")
    bases = {"clara": "slt", "ivan": "slt", "jacob": "slt", "adam": "awb", "fiona": "awb"}
    bases |= {"bruce": "rms", "gavin": "rms", "david": "kal16", "helen": "kal16", "edgar": "ked"}
    for voice, base in bases.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| {voice} |"))
        assert base in row.split("|")[3]
    assert {frozenset((a, b)) for a in bases for b in bases if a != b and bases[a] == bases[b]} == ALIKE
    for trial in trials:
        voices = {str(trial.conditions["speaker"]), *(str(source.speaker) for source in trial.sources)}
        assert not any(pair <= voices for pair in ALIKE)


def test_enrolment_is_of_the_voice_and_never_a_source(trials: list[Trial]) -> None:
    for trial in trials:
        (enrolment,) = trial.query.enrolment
        assert enrolment.path not in {source.path for source in trial.sources}
        assert LISTED[enrolment.path]["speaker"] == trial.conditions["speaker"] == trial.clusters["speaker"]
        talking = [LISTED[source.path]["speaker"] for source in trial.sources]
        assert len(set(talking)) == 2
        assert (trial.conditions["speaker"] == talking[0]) if trial.target_present else True
        assert (trial.conditions["speaker"] in talking) == trial.target_present


def test_conditions_are_those_of_the_utterances(trials: list[Trial]) -> None:
    for trial in trials[:60]:
        target, other = (LISTED[source.path] for source in trial.sources)
        seconds = sorted(float(row["duration_s"]) for row in (target, other))
        assert trial.conditions["gender_pair"] == (target["sex"][0] + other["sex"][0]).upper()
        assert trial.conditions["mixture_s"] == pytest.approx(seconds[1], abs=1e-3)
        assert trial.conditions["overlap"] == pytest.approx(seconds[0] / seconds[1], abs=1e-3)
        enrolment = LISTED[trial.query.enrolment[0].path]
        assert trial.conditions["enrolment_s"] == pytest.approx(float(enrolment["duration_s"]), abs=1e-3)
        assert trial.transcript == target["transcript"]


def test_ratios_spread_over_the_declared_range(trials: list[Trial]) -> None:
    counts, _ = np.histogram([trial.mix.snr_db or 0.0 for trial in trials[:60]], bins=5, range=(-5, 5))
    assert counts.sum() == 60
    assert counts.min() >= 10, "drawn evenly, 12 of 60 are expected in each fifth of the range"


def test_mixtures_have_the_ratio_that_is_said(task: Task, trials: list[Trial]) -> None:
    for trial in trials[:60:4]:
        rendered = task.stage.render(trial)
        assert rendered.target is not None
        signals = [signal.astype(np.float64) for signal in (rendered.target, *rendered.interferers)]
        seconds = [float(LISTED[source.path]["duration_s"]) for source in trial.sources]
        powers = [np.sum(x**2) / (16_000 * s) for x, s in zip(signals, seconds, strict=True)]
        assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(trial.conditions["snr_db"], abs=0.02)
        assert np.allclose(rendered.mixture, sum(signals), atol=1e-6)
        assert len(rendered.mixture) == pytest.approx(max(seconds) * 16_000, abs=16)
        query = task.stage.query(trial, frozenset({QueryKind.ENROLMENT}), 16_000, rendered)
        assert len(query.enrolment[0]) == pytest.approx(trial.conditions["enrolment_s"] * 16_000, abs=16)


def test_in_absent_trials_two_others_talk_at_equal_levels(task: Task, trials: list[Trial]) -> None:
    for trial in trials[60:]:
        rendered = task.stage.render(trial)
        assert rendered.target is None
        seconds = np.array([float(LISTED[source.path]["duration_s"]) for source in trial.sources])
        powers = np.sum(rendered.interferers.astype(np.float64) ** 2, axis=1) / (16_000 * seconds)
        assert 10 * np.log10(powers) == pytest.approx([-26.0, -26.0], abs=0.05)
        assert np.allclose(rendered.mixture, rendered.interferers.sum(axis=0), atol=1e-6)


def test_audio_is_pinned_by_sha256(task: Task, trials: list[Trial], tmp_path: Path) -> None:
    for trial in trials:
        for clip in trial.clips():
            assert clip.sha256 == LISTED[clip.path]["sha256"]
    for file, row in LISTED.items():
        assert hashlib.sha256((UTTERANCES.parent / file).read_bytes()).hexdigest() == row["sha256"]
    for clip in trials[0].clips():
        changed = tmp_path / clip.path
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_bytes((UTTERANCES.parent / clip.path).read_bytes() + b"\0")
    with pytest.raises(AudioError, match="is not the file that the trial list names"):
        Stage(16_000, FileReader(tmp_path)).render(trials[0])


def test_the_voices_stay_small() -> None:
    assert sum(file.stat().st_size for file in UTTERANCES.parent.rglob("*") if file.suffix != ".pyc") <= 5_000_000
