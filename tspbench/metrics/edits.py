"""Errors between two texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["word", "character"]


@dataclass(frozen=True, slots=True)
class Edits:
    """A shortest list of edits from a reference of ``total`` words (or characters) to a hypothesis."""

    substitutions: int
    deletions: int
    insertions: int
    total: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over ``total``; an empty reference counts as one word, as in jiwer 4."""
        return self.errors / max(self.total, 1)

    @property
    def counts(self) -> dict[str, int]:
        parts = ("errors", "total", "substitutions", "deletions", "insertions")
        return {part: getattr(self, part) for part in parts}


def edits(reference: str, hypothesis: str, unit: Unit = "word") -> Edits:
    """Levenshtein alignment of two texts, by jiwer. Characters include the spaces between words."""
    import jiwer

    found = (jiwer.process_words if unit == "word" else jiwer.process_characters)(reference, hypothesis)
    total = found.hits + found.substitutions + found.deletions
    return Edits(found.substitutions, found.deletions, found.insertions, total)
