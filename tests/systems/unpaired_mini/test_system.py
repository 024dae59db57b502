"""unpaired-mini as it ships: its weights, the contract, and that it follows captions."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tspbench
from tspbench import mix, system
from tspbench.errors import UsageError
from tspbench.systems.weights import find
from tspbench.tasks.lass_demo.sounds import synthesise
from tspbench.types import Audio, Query, QueryKind

pytest.importorskip("torch")
adapter = pytest.importorskip("tspbench.systems.unpaired_mini.adapter")

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
DIGEST = "889e7b5ee5e9c5f4244fcee26f33244e04699276bbd98d697552066069e39651"
"""Of the weights that the tables of docs/bundled-systems.md were measured with."""
RATE = 32_000


@pytest.fixture(scope="module")
def mini() -> Any:
    loaded = adapter.UnpairedMini()
    loaded.load("cpu")
    return loaded


def answer(mini: Any, mixture: Audio, text: str) -> Audio:
    found: Audio = mini.extract(mixture[None], np.array([len(mixture)]), [Query(RATE, text=text)])[0]
    return found


def si_sdr(estimate: Audio, target: Audio) -> float:
    scaled = (estimate @ target) / (target @ target) * target
    return float(10 * np.log10((scaled @ scaled) / ((scaled - estimate) @ (scaled - estimate))))


def test_the_weights_are_those_of_the_card_and_the_encoder_is_clapsep_minis(mini: Any) -> None:
    cards = [system.known_systems()[name].card for name in ("unpaired-mini", "clapsep-mini")]
    assert cards[0] is not None
    assert cards[1] is not None
    (own,) = cards[0].checkpoints
    separator, encoder = mini.weight_files()
    assert hashlib.sha256(separator.read_bytes()).hexdigest() == own.sha256 == DIGEST
    assert separator.stat().st_size < 3_500_000
    assert encoder == find(cards[1], "checkpoint", None)


def test_it_is_told_by_captions_alone(mini: Any) -> None:
    assert mini.queries == {QueryKind.TEXT}


def test_the_answer_follows_the_caption(mini: Any) -> None:
    """One mixture, asked for either of its sounds."""
    dog, rain = synthesise("dog_bark", 21), synthesise("rain", 22)
    rain = rain * np.float32(np.linalg.norm(dog) / np.linalg.norm(rain))
    assert si_sdr(answer(mini, dog + rain, "a dog is barking"), dog) > 3
    assert si_sdr(answer(mini, dog + rain, "rain falls"), rain) > 3


@pytest.mark.parametrize("length", [1, 3000, 160_000])
def test_silence_in_silence_out(mini: Any, length: int) -> None:
    assert not answer(mini, np.zeros(length, np.float32), "rain").any()


def test_it_separates_the_demo_task(tmp_path: Path) -> None:
    """The first trials of the task; the mixture itself would score 0."""
    (run,) = tspbench.run(["unpaired-mini"], "lass-demo", limit=15, out=tmp_path, metrics=["si_sdr_i"])
    assert run.summary["metrics"]["si_sdr_i"]["mean"] > 5


def test_another_clapsep_minis_weights_are_refused(tmp_path: Path) -> None:
    import torch

    from tspbench.systems.clapsep_mini import files, model

    torch.manual_seed(0)
    encoder = model.Encoder()
    files.write(tmp_path, encoder, model.Separator(encoder))
    with pytest.raises(UsageError, match="trained with another encoder"):
        adapter.UnpairedMini(encoder=tmp_path / files.NAME).load("cpu")


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason="needs the recordings in ../shared/data, which are not here")
def test_recordings_that_it_never_heard(tmp_path: Path) -> None:
    """The table of docs/bundled-systems.md: ESC-10 fold 4, two classes at 0 dB."""
    rows = (DATA / "esc10.csv").read_text().splitlines()
    shutil.copytree(DATA / "esc10", tmp_path / "esc10")
    corpus = tmp_path / "esc10-fold4.csv"
    corpus.write_text("\n".join([rows[0], *(row for row in rows[1:] if row.split(",")[2] == "4")]) + "\n")
    path = mix.mix(corpus, "lass", 160, (0, 0), 0, tmp_path / "esc10-fold4")
    (run,) = tspbench.run(["unpaired-mini"], path, out=tmp_path / "runs", metrics=["si_sdr_i", "wrong_target"])
    found = run.summary["metrics"]
    assert found["si_sdr_i"]["mean"] == pytest.approx(6.16, abs=0.1)
