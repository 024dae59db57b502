"""One command trains the four conditionings and compares them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.systems.unpaired import train  # noqa: E402
from tspbench.systems.unpaired.conditioning import CONDITIONINGS  # noqa: E402

Command = Callable[..., Any]
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


# -- training ------------------------------------------------------------------------------------


def test_one_command_compares_the_four(trained: tuple[Path, dict[str, Any]]) -> None:
    out, rows = trained
    assert list(rows) == list(CONDITIONINGS)
    for name, row in rows.items():
        assert row["last"] < row["first"] - 1, name
        assert row["trials"] == 100
        assert row["snr_i"]["low"] <= row["snr_i"]["mean"] <= row["snr_i"]["high"]
        assert len((out / name / "losses.csv").read_text().splitlines()) == 31
    assert rows["text"]["cosine"] == pytest.approx(1)
    assert rows["audio"]["cosine"] == pytest.approx(rows["audio_noise"]["cosine"])


def test_all_four_hear_the_same_mixtures_from_the_same_weights(trained: tuple[Path, dict[str, Any]]) -> None:
    """The first loss differs by the condition alone: not at all between the sound and the sound with no noise."""
    out, _ = trained
    losses = {name: (out / name / "losses.csv").read_text().splitlines()[1].split(",")[1] for name in CONDITIONINGS}
    assert len(set(losses.values())) == 4
    assert max(map(float, losses.values())) - min(map(float, losses.values())) < 1


def test_the_same_command_again_trains_nothing_anew(
    sounds: Path, command: Command, trained: tuple[Path, dict[str, Any]]
) -> None:
    out, rows = trained
    before = {path: path.stat().st_mtime_ns for path in out.rglob("vectors.npy")}
    done = command(sounds, out, "--steps", "30")
    assert done.exit_code == 0
    assert {row["conditioning"]: row for row in json.loads((out / "comparison.json").read_text())} == rows
    assert {path: path.stat().st_mtime_ns for path in out.rglob("vectors.npy")} == before


def test_a_training_does_not_go_on_with_other_captions(
    sounds: Path, command: Command, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("a dog\nrain\n")
    done = command(sounds, trained[0], "--steps", "30", "--captions", str(tmp_path / "mine.txt"))
    assert done.exit_code == 2
    assert "is of another training: its config is" in done.output


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--conditioning", "text", "--conditioning", "tex"], "no conditioning called 'tex'"),
        (["--seconds", "0"], "--seconds 0.0: it must be more than 0"),
        (["--variance", "-1"], "--variance -1: it must not be negative"),
        (["--captions", "none.txt"], "none.txt cannot be read"),
        (["--clap", "none.pt"], "none.pt: there is no such file"),
    ],
)
def test_mistakes_are_told(sounds: Path, command: Command, tmp_path: Path, more: list[str], message: str) -> None:
    done = command(sounds, tmp_path / "out", "--steps", "1", *more)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "esc10.csv").is_file(), reason="the recordings of ../shared/data are not here")
def test_on_recordings_the_loss_falls_and_captions_separate(tmp_path: Path) -> None:
    """Ten classes, another fold to test on: each of the four learns, and each follows captions it never heard."""
    arguments = ["--corpus", str(DATA / "esc10.csv"), "--test", "fold=4", "--labelled", "fold=1,2"]
    done = CliRunner().invoke(
        train.main, [*arguments, "--steps", "300", "--out", str(tmp_path)], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    for row in json.loads((tmp_path / "comparison.json").read_text()):
        assert row["last"] < row["first"] - 0.5, row
        assert row["snr_i"]["low"] > 0, row
