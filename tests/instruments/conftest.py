"""Recorded speech for the instruments, where it is at hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from tspbench.types import Audio

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


@dataclass(frozen=True)
class Utterance:
    samples: Audio
    speaker: str
    text: str


@pytest.fixture(scope="session")
def utterances() -> list[Utterance]:
    """LibriSpeech utterances at 16 kHz, shortest first."""
    if not (DATA / "librispeech.csv").is_file():
        pytest.skip("no recordings: ../shared/data is absent")
    with (DATA / "librispeech.csv").open() as file:
        rows = list(csv.DictReader(file))
    read = [(soundfile.read(DATA / row["file"], dtype="float32")[0], row) for row in rows]
    found = [Utterance(samples, row["speaker"], row["text"]) for samples, row in read]
    return sorted(found, key=lambda utterance: utterance.samples.size)
