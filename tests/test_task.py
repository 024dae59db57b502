"""Tasks: finding them, reading below their root only, and telling systems what they asked to know."""

from __future__ import annotations

import importlib.metadata
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench import audio, manifest
from tspbench.errors import AudioError, ManifestError, UnknownName, UsageError
from tspbench.manifest import Manifest
from tspbench.task import FileReader, Stage, Task, TaskInfo, known_tasks, load_task, servable
from tspbench.types import Activity, Clip, Mix, QueryKind, QueryRecipe, Role, Source, TaskKind, Trial

Tiny = Callable[..., Path]
RATE = 8000


def tone(path: Path, seconds: float = 0.5, rate: int = RATE) -> np.ndarray:
    samples = (0.3 * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return samples


@pytest.mark.parametrize(
    "path", ["../outside.wav", "a/../../outside.wav", "{outside}", "link.wav", "folder/outside.wav"]
)
def test_nothing_outside_the_data_root_is_opened(tmp_path: Path, path: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.wav"
    root.mkdir()
    tone(outside)
    (root / "link.wav").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    clip = Clip(path.format(outside=outside))
    for touch in (FileReader(root).read, FileReader(root).check):
        with pytest.raises(ManifestError, match="points outside the data root"):
            touch(clip)


def test_links_and_dots_that_stay_inside_are_fine(tmp_path: Path) -> None:
    samples = tone(tmp_path / "real" / "a" / "x.wav")
    (tmp_path / "real" / "link.wav").symlink_to(tmp_path / "real" / "a" / "x.wav")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    for path in ("a/x.wav", "link.wav", "a/../a/x.wav"):
        np.testing.assert_array_equal(FileReader(tmp_path / "root").read(Clip(path))[0], samples)


def test_check_finds_a_start_past_the_end_without_reading(tmp_path: Path) -> None:
    tone(tmp_path / "x.wav", seconds=0.5)
    reader = FileReader(tmp_path)
    reader.check(Clip("x.wav", start_s=0.49))
    with pytest.raises(AudioError, match=r"x\.wav lasts 0\.500 s, but the trial starts reading at 0\.5 s"):
        reader.check(Clip("x.wav", start_s=0.5))


def test_limited_takes_the_first_trials_as_a_list_of_its_own(tiny: Tiny) -> None:
    whole = load_task(str(tiny(6)))
    some = whole.limited(4)
    assert len(some) == 4
    assert [trial.trial_id for trial in some] == some.ids == whole.ids[:4]
    assert some.digest != whole.digest
    assert some.digest == load_task(str(tiny(4, name="four"))).digest
    for limit in (None, 6, 100):
        assert whole.limited(limit).digest == whole.digest
        assert len(whole.limited(limit)) == 6


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(tiny: Tiny, limit: int) -> None:
    with pytest.raises(UsageError, match=rf"--limit must be at least 1, got {limit}\."):
        load_task(str(tiny(2))).limited(limit)


def test_check_audio_names_the_trial_and_the_file(tiny: Tiny) -> None:
    path = tiny(4)
    (path.parent / "3.wav").unlink()
    with pytest.raises(AudioError, match=r"Trial 't1': .*3\.wav does not exist\."):
        load_task(str(path)).check_audio()


def test_check_audio_keeps_the_kind_of_error(tiny: Tiny) -> None:
    path = tiny(3)
    row = Trial("x", (Source("/etc/hosts", role=Role.TARGET),), query=QueryRecipe(text="x"))
    manifest.write(path, Manifest(path).header, [row])
    with pytest.raises(ManifestError, match=r"Trial 'x': .* points outside the data root"):
        load_task(str(path)).check_audio()


def test_check_audio_counts_every_trial_and_opens_every_recording_once(tiny: Tiny) -> None:
    task = load_task(str(tiny(5)))
    opened: list[str] = []

    class Spy(FileReader):
        def check(self, clip: Clip) -> None:
            opened.append(clip.path)
            super().check(clip)

    told: list[int] = []
    replace(task, stage=Stage(RATE, Spy(task.trials.data_root))).check_audio(told.append)
    assert told == [1, 2, 3, 4, 5]
    assert sorted(opened) == [f"{i}.wav" for i in range(7)]


def test_a_render_that_fails_names_the_trial(tiny: Tiny) -> None:
    path = tiny(2)
    task = load_task(str(path))
    (path.parent / "1.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"Trial 't0': .*1\.wav is empty"):
        task.stage.render(task.trial("t0"))


def test_the_stage_of_a_task_pickles(tiny: Tiny) -> None:
    task = load_task(str(tiny(2)))
    again = pickle.loads(pickle.dumps(task.stage))
    trial = task.trial("t1")
    np.testing.assert_array_equal(again.render(trial).mixture, task.stage.render(trial).mixture)


def test_an_unknown_task_gives_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no task called 'lass-dmeo'\. Did you mean lass-demo"):
        load_task("lass-dmeo")


def test_a_path_to_a_manifest_is_a_task(tiny: Tiny) -> None:
    path = tiny(3, kind=TaskKind.TSE, name="mine")
    info = load_task(str(path)).info
    assert (info.name, info.kind, info.sample_rate, info.cluster) == ("mine", TaskKind.TSE, RATE, "clip")
    assert info.metrics == ("si_sdr", "si_sdr_i", "snr")


def test_a_path_that_leads_nowhere_is_not_taken_for_a_name() -> None:
    for name in ("no.jsonl", "no/such"):
        with pytest.raises(ManifestError, match=f"The manifest {name} does not exist"):
            load_task(name)


def test_a_data_root_can_be_given(tiny: Tiny, tmp_path: Path) -> None:
    path = tiny(2)
    moved = tmp_path / "moved.jsonl"
    path.rename(moved)
    load_task(str(moved), path.parent).check_audio()
    with pytest.raises(AudioError):
        load_task(str(moved)).check_audio()


TOML = """name = "plugged"
kind = "tse"
sample_rate = 8000
summary = "from elsewhere"
metrics = ["si_sdr"]
data = "sound"
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that a third party installed, with one task."""
    folder = tmp_path / "thirdparty" / "voices"
    folder.mkdir(parents=True)
    sys.modules.pop("thirdparty", None)
    (folder / "__init__.py").write_text("raise RuntimeError('listing must not import tasks')")
    (folder / "task.toml").write_text(TOML)
    tone(folder / "sound" / "a.wav")
    trial = Trial("t1", (Source("a.wav", role=Role.TARGET),), query=QueryRecipe(enrolment=(Clip("a.wav"),)))
    manifest.write(folder / "manifest.jsonl", manifest.Header(TaskKind.TSE, RATE), [trial])
    (tmp_path / "thirdparty" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = importlib.metadata.EntryPoint("voices", "thirdparty.voices", "tspbench.tasks")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else [])
    return folder


def test_a_plug_in_is_found_beside_the_bundled_tasks(plugged: Path) -> None:
    assert {"plugged", "lass-demo"} <= set(known_tasks())
    task = load_task("plugged")
    assert task.info == TaskInfo(
        name="plugged", kind=TaskKind.TSE, sample_rate=RATE, summary="from elsewhere", metrics=("si_sdr",), data="sound"
    )
    task.check_audio()
    assert len(task.stage.render(task.trial("t1")).mixture) == RATE // 2


@pytest.mark.parametrize("module", ["gone", "gone.voices", "json"])
def test_a_plug_in_that_is_no_package_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    entry = importlib.metadata.EntryPoint("gone", module, "tspbench.tasks")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    assert "lass-demo" in known_tasks()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("metrics", "metricks"), r"task\.toml: metricks: no such field\. Did you mean metrics"),
        (('"tse"', '"tss"'), r"task\.toml: kind: 'tss' is not one of"),
        (("= 8000", "= = 8000"), r"task\.toml: Invalid value"),
    ],
)
def test_a_broken_declaration_is_named(plugged: Path, change: tuple[str, str], said: str) -> None:
    (plugged / "task.toml").write_text(TOML.replace(*change))
    with pytest.raises(ManifestError, match=said):
        known_tasks()


