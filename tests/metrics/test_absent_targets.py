"""Words where none are due, and none where words are due: closed forms, and through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile

from tspbench import manifest
from tspbench.cli import main
from tspbench.metrics import Status, resolve
from tspbench.metrics.evaluate import score
from tspbench.metrics.signals import Signals
from tspbench.store import read_lines
from tspbench.types import Clip, Mix, QueryRecipe, Role, Source, TaskKind, Trial

Call = Callable[..., str]
RATE = 8000
IDS = ("rejection", "false_rejection", "absent_words")


def answered(hypothesis: str | None, transcript: str | None, present: bool) -> Signals:
    silence = np.zeros(16, np.float32)
    return Signals(RATE, silence, target=silence if present else None, hypothesis=hypothesis, transcript=transcript)


@pytest.mark.parametrize(
    ("hypothesis", "transcript", "present", "values"),
    [
        ("", "", False, (1, None, 0)),
        ("", None, False, (1, None, 0)),
        ("[noise] um", "", False, (1, None, 0)),
        ("two words", "", False, (0, None, 2)),
        ("", "some words", True, (None, 1, None)),
        ("um", "some words", True, (None, 1, None)),
        ("wrong", "some words", True, (None, 0, None)),
        ("wrong", "[noise]", True, (None, None, None)),
        ("wrong", None, True, (None, None, None)),
        (None, "some words", True, (None, None, None)),
        ("said", "said", False, (None, None, None)),
    ],
)
def test_of_one_answer(hypothesis: str | None, transcript: str | None, present: bool, values: tuple[Any, ...]) -> None:
    found = [score(answered(hypothesis, transcript, present), resolve(name)) for name in IDS]
    assert tuple(each.value for each in found) == values
    expected = [Status.NOT_APPLICABLE if value is None else Status.OK for value in values]
    assert [each.status for each in found] == expected


def test_texts_as_they_are_count_what_the_normaliser_would_drop() -> None:
    signals = answered("[noise]", "", False)
    assert score(signals, resolve("rejection")).value == 1
    assert score(signals, resolve("rejection[text=raw]")).value == 0
    assert score(signals, resolve("absent_words[text=raw]")).value == 1


def test_silence_rejects_whatever_a_recogniser_would_hear_in_it() -> None:
    signals = Signals(RATE, np.ones(16, np.float32), estimate=np.zeros(16, np.float32), transcript="")
    assert score(signals, resolve("rejection[pocketsphinx]")).value == 1
    assert score(signals, resolve("absent_words[pocketsphinx]")).value == 0


Answers = dict[str, tuple[str | None, str, str | None]]
ANSWERS: Answers = {
    # trial: who speaks (None: the target is absent), what is said, what is written down
    "p1": ("ann", "one red fish", "one red fish"),
    "p2": ("ann", "two blue cats swim", ""),
    "p3": ("ben", "good morning", "bad weather here"),
    "p4": ("cat", "never mind", None),
    "a1": (None, "", ""),
    "a2": (None, "", "bad weather"),
    "a3": (None, "", "who is there"),
    "a4": (None, "", None),
}


def write_set(folder: Path, answers: Answers) -> Path:
    """A trial list with absent targets, and a folder of answers to it as text files."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, RATE // 4)).astype(np.float32)
    for i in range(2):
        soundfile.write(folder / f"{i}.wav", noise[i], RATE, subtype="FLOAT")
    rows = []
    for name, (speaker, said, _) in answers.items():
        target = Source("0.wav", role=Role.TARGET if speaker else Role.INTERFERER, transcript=said or "fine weather")
        trial = Trial(name, (target, Source("1.wav", transcript="bad weather")), Mix(length="max"), transcript=said)
        query, conditions = QueryRecipe(enrolment=(Clip("0.wav"),)), {"target_present": speaker is not None}
        rows.append(replace(trial, query=query, conditions=conditions, clusters={"speaker": speaker or name}))
    header = manifest.Header(
        kind=TaskKind.TSASR, sample_rate=RATE, name="absences", cluster="speaker", metrics=("wer", *IDS, "talker_leak")
    )
    manifest.write(folder / "manifest.jsonl", header, rows)
    return write_answers(folder / "answers", {name: heard for name, (_, _, heard) in answers.items()}).parent


