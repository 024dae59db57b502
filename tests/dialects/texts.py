"""References and hypotheses: made of a small vocabulary, or of a published list where it is at hand."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from pairs import RECORDINGS

LIST = RECORDINGS / "lists" / "ts-whisper" / "test.json"
SENTENCES = (
    "MISTER O'BRIEN'S COLOUR ISN'T GREY, HE'S SAID TWENTY ONE TIMES",
    "She'd have organised the theatre for 1,250 people (or so she said) [laughter]",
    "uh well um they're gonna travel forty-two miles & won't apologise",
    "AND SO THE DOCTOR WENT HOME AT HALF PAST SEVEN O'CLOCK",
    "It cost two hundred and fifty dollars and ninety nine cents",
    "yes",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "naïve cafés aren't cheap: £3.50 a cup!",
)


def written() -> Iterator[tuple[str, str]]:
    """24 pairs of texts."""
    yield from _edited(SENTENCES * 3)


def published() -> Iterator[tuple[str, str]]:
    """The first 300 references of the published list, each with a hypothesis that a rule makes of it."""
    lines = LIST.read_text(encoding="utf-8").splitlines()[:300]
    yield from _edited([json.loads(line)["text"] for line in lines])


def _edited(references: tuple[str, ...] | list[str]) -> Iterator[tuple[str, str]]:
    for seed, text in enumerate(references):
        rng = np.random.default_rng([7, seed])
        words = text.split()
        kind = seed % 8
        if kind == 1:
            words = [word for word in words if rng.random() > 0.3]
        elif kind == 2:
            words = [word if rng.random() > 0.3 else "something" for word in words]
        elif kind == 3:
            words = words + references[(seed + 1) % len(references)].split()
        elif kind == 4:
            words = references[(seed + 1) % len(references)].split()
        elif kind == 5:
            words = []
        elif kind == 6:
            words = [word.lower() for word in words] + ["thank", "you."]
        yield text, " ".join(words)
