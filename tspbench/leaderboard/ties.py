"""Which systems of a table are not told apart: paired by trial, clustered, corrected for the number of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from tspbench.sealed import Sealed

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tie_labels(ranked: Sequence[Sealed], metric_id: str) -> dict[str, str]:
    """Letters for each result, ``a`` for the best group; results that share none are told apart.

    See :func:`tspbench.compare.tie_groups` for what a group is; a result is of several where groups overlap.
    """
    from tspbench.compare import tie_groups

    groups = tie_groups(ranked, metric_id) if ranked else []
    letters: dict[str, list[str]] = {}
    for place, group in enumerate(groups):
        for label in group:
            letters.setdefault(label, []).append(letter(place))
    apart = "" if len(groups) <= len(LETTERS) else " "
    return {label: apart.join(found) for label, found in letters.items()}


def letter(place: int) -> str:
    """a to z, then aa, ab and so on.

    >>> letter(0), letter(25), letter(26), letter(27)
    ('a', 'z', 'aa', 'ab')
    """
    before, last = divmod(place, len(LETTERS))
    return (letter(before - 1) if before else "") + LETTERS[last]