def write_answers(folder: Path, texts: dict[str, str | None]) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        if text is not None:
            (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def tspbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Call the command line in this process; what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["tspbench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        assert (stop.value.code or 0) == code, shown.out + shown.err
        return shown.out

    return call


def scoring(answers: str, name: str) -> tuple[str, ...]:
    task = ("--task", "manifest.jsonl", "--workers", "1")
    return ("score", *task, "--estimates", answers, "--name", name, "--out", name)


def test_through_the_command_line(tspbench: Call, tmp_path: Path) -> None:
    folder = write_set(tmp_path, ANSWERS)
    shown = tspbench(*scoring("answers", "theirs"), code=1)
    assert all(name in shown for name in (*IDS, "talker_leak"))
    summary = json.loads((folder / "theirs" / "summary.json").read_text())
    found = {name: summary["metrics"][name] for name in summary["metrics"]}
    figures = {name: (each["applicable"], each["scored"], each["mean"], each["penalised_mean"])
               for name, each in found.items()}  # fmt: skip
    assert figures["rejection"] == (4, 3, pytest.approx(1 / 3), 1 / 4)
    assert figures["absent_words"] == (4, 3, pytest.approx(5 / 3), (5 + 20) / 4)
    assert figures["false_rejection"] == (4, 3, pytest.approx(1 / 3), 2 / 4)
    present, absent = (found["wer"]["strata"]["target_present"][label] for label in ("True", "False"))
    assert present["mean"] == pytest.approx((4 + 3) / 9)
    assert absent["mean"] is None  # five words too many, of none
    given = {name: each[1:] for name, each in ANSWERS.items() if each[2] is not None}
    said, heard = zip(*given.values(), strict=True)
    assert found["wer"]["mean"] == pytest.approx(jiwer.wer(list(said), list(heard))) == pytest.approx((7 + 5) / 9)
    assert found["wer"]["interval"]["clusters"] == 5
    assert found["rejection"]["interval"]["clusters"] == 3
    assert found["rejection"]["interval"]["low"] == 0
    # "bad weather" of p3's and a2's answers; a3's is nobody's.
    assert found["talker_leak"]["mean"] == pytest.approx(4 / 9)
    rows = {(row["trial_id"], row["metric"]): row for row in read_lines(folder / "theirs" / "scores.jsonl")}
    assert rows["a2", "wer"]["counts"] == {
        "errors": 2, "total": 0, "substitutions": 0, "deletions": 0, "insertions": 2
    }  # fmt: skip
    assert rows["p1", "rejection"]["reason"] == "the target is present"
    assert rows["a1", "false_rejection"]["reason"] == "the target is absent"
    assert rows["a4", "rejection"]["status"] == "failed"


def test_compare_and_gate_take_them(tspbench: Call, tmp_path: Path) -> None:
    absent: Answers = {f"a{i}": (None, "", "bad weather" if i % 2 else "") for i in range(12)}
    folder = write_set(tmp_path, absent | {"p1": ("ann", "one red fish", "one red fish")})
    write_answers(folder / "silent", dict.fromkeys([*absent, "p1"], ""))
    tspbench(*scoring("answers", "theirs"))
    tspbench(*scoring("silent", "nothing"))
    shown = tspbench("compare", "theirs", "nothing", "--metric", ",".join(IDS))
    for words in ("rejection ↑", "0.500 vs 1.000", "false_rejection ↓", "0.000 vs 1.000", "1.000 vs 0.000"):
        assert words in shown
    assert "worse" in shown
    tspbench("gate", "nothing", "--rule", "rejection >= 0.7", "--rule", "absent_words <= 0")
    shown = tspbench("gate", "theirs", "--rule", "rejection >= 0.9", code=1)
    assert "regressed" in shown
