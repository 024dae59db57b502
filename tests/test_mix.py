"""The rules of drawing, on generated corpora and on real ones."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.corpus import Corpus, Recording, read_corpus
from tspbench.draw import Rules, draw
from tspbench.errors import UsageError
from tspbench.manifest import TRIAL_ID, Manifest, write
from tspbench.mix import mix, report
from tspbench.task import load_task
from tspbench.tasks.tse_demo.make_manifest import HEADER
from tspbench.types import Role, TaskKind, Trial

REAL = Path(__file__).parents[1] / "../shared/data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data with real recordings is absent")
SPOKEN = (TaskKind.TSE, TaskKind.TSASR)


# Corpora in memory.


def recording(group: str, number: int, seconds: float = 3.0, copy_of: int | None = None, **other: Any) -> Recording:
    sha256 = hashlib.sha256(f"{group}/{number if copy_of is None else copy_of}".encode()).hexdigest()
    path = f"{group}/{number}.wav"
    return Recording(path, group, "made up", seconds=seconds, sample_rate=16_000, sha256=sha256, **other)


@st.composite
def corpora(draw_: st.DrawFn, kind: TaskKind, least_groups: int = 3) -> Corpus:
    """Two to six distinct recordings a group, some of them twice under two names."""
    found = []
    names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
    for group in sorted(draw_(st.sets(names, min_size=least_groups, max_size=6))):
        count = draw_(st.integers(2, 6))
        for number in range(count):
            seconds = draw_(st.floats(0.1, 30))
            words = draw_(st.none() | st.just(f"words {number} of {group}")) if number else f"words 0 of {group}"
            sex = draw_(st.sampled_from(["F", "M", None]))
            found.append(recording(group, number, seconds, caption=words, transcript=words, sex=sex))
        if draw_(st.booleans()):
            found.append(recording(group, count, copy_of=0, transcript="a copy", caption="a copy"))
    return Corpus("made up", Path("/nowhere"), kind, tuple(sorted(found, key=lambda one: one.path)))


kinds = st.sampled_from(list(TaskKind))
cases = kinds.flatmap(lambda kind: st.tuples(corpora(kind), st.integers(1, 40), st.integers(0, 6), st.integers(0, 999)))


def drawn(case: tuple[Corpus, int, int, int], **rules: Any) -> list[Trial]:
    corpus, trials, absent, seed = case
    return draw(corpus, Rules(trials=trials, absent=absent, seed=seed, snr=(-5, 5), **{"length": "max"} | rules))


@given(cases)
@settings(deadline=None)
def test_no_recording_has_two_roles(case: tuple[Corpus, int, int, int]) -> None:
    for trial in drawn(case):
        contents = [clip.sha256 for clip in trial.clips()]
        assert len(set(contents)) == len(contents), "copies under another name count as the same recording"


@given(cases)
@settings(deadline=None)
def test_sources_differ_and_queries_are_of_the_group_that_is_asked_for(case: tuple[Corpus, int, int, int]) -> None:
    corpus, trials, absent, _ = case
    group_of = {one.path: one.group for one in corpus.recordings}
    listed = drawn(case)
    assert [trial.target_present for trial in listed] == [True] * trials + [False] * absent
    for trial in listed:
        heard = [group_of[source.path] for source in trial.sources]
        assert len(set(heard)) == 2
        asked = trial.conditions["class" if corpus.kind is TaskKind.LASS else "speaker"]
        assert (asked in heard) == trial.target_present
        if trial.target_present:
            assert (trial.sources[0].role, heard[0]) == (Role.TARGET, asked)
        wanted = trial.query.audio if corpus.kind is TaskKind.LASS else trial.query.enrolment
        assert wanted
        assert {group_of[clip.path] for clip in wanted} == {asked}
        assert {group_of[clip.path] for clip in trial.query.negative_audio} <= set(heard) - {asked}


@given(cases)
@settings(deadline=None)
def test_targets_spread_evenly(case: tuple[Corpus, int, int, int]) -> None:
    corpus, trials, _, _ = case
    present = drawn(case)[:trials]
    able = [one for one in corpus.recordings if corpus.kind is not TaskKind.TSASR or one.transcript]
    groups = Counter({one.group: 0 for one in able})
    files = Counter({one.path: 0 for one in able})
    group_of = {one.path: one.group for one in able}
    for trial in present:
        groups[group_of[trial.sources[0].path]] += 1
        files[trial.sources[0].path] += 1
    assert max(groups.values()) - min(groups.values()) <= 1
    for group in groups:
        uses = [files[path] for path in files if group_of[path] == group]
        assert max(uses) - min(uses) <= 1


@given(cases, st.integers(1, 40))
@settings(deadline=None)
def test_the_seed_decides_and_fewer_trials_are_a_prefix(case: tuple[Corpus, int, int, int], fewer: int) -> None:
    corpus, trials, _, seed = case
    listed = drawn(case)
    assert listed == drawn(case)
    assert drawn((corpus, min(fewer, trials), 0, seed)) == listed[: min(fewer, trials)]


def test_another_seed_draws_another_list() -> None:
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(recording(g, n) for g in "abcd" for n in range(4)))
    assert drawn((corpus, 10, 0, 1)) != drawn((corpus, 10, 0, 2))


@given(cases)
@settings(deadline=None)
def test_what_is_drawn_is_a_valid_manifest(case: tuple[Corpus, int, int, int]) -> None:
    listed = drawn(case)
    assert len({trial.trial_id for trial in listed}) == len(listed)
    assert all(TRIAL_ID.fullmatch(trial.trial_id) for trial in listed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.jsonl")
        write(path, replace(HEADER, kind=case[0].kind), listed)
        assert list(Manifest(path)) == listed


@given(cases)
@settings(deadline=None)
def test_transcripts_are_carried(case: tuple[Corpus, int, int, int]) -> None:
    corpus = case[0]
    said = {one.path: one.transcript for one in corpus.recordings}
    for trial in drawn(case):
        if corpus.kind is TaskKind.LASS:
            assert {source.transcript for source in trial.sources} == {None}
            continue
        assert [source.transcript for source in trial.sources] == [said[source.path] for source in trial.sources]
        if trial.target_present:
            assert trial.transcript == said[trial.sources[0].path]
        if corpus.kind is TaskKind.TSASR:
            assert bool(trial.transcript) == trial.target_present
            assert trial.transcript is not None


@given(st.floats(-60, 60), st.floats(0, 30), st.integers(0, 99))
def test_ratios_stay_within_the_range(low: float, width: float, seed: int) -> None:
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(recording(g, n) for g in "ab" for n in range(2)))
    listed = draw(corpus, Rules(trials=20, snr=(low, low + width), seed=seed, length="target"))
    for trial in listed:
        assert trial.mix.snr_db is not None
        assert low <= trial.mix.snr_db <= low + width
        assert trial.conditions["snr_db"] == trial.mix.snr_db


def test_ratios_are_drawn_evenly() -> None:
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(recording(g, n) for g in "ab" for n in range(2)))
    ratios = [trial.mix.snr_db or 0.0 for trial in draw(corpus, Rules(trials=2000, snr=(-5, 5), length="target"))]
    counts, _ = np.histogram(ratios, bins=10, range=(-5, 5))
    assert np.abs(counts - 200).max() < 5 * math.sqrt(200 * 0.9)
    assert np.mean(ratios) == pytest.approx(0, abs=4 * 10 / math.sqrt(12 * 2000))


@pytest.mark.parametrize(
    ("length", "span", "overlap"),
    [("max", 4.0, 0.25), ("min", 1.0, 1.0), (2.0, 2.0, 0.5), (9.0, 9.0, 0.25)],
)
def test_overlap_is_the_share_in_which_both_sound(length: Any, span: float, overlap: float) -> None:
    listed = [recording("a", n, 4.0) for n in range(2)] + [recording("b", n, 1.0) for n in range(2)]
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(listed))
    for trial in draw(corpus, Rules(trials=6, snr=(0, 0), length=length)):
        assert (trial.conditions["mixture_s"], trial.conditions["overlap"]) == (span, overlap)
        assert trial.conditions["enrolment_s"] == (4.0 if trial.conditions["speaker"] == "a" else 1.0)


def test_gender_pair_names_the_target_first_and_is_open_where_unknown() -> None:
    sexes: Mapping[str, str | None] = {"a": "F", "b": "M", "c": None}
    listed = tuple(recording(group, n, sex=sex) for group, sex in sexes.items() for n in range(2))
    for trial in draw(Corpus("x", Path(), TaskKind.TSE, listed), Rules(trials=12, snr=(0, 0), length="max")):
        pair = (trial.conditions["speaker"], trial.conditions["interferer_speaker"])
        assert trial.conditions["gender_pair"] == {("a", "b"): "FM", ("b", "a"): "MF"}.get(pair)


def test_captions_are_the_query_and_labels_stand_in_for_them() -> None:
    listed = [recording("dog", n, caption=f"dog number {n}") for n in range(4)] + [recording("rain", n) for n in (0, 1)]
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(listed))
    for trial in draw(corpus, Rules(trials=8, snr=(0, 0), length="target")):
        texts = {"dog": None, "rain": "the sound of rain"}
        texts["dog"] = f"dog number {next(s.path[4] for s in trial.sources if s.label == 'dog')}"
        target, other = (source.label for source in trial.sources)
        assert (trial.query.text, trial.query.negative_text) == (texts[str(target)], texts[str(other)])
        assert len(trial.query.audio) == (2 if target == "dog" else 1), "up to two others of the class"
        assert trial.clusters == {"clip": trial.sources[0].path, "class": target}


def test_groups_kept_apart_never_meet() -> None:
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(recording(g, n) for g in "abcde" for n in range(2)))
    apart = frozenset({frozenset("ab"), frozenset("cd")})
    for trial in drawn((corpus, 60, 10, 3), apart=apart):
        met = {str(source.speaker) for source in trial.sources} | {str(trial.conditions["speaker"])}
        assert not any(pair <= met for pair in apart)
    with pytest.raises(UsageError, match="all others are to be kept apart"):
        drawn((corpus, 5, 0, 3), apart=frozenset(frozenset((one, "a")) for one in "bcde"))


# Corpora on disk.


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
