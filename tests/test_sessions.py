"""Trials of one mixture put together, and cpWER of runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tspbench
from tspbench import manifest
from tspbench.cli import main
from tspbench.errors import CannotMeasure, MissingExtra, UsageError
from tspbench.metrics.text import normalised
from tspbench.prepared.material import Material
from tspbench.results import Run
from tspbench.sessions import Session, permuted, sessions
from tspbench.task import load_task
from tspbench.tasks.libri2mix_asr import importer
from tspbench.types import Clip, Mix, QueryRecipe, Role, Source, TaskKind, Trial

RATE = 8000
SAID = {"one": ("good morning to you", "buy the red fish"), "two": ("never mind", "twenty-one colours")}


def asked(name: str, side: int, words: tuple[str, ...] = (), **mix: object) -> Trial:
    """The trial that asks for one voice of a mixture; noise is in it too."""
    said = words or SAID[name]
    voices = tuple(
        Source(f"{k}.wav", gain=1 - k / 2, role=Role.TARGET if k == side else Role.INTERFERER, transcript=text)
        for k, text in enumerate(said)
    )
    noise = Source("noise.wav", gain=0.1, role=Role.NOISE, offset_s=0.01 if name == "two" else 0.0)
    settings = Mix(**{"length": "max", **mix})
    return Trial(f"{name}_{side + 1}", (*voices, noise), settings, QueryRecipe(text=str(side)), said[side])


BOTH = [asked(name, side) for name in SAID for side in (0, 1)]


def test_trials_of_one_mixture_are_put_together() -> None:
    assert sessions(BOTH) == [Session(("one_1", "one_2"), SAID["one"]), Session(("two_1", "two_2"), SAID["two"])]
    mingled = [BOTH[i] for i in (1, 3, 2, 0)]
    assert [each.trial_ids for each in sessions(mingled)] == [("one_2", "one_1"), ("two_2", "two_1")]


def test_the_same_recording_is_the_same_mixture() -> None:
    recorded = [replace(trial, mixture=Clip("mix.wav"), mix=Mix(snr_db=3.0)) for trial in BOTH[:2]]
    assert len(sessions(recorded)) == 1
    assert sessions([recorded[0], replace(recorded[1], mixture=Clip("other.wav"))]) == []


@pytest.mark.parametrize(
    "trials",
    [
        BOTH[::2],
        [BOTH[0], BOTH[0], BOTH[1]],
        [asked("one", side, snr_db=0.0) for side in (0, 1)],
        [asked("one", side, length="target") for side in (0, 1)],
        [BOTH[0], replace(BOTH[1], mix=Mix(length="min"))],
        [BOTH[0], replace(BOTH[1], transcript=None)],
        [asked("one", side, ("a", "b", "c")) for side in (0, 1)],
        [replace(trial, sources=tuple(replace(s, role=Role.INTERFERER) for s in trial.sources)) for trial in BOTH],
        [replace(BOTH[0], sources=BOTH[0].sources[::2])],
    ],
    ids=["one side", "twice", "levels", "length", "another mix", "no words", "third talker", "absent", "one talker"],
)
def test_what_is_no_session(trials: list[Trial]) -> None:
    assert sessions(trials) == []


def test_three_talkers_make_a_session_when_all_are_asked_for() -> None:
    trials = [asked("one", side, ("a", "b", "c")) for side in (0, 1, 2)]
    assert sessions(trials) == [Session(("one_1", "one_2", "one_3"), ("a", "b", "c"))]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["librispeech", "tree"])
def test_libri2mix_asks_for_both_voices_of_3000_mixtures(source: str) -> None:
    lists = Path(__file__).parents[1] / ".." / "shared" / "data" / "lists"
    files = {"mixtures": lists / "librimix" / "libri2mix_test-clean.csv", "trials": lists / "ts-whisper" / "test.json"}
    if not all(path.exists() for path in files.values()):
        pytest.skip("no published lists: ../shared/data is absent")
    options = {"mix": "clean", "cue": "vector", "source": source}
    found = sessions(importer.trials(Material("ts-whisper", options, files, {}, lambda path: None)))
    assert len(found) == 3000
    assert all({name[-1] for name in each.trial_ids} == {"1", "2"} for each in found)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("0", "1", "noise"):
        soundfile.write(tmp_path / f"{name}.wav", 0.1 * rng.standard_normal(RATE // 4), RATE, subtype="FLOAT")
    header = manifest.Header(kind=TaskKind.TSASR, sample_rate=RATE, name="both", metrics=("wer", "talker_leak"))
    lone = replace(asked("one", 0), trial_id="lone", mix=Mix(length="max", snr_db=3.0))
    manifest.write(tmp_path / "manifest.jsonl", header, [*BOTH, lone])
    return tmp_path / "manifest.jsonl"


def answered(task: Path, texts: Mapping[str, str], name: str) -> Run:
    """A run as far as cpWER looks at it; a trial without a text was not answered."""
    listed = load_task(str(task))
    identity = {"task": {"name": "both", "trials": len(listed), "trial_list": listed.digest}, "system": {"name": name}}
    folder = task.parent / name
    folder.mkdir()
    lines = [json.dumps({"trial_id": trial_id, "text": texts.get(trial_id)}) for trial_id in listed.ids]
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n")
    return Run(folder, {"identity": identity})


def scored(task: Path, texts: Mapping[str, str], name: str) -> Run:
    folder = task.parent / f"{name}-answers"
    folder.mkdir()
    for trial_id, text in texts.items():
        (folder / f"{trial_id}.txt").write_text(text)
    return tspbench.score(folder, task, name, out=task.parent / name, workers=1)


RIGHT = {trial.trial_id: trial.transcript or "" for trial in BOTH}
SWAPPED = {f"{name}_{side + 1}": SAID[name][1 - side] for name in SAID for side in (0, 1)}


def test_right_talkers_and_missing_answers(task: Path) -> None:
    pytest.importorskip("meeteval")
    right = permuted(answered(task, RIGHT | {"lone": ""}, "right"), str(task))
    assert (right.wer.value, right.cpwer.value, right.swapped) == (0, 0, 0)
    part = permuted(answered(task, {"one_1": "Good morning to you!", "one_2": ""}, "part"), str(task))
    assert part.wer.value == part.cpwer.value == pytest.approx(8 / 12)
    assert (part.unanswered, part.confusion.value) == (2, 0)


def test_numbers_are_meetevals_over_all_sessions(task: Path) -> None:
    meeteval = pytest.importorskip("meeteval")
    texts = {"one_1": "buy a fish", "one_2": "good morning you two", "two_1": "never", "two_2": "21 colors mind"}
    found = permuted(answered(task, texts | {"lone": "x"}, "mixed"), str(task))
    spelled = {name: normalised(text, "whisper") for name, text in texts.items()}
    parts = [
        meeteval.wer.cp_word_error_rate(
            [normalised(text, "whisper") for text in SAID[name]], [spelled[f"{name}_1"], spelled[f"{name}_2"]]
        )
        for name in SAID
    ]
    whole = sum(parts)
    assert (found.cpwer.value, found.words) == (pytest.approx(whole.error_rate), whole.length)
    assert found.swapped == 1
    assert found.cpwer.interval is not None
    assert found.cpwer.interval.clusters == 2


def test_what_cannot_be_measured(task: Path, tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = answered(task, RIGHT, "right")
    with pytest.raises(UsageError, match=r"If it is a manifest, name it with --task"):
        permuted(run)
    with pytest.raises(UsageError, match=r"The trial list of .* is not the one of"):
        permuted(run, str(tiny(4)))
    with pytest.raises(CannotMeasure, match="holds no words"):
        permuted(answered(task, {}, "waveforms"), str(task))
    one_sided = tiny(3, TaskKind.TSASR)
    with pytest.raises(CannotMeasure, match="every speaker is asked for"):
        permuted(answered(one_sided, {"t0": "x"}, "one-sided"), str(one_sided))
    monkeypatch.setitem(sys.modules, "meeteval", None)
    with pytest.raises(MissingExtra):
        permuted(run, str(task))


def test_wrong_talkers_cost_nothing_in_cpwer(
    task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("meeteval")
    swapped = scored(task, SWAPPED | {"lone": "good morning to you"}, "swapped")
    assert swapped.summary["metrics"]["wer"]["mean"] == pytest.approx(12 / 16)
    assert swapped.summary["metrics"]["talker_leak"]["mean"] == pytest.approx(12 / 16)
    # In the four trials that ask for both: 8 substitutions in the first mixture, 4 in the second.
    shown = command(str(swapped.path), "--task", str(task), monkeypatch=monkeypatch, capsys=capsys)
    assert "1.000 ±0.000 │ 0.000 ±0.000 │  1.000 ±0.000 │              2 │        2 │    12 │" in shown
    assert "swapped: 1 trials in no such mixture" in shown
    (held,) = json.loads(
        command(str(swapped.path), "--task", str(task), "--json", monkeypatch=monkeypatch, capsys=capsys)
    )
    assert (held["wer"]["value"], held["cpwer"]["value"], held["confusion"]["value"]) == (1, 0, 1)
    assert (held["sessions"], held["swapped"], held["trials"], held["left_out"], held["words"]) == (2, 2, 4, 1, 12)


def command(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("sys.argv", ["tspbench", "cpwer", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return capsys.readouterr().out
