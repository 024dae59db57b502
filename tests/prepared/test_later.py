"""What was prepared stays what it was: after the cache is emptied, in other cells, where several prepare at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tspbench.errors import UsageError
from tspbench.prepared import cell
from tspbench.prepared.prepare import _put, prepare
from tspbench.task import load_task

Toy = Any


def break_late(path: Path) -> None:
    """A FLAC whose header is sound and whose second half is missing: only decoding finds out."""
    samples = 0.1 * np.random.default_rng(1).standard_normal(8000)
    path.unlink()
    soundfile.write(path.with_suffix(".flac"), samples, 8000)
    data = path.with_suffix(".flac").read_bytes()
    path.with_suffix(".flac").write_bytes(data[: len(data) // 2])


def test_a_clip_of_no_use_stays_out_of_cells_that_are_made_later(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_late(toy.sounds / "b.wav")
    report = prepare("toy", [str(toy.sounds)], [str(toy.pairs)], available=True)
    digest = load_task("toy", available=True).digest
    assert report.available == len(load_task("toy", options=["queries=both"], available=True)) == 2
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path / "emptied"))
    assert load_task("toy", available=True).digest == digest


def test_a_repaired_clip_counts_after_preparing_again(toy: Toy) -> None:
    sound = (toy.sounds / "b.wav").read_bytes()
    break_late(toy.sounds / "b.wav")
    prepare("toy", [str(toy.sounds)], [str(toy.pairs)], available=True)
    (toy.sounds / "b.flac").unlink()
    (toy.sounds / "b.wav").write_bytes(sound)
    assert prepare("toy", [str(toy.sounds)], [str(toy.pairs)]).available == 4


def test_a_list_that_was_changed_afterwards_is_refused(
    toy: Toy, tmp_path: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("toy", [str(toy.sounds)], [str(toy.pairs)])
    kept = data_root / "toy" / "one" / "lists" / "list.csv"
    kept.write_text("target,other\na.wav,b.wav\n")
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path / "emptied"))
    with pytest.raises(UsageError, match=r"list\.csv was changed after it was prepared"):
        load_task("toy")
    kept.unlink()
    with pytest.raises(UsageError, match=r"list\.csv cannot be read: No such file"):
        load_task("toy")


def test_a_cell_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    staging, folder = tmp_path / "staging", tmp_path / "cell"
    for path, text in ((staging, "mine"), (folder, "theirs")):
        path.mkdir()
        (path / "inventory.json").write_text(text)
    cell._keep(staging, folder)
    assert (folder / "inventory.json").read_text() == "theirs"
    (folder / "inventory.json").rename(folder / "half")  # one that was deleted by halves is replaced
    cell._keep(staging, folder)
    assert [path.name for path in folder.iterdir()] == ["inventory.json"]


PUT = """
import sys
from pathlib import Path
from tspbench.prepared.prepare import _put
home = Path(sys.argv[1])
for k in range(60):
    staging = home / f"staging-{sys.argv[2]}-{k}"
    staging.mkdir()
    (staging / "record").write_text(sys.argv[2])
    _put(staging, home / "ready")
"""


def test_several_may_prepare_one_protocol_at_once(tmp_path: Path) -> None:
    jobs = [subprocess.Popen([sys.executable, "-c", PUT, str(tmp_path), name]) for name in "abc"]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]
    assert (tmp_path / "ready" / "record").read_text() in "abc"


def test_what_cannot_be_put_is_said_and_the_old_stays(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "record").touch()
    with pytest.raises(FileNotFoundError):
        _put(tmp_path / "nothing", tmp_path / "ready")
    assert (tmp_path / "ready" / "record").exists()
