"""A transcript with its errors marked, word by word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tspbench.metrics.leak import Step, attributed
from tspbench.metrics.text import Spelling, normalised

Mark = list[Any]
"""``["=", word]``, ``["S", said, heard, leaked]``, ``["D", said]`` or ``["I", heard, leaked]``."""


def marks(reference: str, hypothesis: str, others: Iterable[str] = (), spelling: Spelling = "whisper") -> list[Mark]:
    """Align a hypothesis with a reference and mark each word.

    Parameters
    ----------
    others
        What other talkers say. Words are marked ``leaked`` as ``talker_leak``
        counts them. There are as many errors as ``wer`` counts; where several
        alignments have so few, that of ``talker_leak`` is shown.
    """
    theirs = [normalised(text, spelling) for text in others]
    steps = attributed(normalised(reference, spelling), normalised(hypothesis, spelling), theirs)
    return [_mark(step) for step in steps]


def _mark(step: Step) -> Mark:
    if step.kind == "equal":
        return ["=", step.said]
    if step.kind == "delete":
        return ["D", step.said]
    if step.kind == "insert":
        return ["I", step.heard, step.leaked]
    return ["S", step.said, step.heard, step.leaked]
