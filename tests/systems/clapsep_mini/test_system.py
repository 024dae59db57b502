"""clapsep-mini as it ships: its weights, the contract, and that it separates."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tspbench
from tspbench import mix, system
from tspbench.errors import UsageError
from tspbench.tasks.lass_demo.sounds import synthesise
from tspbench.types import Audio, Query

pytest.importorskip("torch")
adapter = pytest.importorskip("tspbench.systems.clapsep_mini.adapter")

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
DIGEST = "d42b1a6c7758df6a158c8e6dbae0cee20caab0abd694177b8250f923e64fc987"
"""Of the weights that this version's tables were measured with."""
RATE = 32_000


@pytest.fixture(scope="module")
def mini() -> Any:
    loaded = adapter.CLAPSepMini()
    loaded.load("cpu")
    return loaded


def answer(mini: Any, mixture: Audio, query: Query) -> Audio:
    found: Audio = mini.extract(mixture[None], np.array([len(mixture)]), [query])[0]
    return found


def decibels(estimate: npt.NDArray[Any], target: npt.NDArray[Any]) -> float:
    """SI-SDR."""
    estimate, target = estimate.astype(np.float64), target.astype(np.float64)
    projection = (estimate @ target) / (target @ target) * target
    return float(10 * np.log10((projection @ projection) / ((estimate - projection) @ (estimate - projection))))


def test_the_weights_are_those_of_the_card_and_of_the_tables(mini: Any) -> None:
    card = system.known_systems()["clapsep-mini"].card
    assert card is not None
    (file,) = card.checkpoints
    assert file.bundled
    (path,) = mini.weight_files()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256 == DIGEST
    assert path.stat().st_size < 9_000_000


def test_all_bundled_weights_together_stay_small() -> None:
    files = list(Path(adapter.__file__).parents[1].glob("*/*.safetensors"))
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 16_000_000


def test_the_recordings_behind_the_weights_are_named() -> None:
    text = (Path(adapter.__file__).parent / "ATTRIBUTION.md").read_text()
    assert "CC BY 3.0" in text
    counts = [int(line.partition("(")[2].partition(")")[0]) for line in text.splitlines() if line.startswith("**")]
    assert counts == [24] * 10


def test_batches_and_lengths(mini: Any) -> None:
    """Shorter than a chunk, of a chunk, and of three; what lies past the end changes nothing."""
    rng = np.random.default_rng(0)
    lengths = np.array([1, 20_001, 160_000, 420_000])
    batch = np.full((4, 420_000), np.nan, np.float32)
    signals = [0.1 * rng.standard_normal(length).astype(np.float32) for length in lengths]
    for row, signal in zip(batch, signals, strict=True):
        row[: len(signal)] = signal
    queries = [Query(RATE, text=text) for text in ("rain", "a dog", "wind", "a siren")]
    together = mini.extract(batch, lengths, queries)
    assert together.shape == batch.shape
    for row, signal, query in zip(together, signals, queries, strict=True):
        assert np.isfinite(row[: len(signal)]).all()
        np.testing.assert_allclose(row[: len(signal)], answer(mini, signal, query), atol=1e-5)


@pytest.mark.parametrize("length", [1, 3000, 160_000])
def test_silence_in_silence_out(mini: Any, length: int) -> None:
    assert not answer(mini, np.zeros(length, np.float32), Query(RATE, text="rain")).any()


@pytest.mark.parametrize("gain", [1e-4, 10.0])
def test_the_level_of_a_mixture_is_kept(mini: Any, gain: float) -> None:
    mixture = synthesise("rain", 7) + synthesise("dog_bark", 8)
    query = Query(RATE, text="a dog barking")
    reference = answer(mini, mixture, query)
    found = answer(mini, np.float32(gain) * mixture, query) / gain
    np.testing.assert_allclose(found, reference, atol=1e-3 * np.abs(reference).max())


@pytest.mark.parametrize(
    "query",
    [
        Query(RATE, text=""),
        Query(RATE, text="   …   "),
        Query(RATE, text="Xylophonists rehearse Χαίρετε 雨 — " * 40),
        Query(RATE),
        Query(RATE, audio=(np.zeros(10, np.float32),)),
        Query(RATE, audio=(np.zeros(0, np.float32),), negative_text="rain"),
        Query(44_100, audio=(0.1 * np.ones(44_100 * 12, np.float32),)),
    ],
    ids=["empty", "no words", "unknown words", "nothing", "short silence", "no samples", "long, another rate"],
)
def test_odd_queries_have_finite_answers(mini: Any, query: Query) -> None:
    estimate = answer(mini, synthesise("rain", 1), query)
    assert np.isfinite(estimate).all()


def test_an_unknown_word_beside_a_known_one_changes_little(mini: Any) -> None:
    mixture = synthesise("rain", 7) + synthesise("dog_bark", 8)
    target = synthesise("dog_bark", 8)
    plain = decibels(answer(mini, mixture, Query(RATE, text="a dog barking")), target)
    odd = decibels(answer(mini, mixture, Query(RATE, text="a dog barking zwqrgl")), target)
    assert plain > decibels(mixture, target) + 3
    assert odd > plain - 3


def test_it_separates_the_demo_task(tmp_path: Path) -> None:
    """The first trials of the task; the mixture itself would score 0."""
    (run,) = tspbench.run(["clapsep-mini"], "lass-demo", limit=15, out=tmp_path, metrics=["si_sdr_i"])
    assert run.summary["metrics"]["si_sdr_i"]["mean"] > 8


@pytest.mark.parametrize("kind", ["text", "audio", "negative_text", "negative_audio"])
def test_every_kind_of_query_tells_it_something(mini: Any, kind: str) -> None:
    """One mixture, asked for either of its sounds: the answers follow the query."""
    dog, rain = synthesise("dog_bark", 21), synthesise("rain", 22)
    rain = rain * np.float32(np.linalg.norm(dog) / np.linalg.norm(rain))
    words = {"dog_bark": "a dog is barking", "rain": "rain falls"}
    given = {
        name: words[name] if kind.endswith("text") else (synthesise(name, 40), synthesise(name, 42)) for name in words
    }
    about_dog, about_rain = (
        answer(mini, dog + rain, Query(RATE, **{kind: given[name]})) for name in ("dog_bark", "rain")
    )
    to_dog, to_rain = (about_rain, about_dog) if kind.startswith("negative") else (about_dog, about_rain)
    assert decibels(to_dog, dog) > 3
    assert decibels(to_rain, rain) > 3


def test_overlaps_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="overlap_s=3"):
        adapter.CLAPSepMini(overlap_s=3.0)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "esc10").is_dir(), reason="needs the recordings in ../shared/data, which are not here")
def test_recordings_that_it_never_heard(tmp_path: Path) -> None:
    """The table of docs/bundled-systems.md: ESC-10 fold 4, two classes at 0 dB."""
    rows = (DATA / "esc10.csv").read_text().splitlines()
    shutil.copytree(DATA / "esc10", tmp_path / "esc10")
    corpus = tmp_path / "fold4.csv"
    corpus.write_text("\n".join([rows[0], *(row for row in rows[1:] if row.split(",")[2] == "4")]) + "\n")
    path = mix.mix(corpus, "lass", 160, (0, 0), 0, tmp_path / "set")
    (run,) = tspbench.run(["clapsep-mini"], path, out=tmp_path / "runs", metrics=["si_sdr_i", "wrong_target"])
    found = run.summary["metrics"]
    assert found["si_sdr_i"]["mean"] > 9
    assert found["wrong_target"]["mean"] < 0.1
