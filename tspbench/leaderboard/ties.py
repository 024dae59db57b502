"""Which systems of a table are not told apart: paired by trial, clustered, corrected for the number of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from tspbench.sealed import Sealed

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tie_labels(ranked: Sequence[Sealed], metric_id: str) -> dict[str, str]:
    """A letter for each result, ``a`` for the best group; equal letters are not told apart.

    See :func:`tspbench.compare.tie_groups` for what a group is.
    """
    from tspbench.compare import tie_groups

    groups = tie_groups(ranked, metric_id) if ranked else []
    return {label: letter(place) for place, group in enumerate(groups) for label in group}


def letter(place: int) -> str:
    """a to z, then aa, ab and so on.

    >>> letter(0), letter(25), letter(26), letter(27)
    ('a', 'z', 'aa', 'ab')
    """
    before, last = divmod(place, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[last]
