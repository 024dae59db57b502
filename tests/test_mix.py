"""Trial lists drawn from corpora on disk, made for the tests and real."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.corpus import read_corpus
from tspbench.errors import UsageError
from tspbench.manifest import Manifest
from tspbench.mix import mix, report
from tspbench.task import load_task
from tspbench.types import TaskKind

REAL = Path(__file__).parents[1] / "../shared/data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data with real recordings is absent")
SPOKEN = (TaskKind.TSE, TaskKind.TSASR)


def tone(path: Path, hz: float, seconds: float = 0.5, rate: int = 8_000, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, level * np.sin(2 * np.pi * hz * time + 0.3), rate)


def table(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    rows = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def speakers(tmp_path: Path) -> Path:
    """Three speakers, three utterances each, of different lengths and levels."""
    rows = []
    for i, name in enumerate(("ann", "bob", "cy")):
        for n in range(3):
            file = f"wav/{name}{n}.wav"
            tone(tmp_path / "corpus" / file, 200 + 70 * i + 9 * n, 0.3 + 0.17 * i + 0.05 * n, level=0.05 * (i + 1))
            rows.append({"file": file, "speaker": name, "sex": "MFf"[i], "text": f"{name} says {n}", "odd": "x"})
    return table(tmp_path / "corpus" / "list.csv", rows)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for i, label in enumerate(("dog_bark", "rain", "door")):
        for n in range(2):
            tone(tmp_path / "sounds" / label / "more" / f"{n}.wav", 300 + 100 * i + 7 * n, 0.4 + 0.1 * i)
    (tmp_path / "sounds" / "notes.txt").write_text("not audio")
    return tmp_path / "sounds"


def ratio_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(one / other))


def test_speech_renders_at_the_ratio_that_was_asked_for(speakers: Path, tmp_path: Path) -> None:
    path = mix(speakers, "tse", 12, (-4, 6), 5, tmp_path / "new" / "set", absent=2)
    task = load_task(str(path))
    assert (task.info.kind, task.info.sample_rate, task.info.cluster, len(task)) == ("tse", 8_000, "speaker", 14)
    assert "leakage" in task.info.metrics
    assert task.trials.header.data_root == "../../corpus"
    durations = {file.stem: soundfile.info(file).duration for file in speakers.parent.glob("wav/*.wav")}
    for trial in task:
        rendered = task.stage.render(trial)
        lengths = [durations[Path(source.path).stem] for source in trial.sources]
        assert len(rendered.mixture) == round(max(lengths) * 8_000), "max mode"
        if rendered.target is None:
            assert rendered.interferers.shape[0] == 2
            continue
        powers = [
            np.sum(signal.astype(np.float64) ** 2) / (seconds * 8_000)
            for signal, seconds in zip((rendered.target, rendered.interferers[0]), lengths, strict=True)
        ]
        assert ratio_db(*powers) == pytest.approx(trial.conditions["snr_db"], abs=0.02), "mean squares of each span"
        assert np.allclose(rendered.mixture, rendered.target + rendered.interferers[0], atol=1e-6)


def test_sounds_render_at_the_ratio_that_was_asked_for(sounds: Path, tmp_path: Path) -> None:
    path = mix(sounds, "lass", 9, (-4, 6), 5, tmp_path / "out", absent=1)
    task = load_task(str(path))
    for trial in task:
        rendered = task.stage.render(trial)
        if rendered.target is None:
            continue
        energies = [np.sum(signal.astype(np.float64) ** 2) for signal in (rendered.target, rendered.interferers[0])]
        assert ratio_db(*energies) == pytest.approx(trial.conditions["snr_db"], abs=1e-3)
        assert len(rendered.mixture) == round(trial.conditions["mixture_s"] * 8_000), "as long as the target"
    texts = {trial.query.text for trial in task}
    assert texts == {"the sound of dog bark", "the sound of rain", "the sound of door"}


def test_every_file_is_pinned(speakers: Path, tmp_path: Path) -> None:
    path = mix(speakers, "tsasr", 6, (0, 0), 1, tmp_path / "out")
    task = load_task(str(path))
    for trial in task:
        for clip in trial.clips():
            data = (speakers.parent / clip.path).read_bytes()
            assert clip.sha256 == hashlib.sha256(data).hexdigest()
        assert trial.transcript == f"{trial.conditions['speaker']} says {Path(trial.sources[0].path).stem[-1]}"
    changed = trial.sources[0].path
    tone(speakers.parent / changed, 999)
    with pytest.raises(UsageError, match="is not the file that the trial list names"):
        task.stage.render(trial)


def test_the_order_of_lines_means_nothing(speakers: Path, tmp_path: Path) -> None:
    first = Manifest(mix(speakers, "tse", 8, (0, 5), 3, tmp_path / "one")).digest
    head, *lines = speakers.read_text().splitlines()
    speakers.write_text("\n".join([head, *reversed(lines)]))
    assert Manifest(mix(speakers, "tse", 8, (0, 5), 3, tmp_path / "two")).digest == first


def test_rate_and_length_can_be_chosen(speakers: Path, tmp_path: Path) -> None:
    task = load_task(str(mix(speakers, "tse", 4, (0, 0), 1, tmp_path / "out", sample_rate=16_000, length="1.25")))
    assert all(len(task.stage.render(trial).mixture) == 20_000 for trial in task)


def test_the_most_common_rate_is_the_default(tmp_path: Path) -> None:
    for i, rate in enumerate((8_000, 16_000, 16_000, 44_100)):
        tone(tmp_path / "in" / "ab"[i % 2] / f"{i}.wav", 300 + i, rate=rate)
    assert read_corpus(tmp_path / "in", TaskKind.LASS).sample_rate() == 16_000


def test_steps_are_told(speakers: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    mix(speakers, "tse", 4, (0, 0), 1, tmp_path / "out", progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "reading the corpus"][-1][1:] == (9, 9)
    assert told[-1] == ("checking the mixtures", 4, 4)


def test_report_says_what_was_made_and_what_comes_next(speakers: Path, tmp_path: Path) -> None:
    path = mix(speakers, "tse", 5, (2, 2), 1, tmp_path / "a set", absent=1)
    text = report(path)
    used = {clip.path for trial in Manifest(path) for clip in trial.clips()}
    for words in ("6, 1 of them target-absent", f"{len(used)} used", "2 to 2 dB", "8000 Hz", Manifest(path).digest):
        assert words in text
    assert "tspbench run --system clean,mixture,oracle-ibm" in text
    assert f"--task '{path}'" in text


# What is refused. Nothing may be written.


def refused(tmp_path: Path, corpus: Path, kind: str = "tse", **settings: Any) -> str:
    known = {"trials": 3, "snr": (0, 5), "seed": 1, "out": tmp_path / "refused"} | settings
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError) as caught:
        mix(corpus, kind, **known)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"absent": -1}, "--absent must not be negative"),
        ({"snr": (5, -5)}, "Write --snr -5 5"),
        ({"snr": (math.nan, 5)}, "two finite numbers"),
        ({"length": "long"}, "expected target, min, max or a number of seconds"),
        ({"length": "0"}, "expected target, min, max or a number of seconds"),
        ({"length": "nan"}, "expected target, min, max or a number of seconds"),
        ({"sample_rate": 0}, "--sample-rate must be positive"),
        ({"kind": "tsasr", "length": "min"}, "would cut the target's words off"),
        ({"kind": "tsasr", "length": "0.4"}, "would cut words off wav/cy2.wav (0.74 s)"),
        ({"kind": "lass"}, "has no column 'label', which lass needs. Its columns are: file, speaker, sex, text, odd"),
    ],
)
def test_requests_that_make_no_sense(speakers: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, speakers, **settings)


def test_a_manifest_is_not_overwritten_unasked(speakers: Path, tmp_path: Path) -> None:
    path = mix(speakers, "tse", 2, (0, 5), 1, tmp_path / "out")
    before = path.read_bytes()
    assert "exists already" in refused(tmp_path, speakers, out=path.parent)
    mix(speakers, "tse", 3, (0, 5), 1, path.parent, force=True)
    assert path.read_bytes() != before
    assert [file.name for file in path.parent.iterdir()] == ["manifest.jsonl"]


def test_out_must_be_a_folder_that_can_be_made(speakers: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    assert "taken is a file" in refused(tmp_path, speakers, out=tmp_path / "taken")
    assert "cannot be written" in refused(tmp_path, speakers, out=tmp_path / "taken" / "below")


def test_a_corpus_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path, tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    assert "lists no recordings" in refused(tmp_path, tmp_path / "empty")
    (tmp_path / "empty.csv").write_text("")
    assert "has no column 'file'" in refused(tmp_path, tmp_path / "empty.csv")
    (tmp_path / "bytes.csv").write_bytes(b"file,speaker\n\xff\xfe,a\n")
    assert "cannot be read as CSV in UTF-8" in refused(tmp_path, tmp_path / "bytes.csv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("wav/gone.wav,ann", "line 11: {root}/wav/gone.wav does not exist"),
        ("wav/empty.wav,ann", "line 11: {root}/wav/empty.wav is empty (0 bytes)"),
        ("wav/text.wav,ann", "line 11: {root}/wav/text.wav cannot be read as audio"),
        ("wav,ann", "line 11: {root}/wav is a folder"),
        ("wav/no_samples.wav,ann", "line 11: {root}/wav/no_samples.wav is empty: it holds no samples"),
        ("../outside.wav,ann", "line 11: ../outside.wav lies outside"),
        ("/etc/hosts,ann", "line 11: /etc/hosts lies outside"),
        ("wav/link.wav,ann", "line 11: wav/link.wav lies outside"),
        ("wav/../wav/ann0.wav,ann", "line 11: wav/../wav/ann0.wav was already on line 2"),
        ("wav/bob_again.wav,ann", "is the same recording as wav/bob0.wav (bob;"),
        ("wav/ann0.wav,", "line 11: the speaker is empty"),
        (",ann", "line 11: the file is empty"),
        ("wav/single.wav,dan", "line 11: the speaker 'dan' has one recording only (wav/single.wav)"),
    ],
)
def test_lines_that_will_not_do(speakers: Path, tmp_path: Path, line: str, message: str) -> None:
    folder = speakers.parent / "wav"
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("these are words")
    soundfile.write(folder / "no_samples.wav", np.zeros(0), 8_000)
    (folder / "bob_again.wav").write_bytes((folder / "bob0.wav").read_bytes())
    tone(tmp_path / "outside.wav", 100)
    os.symlink(tmp_path / "outside.wav", folder / "link.wav")
    tone(folder / "single.wav", 123)
    file, speaker = line.split(",")
    speakers.write_text(speakers.read_text() + f"{file},{speaker},F,words,x\n")
    assert message.format(root=speakers.parent) in refused(tmp_path, speakers)


def test_many_bad_files_are_counted(speakers: Path, tmp_path: Path) -> None:
    lines = "".join(f"wav/gone{n}.wav,ann,F,words,x\n" for n in range(7))
    speakers.write_text(speakers.read_text() + lines)
    message = refused(tmp_path, speakers)
    assert message.count("does not exist") == 3
    assert "and 4 more like these" in message


def test_a_silent_file_is_named(speakers: Path, tmp_path: Path) -> None:
    soundfile.write(speakers.parent / "wav" / "ann1.wav", np.zeros(4_000), 8_000)
    message = refused(tmp_path, speakers, trials=20)
    assert f"{speakers}, line 3: wav/ann1.wav is silent throughout" in message


def test_an_interferer_that_starts_after_the_end_is_named(tmp_path: Path) -> None:
    for label, hz in (("long", 200.0), ("short", 500.0)):
        for n in range(2):
            tone(tmp_path / "in" / label / f"{n}.wav", hz + n, 0.2)
    for n in range(2):
        late = np.r_[np.zeros(8_000), 0.1 * np.sin(np.arange(2_000) + n)]
        soundfile.write(tmp_path / "in" / "long" / f"{n}.wav", late, 8_000)
    message = refused(tmp_path, tmp_path / "in", "lass", trials=4)
    assert "the interference is silent" in message
    assert "long/0.wav" in message


def test_too_few_groups(tmp_path: Path) -> None:
    for n in range(3):
        tone(tmp_path / "in" / "only" / f"{n}.wav", 200 + n)
    assert "in has 1 label(s), and a mixture needs two" in refused(tmp_path, tmp_path / "in", "lass")
    for n in range(3):
        tone(tmp_path / "in" / "two" / f"{n}.wav", 300 + n)
    assert "mixes two and asks for a third" in refused(tmp_path, tmp_path / "in", "lass", absent=1)
    assert "has no transcripts" in refused(tmp_path, tmp_path / "in", "tsasr")
    tone(tmp_path / "in" / "top.wav", 500)
    assert "top.wav lies in no sub-folder" in refused(tmp_path, tmp_path / "in", "lass")


@given(st.text(max_size=30), st.text(max_size=30))
@settings(deadline=None, max_examples=60)
def test_wild_cells_are_answered_in_words(file: str, speaker: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "list.csv")
        text = f'file,speaker\n"{file}","{speaker}"\n'.encode("utf-8", "replace")
        path.write_bytes(text)
        with pytest.raises(UsageError):
            mix(path, "tse", 2, (0, 5), 1, Path(folder, "out"))
        assert not Path(folder, "out").exists()


# Real recordings.


@needs_real
def test_real_sounds(tmp_path: Path) -> None:
    task = load_task(str(mix(REAL / "esc10.csv", "lass", 12, (-10, 10), 4, tmp_path / "out", absent=2)))
    listed = {row["file"]: row for row in csv.DictReader((REAL / "esc10.csv").open())}
    assert task.info.sample_rate == 44_100
    for trial in task:
        assert all(listed[clip.path]["sha256"] == clip.sha256 for clip in trial.clips())
        assert all(listed[clip.path]["label"] == clip.label for clip in trial.clips())
    rendered = task.stage.render(trial := next(iter(task)))
    assert rendered.target is not None
    energies = [np.sum(signal.astype(np.float64) ** 2) for signal in (rendered.target, rendered.interferers[0])]
    assert ratio_db(*energies) == pytest.approx(trial.conditions["snr_db"], abs=1e-3)


@needs_real
@pytest.mark.parametrize("kind", SPOKEN)
def test_real_speech(kind: TaskKind, tmp_path: Path) -> None:
    task = load_task(str(mix(REAL / "librispeech.csv", kind, 12, (-5, 5), 4, tmp_path / "out")))
    listed = {row["file"]: row for row in csv.DictReader((REAL / "librispeech.csv").open())}
    assert task.info.sample_rate == 16_000
    for trial in task:
        target, other = (listed[source.path] for source in trial.sources)
        assert (trial.transcript or "") == target["text"]
        assert trial.transcript or kind is TaskKind.TSE
        assert trial.conditions["gender_pair"] == target["sex"] + other["sex"]
        assert listed[trial.query.enrolment[0].path]["speaker"] == target["speaker"] != other["speaker"]
