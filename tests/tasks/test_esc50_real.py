"""CLAPSep's ESC-50 list on the recordings at hand, from the command line to the scores.

The recordings and the list are looked up beside the repository and are no part of it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tspbench
from tspbench.errors import UsageError
from tspbench.store import read_lines
from tspbench.task import known_tasks, load_task
from tspbench.types import QueryKind

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ESC10, LISTS = DATA / "esc10", DATA / "lists" / "clapsep"
TRIALS = 171
"""Rows whose two recordings are in folds 1 to 4 of ESC-10."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ESC10.is_dir(), reason="needs the recordings in ../shared/data, which are not here"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root in which esc50:clapsep was prepared from the command line."""
    root = tmp_path_factory.mktemp("data")
    lists = [f"--list={LISTS / name}" for name in ("esc_eval.csv", "esc_eval_samples.csv")]
    command = [sys.executable, "-m", "tspbench", "data", "prepare", "esc50", "--audio", str(ESC10), *lists]
    done = subprocess.run(
        [*command, "--available", "--data-root", str(root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{TRIALS} of 7,500" in done.stdout
    return root


def test_the_published_list_is_known_and_its_part_is_available(prepared: Path) -> None:
    protocol = known_tasks()["esc50"].protocols[0]
    task = load_task("esc50", prepared, available=True)
    assert len(task) == TRIALS
    assert task.whole == 7500
    assert task.digest != protocol.digest
    with pytest.raises(UsageError, match=r"171 of 7,500 trials .*--available"):
        load_task("esc50:clapsep", prepared)


def test_options_make_cells_of_their_own(prepared: Path) -> None:
    told = load_task("esc50:clapsep[queries=all]", prepared, available=True)
    native = load_task("esc50", prepared, options=["span=native"], available=True)
    assert native.info.name == "esc50:clapsep[span=native]"
    assert len(native) == TRIALS
    assert 0 < len(told) < TRIALS, "examples of fold 5 are not here"
    trial = next(iter(told))
    rendered = told.stage.render(trial)
    query = told.stage.query(trial, frozenset({QueryKind.AUDIO}), 32000, rendered)
    assert len(query.audio) == 1
    assert len(rendered.mixture) == 320_000
    assert len(native.stage.render(next(iter(native))).mixture) < 320_000


def test_a_run_and_its_saved_estimates_score_alike(prepared: Path, tmp_path: Path) -> None:
    settings = {"available": True, "data_root": prepared}
    runs = tspbench.run(["mixture", "oracle-irm"], "esc50:clapsep", out=tmp_path / "runs", save_audio="all", **settings)
    for run in runs:
        name = run.record["identity"]["system"]["name"]
        again = tspbench.score(run.path / "audio", "esc50:clapsep", out=tmp_path / "scored" / name, **settings)
        ours, theirs = scores(run.path), scores(again.path)
        assert len({trial for trial, _ in ours}) == TRIALS
        assert ours == theirs
        assert run.record["identity"]["task"] == again.record["identity"]["task"]
        assert (again.record["identity"]["task"]["trials"], again.record["identity"]["task"]["of"]) == (TRIALS, 7500)


def scores(path: Path) -> dict[tuple[str, str], object]:
    rows = read_lines(path / "scores.jsonl")
    return {(row["trial_id"], row["metric"]): row["value"] for row in rows}
