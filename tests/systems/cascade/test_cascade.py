"""Two systems in a row: what passes between them, what is refused, and where an oracle's cascade lies."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench import audio
from tspbench.errors import UnknownName, UsageError
from tspbench.systems.cascade.cascade import Cascade
from tspbench.types import Audio, Query, QueryKind, Truth

DATA = Path(__file__).parents[3] / ".." / "shared" / "data"
PARTS = '''
import numpy as np

class Louder:
    """Works at 8 kHz; three times the mixture, or NaN."""
    sample_rate = 8000
    queries = frozenset({"audio"})

    def __init__(self, factor: float = 3.0, broken: bool = False):
        self.factor, self.broken = factor, broken

    def extract(self, mixtures, lengths, queries):
        return mixtures * (np.nan if self.broken else self.factor)

class Ear:
    """Writes down how much it heard, and how loud."""
    sample_rate = 16000

    def transcribe(self, mixtures, lengths, queries):
        rows = zip(mixtures, lengths, queries)
        return [f"{n} {np.abs(row[:n]).max():.2f} {query.sample_rate}" for row, n, query in rows]
'''


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return path


def heard(system: Cascade) -> list[str]:
    system.load("cpu")
    mixtures = np.full((2, 800), 0.25, np.float32)
    return system.transcribe(mixtures, np.array([400, 800]), [Query(8000)] * 2)


def test_the_recogniser_hears_the_estimate_at_its_own_rate(parts: Path) -> None:
    system = Cascade(f"{parts}:Louder", f"{parts}:Ear", "factor=2")
    assert system.sample_rate == 8000
    assert system.queries == {QueryKind.AUDIO}
    texts = [text.split() for text in heard(system)]
    assert [(text[0], text[2]) for text in texts] == [("800", "16000"), ("1600", "16000")]
    assert [float(text[1]) for text in texts] == pytest.approx([0.5, 0.5], abs=0.15)  # the filter rings at the edges


def test_what_exceeds_full_scale_is_turned_down(parts: Path) -> None:
    for text in heard(Cascade(f"{parts}:Louder", f"{parts}:Ear", "factor=100")):
        assert float(text.split()[1]) == 1.0


def test_an_estimate_that_is_no_number_is_an_error(parts: Path) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        heard(Cascade(f"{parts}:Louder", f"{parts}:Ear", "factor=2,broken=true"))


def test_the_code_of_a_users_part_is_part_of_the_identity(parts: Path) -> None:
    assert Cascade(f"{parts}:Louder", "recogniser").weight_files() == [parts]
    assert Cascade("oracle-irm", "recogniser").weight_files() == []


def test_refusals(parts: Path) -> None:
    with pytest.raises(UsageError, match="cascade needs an extractor"):
        Cascade().weight_files()
    with pytest.raises(UnknownName, match="oracle-irm"):
        Cascade("oracle-irn")
    with pytest.raises(UsageError, match="does not return a waveform"):
        Cascade("recogniser")
    with pytest.raises(UsageError, match="does not return words"):
        Cascade("oracle-irm", "oracle-irm")
    with pytest.raises(UsageError, match="wants to be told truth"):
        Cascade("oracle-irm", "recogniser-clean")
    with pytest.raises(UsageError, match="extractor=oracle-irm: OracleIRM has no option 'exponents'"):
        Cascade("oracle-irm", extractor_options="exponents=1")
    with pytest.raises(UsageError, match="expected name=value"):
        Cascade("oracle-irm", extractor_options="exponent")


def run(out: Path, system: str, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tspbench", "run", "--system", system, "--task", "tsasr-demo", "--metrics", "wer"]
    subprocess.run([*command, "--limit", "6", "--out", str(out), *more], check=True, capture_output=True)
    return {name: json.loads((out / f"{name}.json").read_text()) for name in ("run", "summary")}


@pytest.mark.slow
def test_an_oracles_cascade_lies_between_mixture_and_clean(tmp_path: Path) -> None:
    oracle = ("--option", "extractor=oracle-irm")
    rows = {"recogniser": run(tmp_path / "a", "recogniser"), "clean": run(tmp_path / "b", "recogniser-clean"),
            "cascade": run(tmp_path / "c", "cascade", *oracle)}  # fmt: skip
    rate = {name: row["summary"]["metrics"]["wer"]["mean"] for name, row in rows.items()}
    assert rate["clean"] <= rate["cascade"] < rate["recogniser"]
    assert rows["cascade"]["run"]["role"] == "bound"
    assert rows["cascade"]["run"]["side_information"] == ["the target"]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the recordings in ../shared/data are not here")
def test_an_oracles_cascade_helps_on_recorded_speech() -> None:
    import jiwer

    with (DATA / "librispeech.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["text"]][:6]
    speech = [audio.read(DATA / row["file"])[0][: 8 * 16_000] for row in rows]
    others = [audio.fit(x, len(y)) for x, y in zip(speech[::-1], speech, strict=True)]
    rates = []
    for extractor in ("mixture", "oracle-irm", "clean"):
        system = Cascade(extractor)
        system.load("cpu")
        texts = [one(system, x, other) for x, other in zip(speech, others, strict=True)]
        rates.append(jiwer.wer([row["text"].lower() for row in rows], [text.lower() for text in texts]))
    assert rates[2] <= rates[1] < rates[0]


def one(system: Cascade, target: Audio, other: Audio) -> str:
    query = Query(16_000, truth=Truth(target, other[None]))
    return system.transcribe((target + other)[None], np.array([len(target)]), [query])[0]
