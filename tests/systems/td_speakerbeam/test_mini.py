"""td-speakerbeam-mini: that the bundled weights separate the demo tasks' voices, and follow the enrolment."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

import tspbench  # noqa: E402
from tspbench.errors import UsageError  # noqa: E402
from tspbench.system import known_systems  # noqa: E402
from tspbench.systems.td_speakerbeam import checkpoint, model  # noqa: E402
from tspbench.systems.td_speakerbeam.adapter import TDSpeakerBeamMini  # noqa: E402
from tspbench.tasks import demo_voices, tse_demo  # noqa: E402
from tspbench.types import Query  # noqa: E402

VOICES = Path(demo_voices.__file__).parent
NAME = "td-speakerbeam-mini"
SOME = slice(0, 60, 10)


@pytest.fixture(scope="module")
def system() -> TDSpeakerBeamMini:
    found = TDSpeakerBeamMini()
    found.load("cpu")
    return found


def heard(file: str) -> np.ndarray:
    return soundfile.read(VOICES / file, dtype="float32")[0]


def other_utterance(speaker: str, file: str) -> np.ndarray:
    with (VOICES / "utterances.csv").open(encoding="utf-8") as table:
        files = [row["file"] for row in csv.DictReader(table) if row["speaker"] == speaker and row["file"] != file]
    return heard(files[0])


def trials() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Some trials of tse-demo, mixed here: target, interferer, and an enrolment of each."""
    lines = (Path(tse_demo.__file__).with_name("manifest.jsonl")).read_text(encoding="utf-8").splitlines()[1:]
    present = [each for each in map(json.loads, lines) if each["conditions"]["target_present"]]
    for trial in present[SOME]:
        one, other = (each["path"] for each in trial["sources"])
        length = max(len(heard(one)), len(heard(other)))
        target, interferer = (np.pad(x, (0, length - len(x))) for x in (heard(one), heard(other)))
        gain = 10 ** (-trial["mix"]["snr_db"] / 20)  # every utterance is at -26 dBFS
        enrolments = (
            heard(trial["query"]["enrolment"][0]["path"]),
            other_utterance(trial["sources"][1]["speaker"], other),
        )
        yield target, np.float32(gain) * interferer, *enrolments


def si_sdr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """As its authors define it, dB; means removed."""
    estimate, reference = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (estimate, reference))
    scaled = reference * (estimate @ reference) / (reference @ reference)
    return float(10 * np.log10((scaled @ scaled) / np.sum((estimate - scaled) ** 2)))


def extracted(system: TDSpeakerBeamMini, mixture: np.ndarray, enrolment: np.ndarray) -> np.ndarray:
    query = Query(16000, enrolment=(enrolment,))
    return np.asarray(system.extract(mixture[None], np.array([len(mixture)]), [query])[0])


def test_the_file_is_small_and_what_its_card_says() -> None:
    card = known_systems()[NAME].card
    assert card is not None
    (published,) = card.checkpoints
    path = Path(checkpoint.__file__).with_name(published.file)
    content = path.read_bytes()
    assert published.bundled
    assert hashlib.sha256(content).hexdigest() == published.sha256
    assert len(content) == published.size <= 4_000_000
    assert {tensor.dtype for tensor in checkpoint.read(path).values()} == {torch.float16}
    network = checkpoint.load(checkpoint.read(path), path)
    assert network.config == model.MINI_16K
    parameters = sum(each.numel() for each in network.parameters())
    assert f"{parameters:,} parameters" in card.description


def test_a_file_that_does_not_say_its_network_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = model.build(model.MINI_16K).state_dict()
    save_file(state, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match="does not say what network it is of"):
        TDSpeakerBeamMini(checkpoint=tmp_path / "bare.safetensors").load("cpu")


def test_it_separates_and_the_enrolment_decides_whom(system: TDSpeakerBeamMini) -> None:
    gains, other_gains, followed = [], [], []
    for target, interferer, mine, theirs in trials():
        mixture = target + interferer
        one, other = extracted(system, mixture, mine), extracted(system, mixture, theirs)
        gains.append(si_sdr(one, target) - si_sdr(mixture, target))
        other_gains.append(si_sdr(other, interferer) - si_sdr(mixture, interferer))
        followed += [si_sdr(one, target) > si_sdr(one, interferer), si_sdr(other, interferer) > si_sdr(other, target)]
    assert np.mean(gains) > 7
    assert np.mean(other_gains) > 7
    assert np.mean(followed) > 0.9


def test_the_level_is_the_targets(system: TDSpeakerBeamMini) -> None:
    for target, interferer, mine, _ in trials():
        estimate = extracted(system, target + interferer, mine)
        assert 10 * np.log10(np.sum(estimate**2) / np.sum(target**2)) == pytest.approx(0, abs=2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_figures_of_the_page(tmp_path: Path) -> None:
    """docs/bundled-systems.md: what the bundled file reached; fewer than one in twenty wrong."""
    (run,) = tspbench.run([NAME], task="tse-demo", metrics=["si_sdr_i", "wrong_target"], out=tmp_path / "run")
    metrics = json.loads((run.path / "summary.json").read_text())["metrics"]
    assert metrics["si_sdr_i"]["mean"] > 10
    assert metrics["wrong_target"]["mean"] < 0.05