@pytest.fixture
def stage(tmp_path: Path) -> tuple[Stage, Trial]:
    for name in ("target", "other", "like", "unlike", "voice"):
        tone(tmp_path / f"{name}.wav", rate=16000)
    np.save(tmp_path / "v.npy", np.arange(4.0))
    recipe = QueryRecipe(
        text="a dog",
        negative_text="rain",
        audio=(Clip("like.wav"), Clip("like.wav", duration_s=0.1)),
        negative_audio=(Clip("unlike.wav"),),
        enrolment=(Clip("voice.wav"),),
        speaker_vector=Clip("v.npy"),
        activity_mask=Activity("energy"),
    )
    sources = (Source("target.wav", role=Role.TARGET), Source("other.wav"))
    return Stage(RATE, FileReader(tmp_path)), Trial("t", sources, Mix(snr_db=0.0), recipe)


@pytest.mark.parametrize("kind", list(QueryKind))
def test_only_what_is_declared_is_told(stage: tuple[Stage, Trial], kind: QueryKind) -> None:
    place, trial = stage
    rendered = place.render(trial)
    query = place.query(trial, frozenset({kind}), 4000, rendered)
    told = {other for other in QueryKind if (value := getattr(query, other.value)) is not None and len_of(value)}
    assert told == {kind}
    nothing = place.query(trial, frozenset(), 4000, rendered)
    assert not any(len_of(getattr(nothing, other.value)) for other in QueryKind)


