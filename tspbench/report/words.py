"""A transcript with its errors marked, word by word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tspbench.metrics.text import Spelling, normalised

Mark = list[Any]
"""``["=", word]``, ``["S", said, heard, leaked]``, ``["D", said]`` or ``["I", heard, leaked]``."""


def marks(reference: str, hypothesis: str, others: Iterable[str] = (), spelling: Spelling = "whisper") -> list[Mark]:
    """Align a hypothesis with a reference as ``wer`` does, and mark each word.

    Parameters
    ----------
    others
        What other talkers say. A wrong word that is one of theirs is marked
        ``leaked``; each word of theirs counts once, as in ``talker_leak``.
    """
    import jiwer

    found = jiwer.process_words(normalised(reference, spelling), normalised(hypothesis, spelling))
    said, heard = found.references[0], found.hypotheses[0]
    theirs = Counter(word for text in others for word in normalised(text, spelling).split())
    marked: list[Mark] = []
    for chunk in found.alignments[0]:
        left = said[chunk.ref_start_idx : chunk.ref_end_idx]
        right = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        marked += _chunk(chunk.type, left, right, theirs)
    return marked


def _chunk(kind: str, said: list[str], heard: list[str], theirs: Counter[str]) -> Iterator[Mark]:
    if kind == "equal":
        yield from (["=", word] for word in said)
    elif kind == "delete":
        yield from (["D", word] for word in said)
    elif kind == "insert":
        yield from (["I", word, _taken(word, theirs)] for word in heard)
    else:
        yield from (["S", left, right, _taken(right, theirs)] for left, right in zip(said, heard, strict=True))


def _taken(word: str, theirs: Counter[str]) -> bool:
    """Whether a word is among the others' words; it is then used up."""
    if theirs[word] <= 0:
        return False
    theirs[word] -= 1
    return True
