from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.metrics.text import normalised

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

# whisper/normalizers/english.json of openai-whisper 20250625, keys sorted.
SPELLINGS_SHA256 = "a9514fed7a5a462d97b9a7a2f93d38e7ec098ad2dd4171096b9d9e7b2a8ccdec"

VOCABULARY = """
one two three eleven twenty thirty hundred thousand million half first third twentieth oh zero point double triple
and a per cent percent dollars pounds euros cents minus 3 40 1960s 2.5 1,000 $20 £3 % 12th 10:30 ten-year-old
can't won't he's I'd they've let's gonna wanna y'all O'Brien's 'cause cause mr. mrs dr. prof st.
colour honour theatre organise jewellery travelled grey naïve œuvre Ångström [noise] (laughs) <unk> um hmm
- — ... , ?
"""
WORDS = VOCABULARY.split()

# sha256 of the lines that whisper.normalizers.EnglishTextNormalizer of openai-whisper 20250625 made, stripped: of
# made_up(20_000), and of the texts of TS-Whisper's test.json.
OPENAI_SHA256 = {
    "made up": "ffdd44ef6d6ceae7cd3e93c8bffe150f15a44397c2c20ff771323acaf55af3ca",
    "references": "2aaa9960efef129cb72b3d5d112f10e6dffb8d705ad98b6dd3511ddf3632fc9e",
}


def made_up(number: int) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(10))) for _ in range(number)]


def references() -> list[str]:
    """The 6,000 texts of TS-Whisper's list."""
    if not DATA.is_dir():
        pytest.skip("no published lists: ../shared/data is absent")
    lines = (DATA / "lists" / "ts-whisper" / "test.json").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def lines_sha256(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(normalised(text, "whisper") for text in texts).encode()).hexdigest()


@pytest.fixture(scope="module")
def reference() -> Callable[[str], str]:
    """The English normaliser of transformers, an independent copy of OpenAI's, on OpenAI's spelling map."""
    module = pytest.importorskip("transformers.models.whisper.english_normalizer")
    text = resources.files("whisper_normalizer").joinpath("normalizers/english.json").read_text()
    spellings = json.loads(text)
    assert hashlib.sha256(json.dumps(spellings, sort_keys=True).encode()).hexdigest() == SPELLINGS_SHA256
    normaliser = module.EnglishTextNormalizer(spellings)
    return lambda text: normaliser(text).strip()


@settings(max_examples=300, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=9))
def test_made_up_sentences_equal_the_reference(reference: Callable[[str], str], words: list[str]) -> None:
    text = " ".join(words)
    assert normalised(text, "whisper") == reference(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_equals_the_reference(reference: Callable[[str], str], text: str) -> None:
    assert normalised(text, "whisper") == reference(text)


def test_published_references_equal_the_reference(reference: Callable[[str], str]) -> None:
    texts = references()
    with (DATA / "librispeech.csv").open() as file:
        texts += [row["text"] for row in csv.DictReader(file)]
    assert len(texts) > 6000
    assert [text for text in texts if normalised(text, "whisper") != reference(text)] == []


def test_made_up_sentences_equal_openais_own() -> None:
    assert lines_sha256(made_up(20_000)) == OPENAI_SHA256["made up"]


def test_published_references_equal_openais_own() -> None:
    texts = references()
    assert sum(normalised(text, "whisper") != text.lower() for text in texts) == 1642
    assert lines_sha256(texts) == OPENAI_SHA256["references"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Twenty-one colours, mister!", "21 colors mister"),
        ("The CAUSE of it [noise] um can't be kinda sorta (laughs)", "the cause of it can not be kinda sorta"),
        ("I'd dunno", "i would dunno"),
        ("", ""),
        ("[noise]", ""),
    ],
)
def test_whispers_spelling(text: str, expected: str) -> None:
    assert normalised(text, "whisper") == expected


def test_raw_keeps_all_but_white_space() -> None:
    assert normalised(" A,\tb's \n C. ", "raw") == "A, b's C."
