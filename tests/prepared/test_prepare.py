"""data prepare: from a list and a folder to a task that runs, or to a sentence that says why not."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tspbench.errors import UnknownName, UsageError
from tspbench.prepared.prepare import Report, prepare
from tspbench.prepared.status import states
from tspbench.task import load_task

Toy = Any


def ready(toy: Toy, task: str = "toy", **settings: Any) -> Report:
    return prepare(task, [str(toy.sounds)], [str(toy.pairs)], **settings)


def test_a_prepared_task_renders_what_its_list_says(toy: Toy) -> None:
    report = ready(toy)
    assert (report.label, report.total, report.available, report.published) == ("toy:one", 4, 4, True)
    task = load_task("toy")
    assert task.ids == ["00", "01", "02", "03"]
    assert task.digest == report.digest
    a, _ = soundfile.read(toy.sounds / "a.wav", dtype="float32")
    rendered = task.stage.render(task.trial("00"))
    assert np.corrcoef(rendered.target, a)[0, 1] > 0.9999
    assert task.trial("00").conditions["seconds"] == pytest.approx(0.5)


def test_the_digest_is_the_same_for_every_layout_and_ending(toy: Toy, tmp_path: Path) -> None:
    first = ready(toy)
    other = tmp_path / "elsewhere"
    for name in ("a.wav", "b.wav", "sub/c.wav", "d-x.wav"):
        samples, rate = soundfile.read(toy.sounds / name)
        target = other / "x" / "y" / Path(name).with_suffix(".flac").name.replace("-x", "")
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, samples, rate)
    second = prepare("toy:one", [str(other)], [str(toy.pairs)])
    assert second.digest == first.digest
    task = load_task("toy:one")
    assert task.stage.render(task.trial("03")).mixture.any()


def test_the_protocol_is_told_by_its_list(toy: Toy) -> None:
    assert prepare("toy", [str(toy.sounds)], [str(toy.reversed)]).label == "toy:two"


def test_an_unknown_list_runs_under_its_own_name_and_digest(toy: Toy, tmp_path: Path) -> None:
    published = ready(toy)
    mine = tmp_path / "mine.csv"
    mine.write_text("target,other\na.wav,b.wav\n")
    report = prepare("toy", [str(toy.sounds)], [str(mine)])
    mark = hashlib.sha256(hashlib.sha256(mine.read_bytes()).hexdigest().encode()).hexdigest()[:8]
    assert report.label == f"toy:one~{mark}"
    assert not report.published
    assert report.digest != published.digest
    assert load_task(report.label).info.name == report.label
    assert load_task("toy:one").digest == published.digest


def test_options_make_other_cells(toy: Toy) -> None:
    ready(toy)
    both = load_task("toy:one[queries=both]")
    assert both.info.name == "toy:one[queries=both]"
    assert both.trial("00").query.negative_text == "other"
    assert both.digest != load_task("toy").digest
    assert load_task("toy[queries=text]").info.name == "toy:one"
    fast = load_task("toy", options=["rate=16k"])
    assert fast.info.sample_rate == fast.stage.sample_rate == 16_000
    assert fast.stage.render(fast.trial("00")).sample_rate == 16_000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("toy[querys=text]", "Did you mean queries"),
        ("toy[queries=texts]", "Did you mean text"),
        ("toy[queries]", "write option=value"),
        ("toy[queries=text", "write NAME"),
        ("toy[queries=text,queries=both]", "given twice"),
        ("toy:three", "no protocol of toy called 'three'"),
        ("tpy", "no task called"),
        ("lass-demo:one", "has no protocols"),
    ],
)
def test_a_name_that_means_nothing_is_refused(toy: Toy, name: str, said: str) -> None:
    ready(toy)
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        load_task(name)


def test_a_corpus_that_only_an_option_needs(toy: Toy) -> None:
    ready(toy)
    with pytest.raises(UsageError, match="0 of 4 trials"):
        load_task("toy[noise=yes]")
    prepare("toy", [f"sounds={toy.sounds}", f"noise={toy.noise}"], [str(toy.pairs)])
    task = load_task("toy[noise=yes]")
    assert len(task.stage.render(task.trial("00")).interferers) == 2


def test_without_preparation_it_says_what_to_fetch_and_what_to_type(toy: Toy) -> None:
    with pytest.raises(UsageError) as refused:
        load_task("toy")
    said = str(refused.value)
    assert "pairs.csv (4 rows; https://example.org/pairs)" in said
    assert "five sounds, https://example.org/sounds" in said
    assert "tspbench data prepare toy:one --audio DIR --list pairs.csv" in said
    assert "--task lass-demo" in said
    assert len(said.splitlines()) <= 6


def test_missing_clips_are_refused_and_nothing_is_written(toy: Toy, data_root: Path) -> None:
    (toy.sounds / "b.wav").unlink()
    with pytest.raises(UsageError, match=r"1 clip is missing: b\.wav\.") as refused:
        ready(toy)
    assert "--available" in str(refused.value)
    assert not data_root.exists()


def test_available_goes_on_and_says_how_many(toy: Toy) -> None:
    whole = ready(toy).digest
    (toy.sounds / "b.wav").unlink()
    report = ready(toy, available=True)
    assert (report.available, report.total) == (2, 4)
    assert report.digest == whole
    with pytest.raises(UsageError, match="2 of 4 trials"):
        load_task("toy")
    part = load_task("toy", available=True)
    assert (part.ids, part.whole) == (["02", "03"], 4)
    assert part.digest != whole


def test_a_complete_task_ignores_available(toy: Toy) -> None:
    ready(toy)
    assert load_task("toy", available=True).digest == load_task("toy").digest


def truncate(path: Path) -> None:
    soundfile.write(path.with_suffix(".flac"), np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), 8000)
    path.unlink()
    data = path.with_suffix(".flac").read_bytes()
    path.with_suffix(".flac").write_bytes(data[: len(data) // 2])


def corrupt(path: Path) -> None:
    path.write_bytes(b"RIFF this is no audio")


def stereo(path: Path) -> None:
    soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, (4000, 2)), 8000)


def twice(path: Path) -> None:
    for folder in ("p", "q"):
        (path.parent / folder).mkdir()
        shutil.copyfile(path, path.parent / folder / path.name)
    path.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (truncate, "1 clip is unreadable: .*b"),
        (corrupt, "1 clip is unreadable: .*b.wav"),
        (stereo, "1 clip is not as they should be: b.wav has 2 channels, not 1"),
        (twice, "1 clip is named by more than one file: p/b.wav and q/b.wav"),
    ],
)
def test_audio_of_no_use_is_named_and_available_goes_on(toy: Toy, data_root: Path, harm: Any, said: str) -> None:
    harm(toy.sounds / "b.wav")
    with pytest.raises(UsageError, match=said):
        ready(toy)
    assert not data_root.exists()
    assert ready(toy, available=True).available == 2


def test_a_wrong_rate_is_named(toy: Toy) -> None:
    toy.write_noise(toy.noise / "hum.wav", seed=1, rate=16_000)
    ready(toy)
    with pytest.raises(UsageError, match=r"hum.wav is at 16000 Hz, not 8000 Hz"):
        prepare("toy[noise=yes]", [f"sounds={toy.sounds}", f"noise={toy.noise}"], [str(toy.pairs)])


def test_silent_and_full_scale_clips_are_counted(toy: Toy) -> None:
    soundfile.write(toy.sounds / "a.wav", np.zeros(4000), 8000)
    soundfile.write(toy.sounds / "b.wav", np.sign(np.sin(np.arange(4000))), 8000)
    found = ready(toy).inventory.found
    assert [clip for clip, row in found.items() if row.silent] == ["sounds/a.wav"]
    assert [clip for clip, row in found.items() if row.clipped] == ["sounds/b.wav"]


def test_checksums_find_the_wrong_file(toy: Toy, tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    right = hashlib.sha256((toy.sounds / "a.wav").read_bytes()).hexdigest()
    sums.write_text(f"{right}  sounds/a.wav\n{'0' * 64} *b.wav\n")
    with pytest.raises(UsageError, match=r"b\.wav is not the file of the checksum list"):
        ready(toy, checksums=sums)
    sums.write_text("nonsense\n")
    with pytest.raises(UsageError, match="line 1: expected a sha256"):
        ready(toy, checksums=sums)


def test_the_wrong_folder_is_said_to_be_so(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"4 clips are missing: .*right folder"):
        prepare("toy", [str(tmp_path / "empty")], [str(toy.pairs)], available=True)
    with pytest.raises(UsageError, match="is not a folder"):
        prepare("toy", [str(tmp_path / "nowhere")], [str(toy.pairs)])
    with pytest.raises(UsageError, match=r"has no corpus 'sound'. Did you mean sounds"):
        prepare("toy", [f"sound={toy.sounds}"], [str(toy.pairs)])


def test_lists_that_fit_no_role_are_refused(toy: Toy, tmp_path: Path) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_text("x,y\n1,2\n")
    with pytest.raises(UsageError, match="its first line has x, y"):
        prepare("toy", [str(toy.sounds)], [str(odd)])
    with pytest.raises(UsageError, match="there is no such file"):
        prepare("toy", [str(toy.sounds)], ["nowhere.csv"])
    with pytest.raises(UsageError, match=r"needs pairs.csv"):
        prepare("toy", [str(toy.sounds)], [str(toy.captions)])
    with pytest.raises(UsageError, match="Two files were given for list"):
        prepare("toy", [str(toy.sounds)], [str(toy.pairs), f"list={toy.reversed}"])
    with pytest.raises(UsageError, match="Did you mean list"):
        prepare("toy", [str(toy.sounds)], [f"lists={toy.pairs}"])


def test_a_data_root_that_cannot_be_written(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be written .* --data-root"):
        ready(toy, data_root=tmp_path / "file")


def test_an_own_data_root_is_used(toy: Toy, tmp_path: Path) -> None:
    ready(toy, data_root=tmp_path / "own")
    assert load_task("toy", tmp_path / "own").ids
    with pytest.raises(UsageError, match="not prepared"):
        load_task("toy")


def test_a_bundled_task_needs_no_preparation(toy: Toy) -> None:
    with pytest.raises(UsageError, match="ready as it is"):
        prepare("lass-demo", [str(toy.sounds)], [])
    with pytest.raises(UnknownName):
        prepare("tooy", [str(toy.sounds)], [])


def test_status_says_what_is_ready_and_what_to_bring(toy: Toy, data_root: Path) -> None:
    def found() -> dict[str, tuple[str, str]]:
        return {state.task: (state.state, state.trials) for state in states()}

    assert found()["toy:one"] == ("not prepared", "")
    (toy.sounds / "b.wav").unlink()
    ready(toy, available=True)
    assert found()["toy:one"] == ("partly", "2 of 4")
    assert found()["lass-demo"] == ("ready", "bundled")
    record = data_root / "toy" / "one" / "prepared.json"
    record.write_text("{")
    assert found()["toy:one"][0] == "broken"
    record.write_text(json.dumps({"schema": 99}))
    assert found()["toy:one"][0] == "broken"


def test_a_cell_is_made_again_where_the_cache_was_emptied(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ready(toy).digest
    toy.pairs.unlink()
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path / "other_cache"))
    assert load_task("toy").digest == digest