def len_of(value: object) -> int:
    return 0 if value is None else len(value) if isinstance(value, tuple | str | np.ndarray) else 1


def test_all_that_is_told_is_at_the_rate_of_the_system(stage: tuple[Stage, Trial]) -> None:
    place, trial = stage
    rendered = place.render(trial)
    query = place.query(trial, frozenset(QueryKind), 4000, rendered)
    assert query.sample_rate == 4000
    assert (query.text, query.negative_text) == ("a dog", "rain")
    assert [len(clip) for clip in query.audio] == [2000, 400]
    np.testing.assert_array_equal(query.enrolment[0], audio.resample(*place.reader.read(Clip("voice.wav")), 4000))
    np.testing.assert_array_equal(query.speaker_vector, np.float32([0, 1, 2, 3]))
    np.testing.assert_array_equal(query.truth.target, audio.resample(rendered.target, RATE, 4000))
    np.testing.assert_array_equal(query.truth.interferers, audio.resample(rendered.interferers, RATE, 4000))


def test_there_is_no_truth_without_a_target(stage: tuple[Stage, Trial]) -> None:
    place, trial = stage
    absent = replace(trial, sources=trial.sources[1:], mix=Mix(length="max"))
    assert place.query(absent, frozenset({QueryKind.TRUTH}), RATE, place.render(absent)).truth is None


@pytest.mark.parametrize(
    ("declared", "recipe", "can"),
    [
        (set(), QueryRecipe(text="x"), True),
        ({"negative_text"}, QueryRecipe(text="x"), True),
        ({"text"}, QueryRecipe(text="x"), True),
        ({"text"}, QueryRecipe(audio=(Clip("a"),)), False),
        ({"text"}, QueryRecipe(text=""), False),
        ({"text", "audio"}, QueryRecipe(audio=(Clip("a"),)), True),
        ({"text", "negative_text"}, QueryRecipe(negative_text="x"), False),
        ({"enrolment"}, QueryRecipe(speaker_vector=Clip("v")), False),
        ({"truth"}, QueryRecipe(), True),
    ],
)
def test_servable(declared: set[str], recipe: QueryRecipe, can: bool) -> None:
    assert servable(frozenset(QueryKind(kind) for kind in declared), recipe) is can


@pytest.mark.parametrize("name", sorted(name for name, info in known_tasks().items() if not info.protocols))
def test_bundled_tasks_open(name: str) -> None:
    task = load_task(name)
    assert isinstance(task, Task)
    assert task.info.name == name
    assert task.info.metrics
    assert len(set(task.ids)) == len(task) > 0
