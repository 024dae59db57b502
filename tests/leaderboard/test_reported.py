"""Published numbers: every row of the repository is valid, nothing of the fact sheets is lost, bad rows are named."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tspbench.errors import UsageError
from tspbench.leaderboard.overlap import Relation, overlaps, read_relations
from tspbench.leaderboard.reported import COLUMNS, read_reported
from tspbench.task import known_tasks

REPOSITORY = Path(__file__).resolve().parents[2]
FACTS = REPOSITORY.parent / "shared" / "facts"
GOOD = dict(
    zip(COLUMNS, ["T", "unknown", "S", "1.5", "dB", "SDR", "", "", "", "", "a paper", "second-hand"], strict=True)
)
SHEETS = [
    ("lass.md", "## 3. Published numbers", "## 4. Other metrics"),
    ("tse.md", "## 3. Published numbers", "## 4. Data layouts"),
    ("tsasr_and_metrics.md", "## 3. Published numbers", "## 4. Metrics"),
]
LEFT_OUT = {23.3, 19.9}
"""Figures that a sheet gives from memory, without a source."""


@pytest.fixture
def one_row(tmp_path: Path):
    def write(**changes: str) -> Path:
        folder = tmp_path / "reported"
        folder.mkdir(exist_ok=True)
        with (folder / "x.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerow(GOOD | changes)
        return tmp_path

    return write


def test_every_row_of_the_repository_is_valid_and_each_kind_has_many() -> None:
    found = read_reported(REPOSITORY / "leaderboards")
    assert sorted(found) == ["lass", "tsasr", "tse"]
    assert min(len(found["lass"]), len(found["tse"])) > 150
    assert len(found["tsasr"]) > 30
    tasks = known_tasks()
    protocols = {f"{name}:{protocol.name}" for name, info in tasks.items() for protocol in info.protocols} | set(tasks)
    assert {row.protocol for rows in found.values() for row in rows} - {"unknown"} <= protocols
    assert {row.certainty for row in found["tse"] if row.source.startswith("LauraTSE")} == {"weak"}


@pytest.mark.parametrize(("sheet", "start", "end"), SHEETS)
def test_every_number_of_the_fact_sheets_is_there(sheet: str, start: str, end: str) -> None:
    if not FACTS.is_dir():
        pytest.skip("the fact sheets are not beside this checkout")
    text = (FACTS / sheet).read_text(encoding="utf-8")
    section = text[text.index(start) : text.index(end)]
    scores = re.sub(
        r"^#+ .*$|\b\d{4}\.\d{5}\b|Qwen3-ASR-1\.7b|Gemini-2\.5|DiCoW v3\.3|§[\d.]+", "", section, flags=re.MULTILINE
    )
    figures = {abs(float(number)) for number in re.findall(r"(?<![\w.:/#-])\d*\.\d+(?![\w])", scores)}
    figures |= {abs(float(number)) for number in re.findall(r"/\s?(\d*\.\d+)", scores)}
    found = read_reported(REPOSITORY / "leaderboards").values()
    assert len(figures) > 10
    assert figures - {abs(float(row.value)) for rows in found for row in rows} <= LEFT_OUT


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"value": "nan"}, "value must be a finite number, got 'nan'"),
        ({"value": "9,1"}, "value must be a finite number"),
        ({"value": "1e999"}, "value must be a finite number"),
        ({"source": ""}, "source must be given"),
        ({"certainty": "secondhand"}, "Did you mean second-hand"),
        ({"metric_id": "si_sdri"}, "There is no metric called 'si_sdri'"),
        ({"protocol": "AudioCaps"}, "protocol must be a task such as audiocaps:clapsep"),
        ({"unit": "decibel"}, "unit must be dB"),
    ],
)
def test_a_bad_row_is_named_with_its_line(one_row, changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=r"x\.csv, line 2") as caught:
        read_reported(one_row(**changes))
    assert said in str(caught.value)


def test_a_row_that_stands_twice_and_a_missing_column_are_refused(one_row) -> None:
    path = one_row() / "reported" / "x.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(UsageError, match="line 3 repeats line 2"):
        read_reported(path.parents[1])
    path.write_text("task,system\nA,B\n")
    with pytest.raises(UsageError, match="the columns must be task, protocol"):
        read_reported(path.parents[1])


def test_overlap_is_found_by_the_corpus_name_whatever_its_spelling() -> None:
    known = read_relations(REPOSITORY / "leaderboards")
    assert overlaps("audiocaps:clapsep[queries=text]", ["AudioCaps train"], known) == ["AudioCaps train (same corpus)"]
    assert overlaps("libri2mix:tselm", ["LibriSpeech train-clean-100"], known) == [
        "LibriSpeech train-clean-100 (the test is mixed from another part of LibriSpeech)"
    ]
    assert overlaps("esc50:audiosep", ["FSD50K", "VoxCeleb1"], known) == ["FSD50K (both are drawn from Freesound)"]
    assert overlaps("esc50:audiosep", ["description of classes"], [Relation("esc50", "esc", "x")]) == []
    assert overlaps("libri2mix", [], known) == []


def test_a_relation_without_a_word_is_named(tmp_path: Path) -> None:
    (tmp_path / "corpora.csv").write_text("test,training,relation\nesc50,,same corpus\n")
    with pytest.raises(UsageError, match="line 2"):
        read_relations(tmp_path)
