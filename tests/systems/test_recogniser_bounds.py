from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tspbench import audio, instruments
from tspbench.errors import UnknownName
from tspbench.systems.recogniser.recogniser import Recogniser, RecogniserClean
from tspbench.types import Audio, Query, Truth

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


class Listener:
    """Writes down how many samples it heard, and how loud they were at most."""

    name = version = "listener"
    sample_rate = 16000

    def transcribe(self, samples: Audio) -> str:
        return f"{len(samples)} {np.abs(samples).max(initial=0):.2f}"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    listener = Listener()
    monkeypatch.setattr(instruments, "recogniser", lambda name: listener)
    return listener


def batch() -> tuple[Audio, np.ndarray, list[Query]]:
    mixtures = np.full((2, 8000), 0.5, np.float32)
    target = np.full(4000, 0.25, np.float32)
    queries = [Query(16000, truth=Truth(target, np.zeros((1, 4000), np.float32))), Query(16000)]
    return mixtures, np.array([4000, 8000]), queries


def test_mixture_is_heard_up_to_its_length(listener: Listener) -> None:
    system = Recogniser()
    system.load("cpu")
    assert system.transcribe(*batch()) == ["4000 0.50", "8000 0.50"]


def test_clean_target_is_heard_and_absence_is_silent(listener: Listener) -> None:
    system = RecogniserClean()
    system.load("cpu")
    assert system.transcribe(*batch()) == ["4000 0.25", ""]


def test_an_instrument_may_have_a_rate_of_its_own(listener: Listener) -> None:
    listener.sample_rate = 8000
    system = Recogniser()
    system.load("cpu")
    lengths = [int(text.split()[0]) for text in system.transcribe(*batch())]
    np.testing.assert_allclose(lengths, [2000, 4000], atol=1)


def test_unknown_instrument_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="pocketsphinx"):
        Recogniser(instrument="pocketsphynx")


def test_before_load_nothing_is_heard() -> None:
    with pytest.raises(RuntimeError, match="load"):
        Recogniser().transcribe(*batch())


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the recordings in ../shared/data are not here")
def test_clean_speech_is_understood_better_than_a_mixture() -> None:
    import jiwer

    with (DATA / "librispeech.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["text"]][:4]
    speech = [audio.read(DATA / row["file"])[0][: 8 * 16000] for row in rows]
    others = [audio.fit(x, len(y)) for x, y in zip(speech[::-1], speech, strict=True)]
    queries = [Query(16000, truth=Truth(x, other[None])) for x, other in zip(speech, others, strict=True)]
    rates = []
    for system in (Recogniser(), RecogniserClean()):
        system.load("cpu")
        texts = [
            system.transcribe((x + other)[None], np.array([len(x)]), [query])[0].lower()
            for x, other, query in zip(speech, others, queries, strict=True)
        ]
        rates.append(jiwer.wer([row["text"].lower() for row in rows], texts))
    assert rates[1] < rates[0]
