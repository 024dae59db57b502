"""Libri2Mix for recognition: transcripts, TS-Whisper's list, the cues, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tspbench.cli import group
from tspbench.errors import UsageError
from tspbench.prepared.material import ListError, Material
from tspbench.prepared.prepare import prepare
from tspbench.store import read_record
from tspbench.task import load_task
from tspbench.tasks import librispeech
from tspbench.tasks.libri2mix_asr import importer
from tspbench.types import Activity, QueryKind, QueryRecipe, Role, Trial

RATE = 16_000
PAIRS = [("11-1-0001", "22-1-0001"), ("22-1-0002", "11-2-0002"), ("11-1-0001", "22-1-0002")]
WORDS = {"11-1-0001": "ONE TWO", "11-2-0002": "THREE", "22-1-0001": "FOUR FIVE SIX", "22-1-0002": "SEVEN"}
Make = Callable[..., list[Trial]]


def location(utterance: str) -> str:
    speaker, chapter, _ = utterance.split("-")
    return f"test-clean/{speaker}/{chapter}/{utterance}.flac"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """LibriSpeech of white noise, with the files of its chapters, and a list of either form."""
    rng = np.random.RandomState(7)
    for name, text in WORDS.items():
        path = tmp_path / "librispeech" / location(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.randint(-5000, 5000, 9_000 + 7 * len(text)).astype(np.int16), RATE)
        with (path.parent / f"{librispeech.chapter_of(name)}.trans.txt").open("a") as file:
            file.write(f"{name} {text}\n")
    header = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain\n"
    rows = [f"{a}_{b},{location(a)},0.5,{location(b)},0.75\n" for a, b in PAIRS]
    (tmp_path / "mixtures.csv").write_text(header + "".join(rows))
    lines = [line(pair, side) for pair in PAIRS for side in (0, 1)]
    (tmp_path / "test.json").write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    for speaker in ("11", "22"):
        (tmp_path / "vectors").mkdir(exist_ok=True)
        np.save(tmp_path / "vectors" / f"{speaker}.npy", np.full((1, 512), float(speaker)))
    return tmp_path


def line(pair: tuple[str, str], side: int) -> dict[str, str]:
    name, spoken = "_".join(pair), pair[side]
    folder = "/home/somebody/Libri2Mix/wav16k/max/test/mix_clean"
    return {"audio_path": f"{folder}/{name}.wav", "text": WORDS[spoken], "language": "en", "prompt": spoken[:2]}


@pytest.fixture
def make(corpus: Path) -> Make:
    def trials(
        protocol: str = "disjoint", lists: dict[str, str] | None = None, seconds: Any = lambda path: 1.0, **options: str
    ) -> list[Trial]:
        names = {"mixtures": "mixtures.csv"} | (lists or {})
        chosen = {"mix": "clean", "cue": "enrolment", "source": "librispeech"} | options
        files = {role: corpus / name for role, name in names.items()}
        return list(
            importer.trials(Material(protocol, chosen, files, {"librispeech": corpus / "librispeech"}, seconds))
        )

    return trials


def said(trial: Trial) -> dict[str, str | None]:
    return {source.role.value: source.transcript for source in trial.sources}


def test_both_voices_are_asked_for_with_librispeechs_words(make: Make) -> None:
    trials = make()
    assert [trial.trial_id for trial in trials] == [f"{a}_{b}_s{side}" for a, b in PAIRS for side in (1, 2)]
    for trial, (pair, side) in zip(trials, [(pair, side) for pair in PAIRS for side in (0, 1)], strict=True):
        assert trial.transcript == WORDS[pair[side]]
        assert said(trial) == {"target": WORDS[pair[side]], "interferer": WORDS[pair[1 - side]]}
        assert trial.mix.length == "max"


def test_the_list_of_ts_whisper_gives_the_same_trials_as_librispeech(make: Make) -> None:
    assert make("ts-whisper", {"trials": "test.json"}) == make()
    assert make(lists={"transcripts": "test.json"}) == make()


def test_the_list_decides_order_and_number(make: Make, corpus: Path) -> None:
    rows = (corpus / "test.json").read_text().splitlines(keepends=True)
    (corpus / "part.json").write_text("".join([rows[3], rows[0]]))
    trials = make("ts-whisper", {"trials": "part.json"})
    assert [trial.trial_id for trial in trials] == ["22-1-0002_11-2-0002_s2", "11-1-0001_22-1-0001_s1"]
    assert said(trials[0]) == {"target": "THREE", "interferer": None}, "nobody's words but those of the list"


def test_the_noisy_list_counts_only_where_noise_is_asked(make: Make, corpus: Path) -> None:
    (corpus / "noisy.json").write_text((corpus / "test.json").read_text().replace("THREE", "THIRTY"))
    lists = {"trials": "test.json", "noisy": "noisy.json"}
    texts = {mix: make("ts-whisper", lists, mix=mix, source="tree")[3].transcript for mix in ("clean", "both")}
    assert texts == {"clean": "THREE", "both": "THIRTY"}


def test_cues(make: Make) -> None:
    for cue, kinds in (
        ("enrolment", {QueryKind.ENROLMENT}),
        ("vector", {QueryKind.SPEAKER_VECTOR}),
        ("both", {QueryKind.ENROLMENT, QueryKind.SPEAKER_VECTOR}),
    ):
        for trial in make(cue=cue):
            assert trial.query.kinds - {QueryKind.TRUTH} == kinds
            if trial.query.speaker_vector:
                assert trial.query.speaker_vector.path == f"vectors/{trial.clusters['speaker']}.npy"


def test_audio_without_a_transcript_is_refused_with_the_count(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSPBENCH_DATA", str(tmp_path / "data"))
    for path in (corpus / "librispeech").rglob("22-1.trans.txt"):
        path.write_text("")
    given = ("libri2mix-asr", [str(corpus / "librispeech")], [str(corpus / "mixtures.csv")])
    with pytest.raises(UsageError, match="3 trials have audio but no transcript: 11-1-0001_22-1-0001_s2, "):
        prepare(*given)
    assert not (tmp_path / "data").exists()
    report = prepare(*given, available=True)
    assert (report.available, report.total) == (3, 6)
    part = load_task(report.label, available=True)
    assert [trial.transcript for trial in part] == ["ONE TWO", "THREE", "ONE TWO"]


def test_no_transcripts_at_all_are_told_before_anything_is_read(make: Make, corpus: Path) -> None:
    for path in (corpus / "librispeech").rglob("*.trans.txt"):
        path.unlink()
    with pytest.raises(ListError, match=r"There is no \.trans\.txt below .*librispeech"):
        make(seconds=lambda path: None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("11-1-0001_22-1-0001", "9-9-9_8-8-8", r"test\.json: 1 mixture\(s\) that are not in the CSV: 9-9-9_8-8-8"),
        ('"prompt": "22"', '"prompt": "33"', r"1 speaker\(s\) who are not in their mixture: 33 in 11-1-0001_22-1-0001"),
        ('"prompt"', '"speaker"', r"1 line\(s\) that are no JSON object with audio_path, text, prompt: line 1"),
        ('{"audio_path"', '"audio_path"', "no JSON object"),
        ('"ONE TWO"', '" "', "no JSON object"),
    ],
)
def test_a_list_that_does_not_do_is_refused(make: Make, corpus: Path, old: str, new: str, message: str) -> None:
    path = corpus / "test.json"
    count = 2 if "_22" in old else 1
    path.write_text(path.read_text().replace(old, new, count))
    with pytest.raises(ListError, match=message):
        make("ts-whisper", {"trials": "test.json"})


def test_prepared_and_run_with_vectors(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSPBENCH_DATA", str(tmp_path / "data"))
    roots = [word for name in ("librispeech", "vectors") for word in ("--audio", f"{name}={corpus / name}")]
    lists = ["--list", f"mixtures={corpus / 'mixtures.csv'}", "--list", f"trials={corpus / 'test.json'}"]
    words = ["data", "prepare", "libri2mix-asr:ts-whisper[cue=both]", *roots, *lists]
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (cell,) = [path.name for path in (tmp_path / "data" / "libri2mix-asr").iterdir()]
    task = load_task(f"libri2mix-asr:{cell}[cue=both]")
    trial = task.trial("22-1-0002_11-2-0002_s2")
    kinds = frozenset({QueryKind.SPEAKER_VECTOR, QueryKind.ENROLMENT})
    query = task.stage.query(trial, kinds, RATE, task.stage.render(trial))
    np.testing.assert_array_equal(query.speaker_vector, np.full(512, 11, np.float32))
    assert len(query.enrolment[0]) == 9_000 + 7 * len("ONE TWO")
    assert [source.role for source in trial.sources] == [Role.INTERFERER, Role.TARGET]
    masked = load_task(f"libri2mix-asr:{cell}[cue=activity]")
    asked = masked.trial(trial.trial_id)
    rendered = masked.stage.render(asked)
    assert asked.query == QueryRecipe(activity_mask=Activity("energy"))
    assert masked.digest not in (task.digest, load_task(f"libri2mix-asr:{cell}").digest)
    mask = masked.stage.query(asked, frozenset({QueryKind.ACTIVITY_MASK}), RATE, rendered).activity_mask
    assert mask.shape == (4, -(-len(rendered.mixture) // 320))
    assert mask[1:].any()
    run = ["run", "--system", "mixture", "--task", f"libri2mix-asr:{cell}", "--metrics", "si_sdr"]
    done = CliRunner().invoke(group, [*run, "--out", str(tmp_path / "r")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert read_record(tmp_path / "r")["counts"]["ok"] == 6
