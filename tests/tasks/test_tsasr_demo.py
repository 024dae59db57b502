from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path

import jiwer
import numpy as np
import pytest

from tspbench.task import Task, known_tasks, load_task
from tspbench.tasks.demo_voices import ALIKE, UTTERANCES
from tspbench.tasks.tsasr_demo.make_manifest import main
from tspbench.types import Trial

DIGEST = "c5f6b0a68a6ae96e9bb896b6f39705725ae562cfe4fa7070aa7d9fa8ca90223f"
"""Identity of the trial list. A change makes old results incomparable: change it only on purpose."""

LISTED = {row["file"]: row for row in csv.DictReader(UTTERANCES.open(encoding="utf-8"))}
VOICES = {row["speaker"] for row in LISTED.values()}


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("tsasr-demo")


@pytest.fixture(scope="module")
def trials(task: Task) -> list[Trial]:
    return list(task)


def test_declaration_says_synthetic() -> None:
    info = known_tasks()["tsasr-demo"]
    assert (info.kind, info.sample_rate, info.synthetic, info.cluster) == ("tsasr", 16_000, True, "speaker")
    assert info.metrics == ("wer", "wer_mean", "wer[pocketsphinx]", "cer[pocketsphinx]", "si_sdr")
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
    task.check_audio()


def test_counts_and_balance(trials: list[Trial]) -> None:
    assert len(trials) == 60
    assert all(trial.target_present for trial in trials)
    assert Counter(trial.conditions["speaker"] for trial in trials) == dict.fromkeys(VOICES, 6)
    assert Counter(trial.conditions["interferer_speaker"] for trial in trials) == dict.fromkeys(VOICES, 6)
    assert len({trial.sources[0].path for trial in trials}) == 60
    counts, _ = np.histogram([trial.mix.snr_db or 0.0 for trial in trials], bins=5, range=(9, 18))
    assert counts.sum() == 60
    assert counts.min() >= 10, "drawn evenly, 12 of 60 are expected in each fifth of the range"


def test_no_mixture_is_one_of_the_other_demo(trials: list[Trial]) -> None:
    other = {tuple(source.path for source in trial.sources) for trial in load_task("tse-demo")}
    assert sum(tuple(source.path for source in trial.sources) in other for trial in trials) == 0


def test_words_are_those_of_the_sources_in_lower_case(trials: list[Trial]) -> None:
    for trial in trials:
        target, other = (LISTED[source.path]["transcript"] for source in trial.sources)
        assert (trial.transcript, trial.sources[0].transcript, trial.sources[1].transcript) == (target, target, other)
        assert trial.transcript == target.lower() != other


def test_enrolment_is_of_the_target_voice_and_never_a_source(trials: list[Trial]) -> None:
    for trial in trials:
        target, other = trial.sources
        (enrolment,) = trial.query.enrolment
        assert enrolment.path not in {target.path, other.path}
        assert LISTED[enrolment.path]["speaker"] == LISTED[target.path]["speaker"] == trial.conditions["speaker"]
        assert frozenset((str(target.speaker), str(other.speaker))) not in ALIKE
        assert all(clip.sha256 == LISTED[clip.path]["sha256"] for clip in trial.clips())


def test_mixtures_have_the_ratio_that_is_said(task: Task, trials: list[Trial]) -> None:
    for trial in trials[::5]:
        rendered = task.stage.render(trial)
        assert rendered.target is not None
        seconds = [float(LISTED[source.path]["duration_s"]) for source in trial.sources]
        signals = [signal.astype(np.float64) for signal in (rendered.target, *rendered.interferers)]
        powers = [np.sum(x**2) / (16_000 * s) for x, s in zip(signals, seconds, strict=True)]
        assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(trial.conditions["snr_db"], abs=0.02)
        assert len(rendered.mixture) == pytest.approx(max(seconds) * 16_000, abs=16)


@pytest.mark.slow
def test_the_interferer_does_harm_but_leaves_words(task: Task, trials: list[Trial]) -> None:
    """What the description says was measured, with the recogniser that is at hand."""
    from tspbench.instruments import recogniser

    model = recogniser("pocketsphinx")
    said = [trial.transcript or "" for trial in trials]
    rendered = [task.stage.render(trial) for trial in trials]
    clean = [model.transcribe(one.target) for one in rendered if one.target is not None]
    mixed = [model.transcribe(one.mixture) for one in rendered]
    assert jiwer.wer(said, clean) == pytest.approx(0.014, abs=0.02)
    assert jiwer.wer(said, mixed) == pytest.approx(0.569, abs=0.06)
