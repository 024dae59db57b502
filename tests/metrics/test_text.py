from __future__ import annotations

import csv
import hashlib
import json
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
    if not DATA.is_dir():
        pytest.skip("no published lists: ../shared/data is absent")
    lines = (DATA / "lists" / "ts-whisper" / "test.json").read_text().splitlines()
    with (DATA / "librispeech.csv").open() as file:
        texts = [json.loads(line)["text"] for line in lines] + [row["text"] for row in csv.DictReader(file)]
    assert len(texts) > 6000
    assert [text for text in texts if normalised(text, "whisper") != reference(text)] == []


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
