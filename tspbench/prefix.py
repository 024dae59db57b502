"""The enrolment before the mixture: for systems that hear both as one signal.

A system says so beside its ``queries``, which then hold ``enrolment``::

    enrolment_prefix = {"gap_s": 1.0}

Every mixture then begins with the enrolment and a gap of silence.
``Query.prefix`` tells where the mixture itself begins, lengths include the
prefix, and what a system returns for it is cut off. So did Whisper-Sidecar
(3 s, then 0.2 s of silence; arXiv 2407.09817) and CocktailASR (1 to 4 s, then
1 s of silence; arXiv 2609.11274).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.decode import DecodeError, decode
from tspbench.errors import UsageError
from tspbench.types import Audio, Query, QueryKind

Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prefix:
    """How the enrolment is put before the mixture.

    gap_s
        Silence between the two, in seconds.
    level
        ``as_is``: as it was recorded; ``mixture``: scaled to the RMS of the mixture.
    longest_s, shortest_s
        It is cut to the first, and followed by more silence up to the second.
    """

    gap_s: float
    level: Literal["as_is", "mixture"] = "as_is"
    longest_s: float | None = None
    shortest_s: float = 0.0


def declared(name: str, value: Any, queries: frozenset[QueryKind]) -> Prefix | None:
    """What a system says of its prefix; UsageError where it makes no sense."""
    if value is None or isinstance(value, Prefix):
        prefix = value
    else:
        try:
            prefix = decode(Prefix, value)
        except DecodeError as error:
            raise UsageError(f'{name}.enrolment_prefix: {error} Write enrolment_prefix = {{"gap_s": 1.0}}.') from error
    if prefix is None:
        return None
    if QueryKind.ENROLMENT not in queries:
        raise UsageError(f'{name}.enrolment_prefix wants an enrolment: add "enrolment" to {name}.queries.')
    longest = np.inf if prefix.longest_s is None else prefix.longest_s
    if prefix.gap_s < 0 or not 0 <= prefix.shortest_s <= longest or longest <= 0:
        raise UsageError(
            f"{name}.enrolment_prefix: seconds must not be negative, nor longest_s below shortest_s; got {prefix}."
        )
    return prefix


def put_before(
    mixtures: Audio, lengths: Lengths, queries: Sequence[Query], prefix: Prefix | None
) -> tuple[Audio, Lengths, list[Query]]:
    """Mixtures (B, T), lengths (B,) and queries as a system with this prefix gets them.

    A query without an enrolment gets no prefix. Rows are shifted by prefixes of
    their own length; zeros behind them stay.
    """
    if prefix is None:
        return mixtures, lengths, list(queries)
    leads = [_lead(row[:n], query, prefix) for row, n, query in zip(mixtures, lengths, queries, strict=True)]
    sizes = np.array([len(lead) for lead in leads], dtype=np.int64)
    padding = mixtures.shape[1] - int(lengths.max())
    rows = [np.concatenate([lead, row[:n]]) for lead, row, n in zip(leads, mixtures, lengths, strict=True)]
    width = int((sizes + lengths).max()) + padding
    whole = np.stack([audio.fit(row, width) for row in rows])
    told = [replace(query, prefix=len(lead)) for query, lead in zip(queries, leads, strict=True)]
    return whole, lengths + sizes, told


def cut_off(estimates: Audio, lengths: Lengths, queries: Sequence[Query], width: int) -> Audio:
    """Estimates (B, width) of the mixtures alone; ``lengths`` and ``queries`` as :func:`put_before` gave them."""
    found = np.zeros((len(estimates), width), dtype=estimates.dtype)
    for row, estimate, length, query in zip(found, estimates, lengths, queries, strict=True):
        row[: length - query.prefix] = estimate[query.prefix : length]
    return found


def _lead(mixture: Audio, query: Query, prefix: Prefix) -> Audio:
    if not query.enrolment:
        return np.zeros(0, dtype=np.float32)
    rate = query.sample_rate
    longest = None if prefix.longest_s is None else round(prefix.longest_s * rate)
    enrolment = np.concatenate(query.enrolment)[:longest]
    levels = _rms(mixture), _rms(enrolment)
    if prefix.level == "mixture" and all(levels):
        enrolment = enrolment * np.float32(levels[0] / levels[1])
    spoken = max(len(enrolment), round(prefix.shortest_s * rate))
    return audio.fit(enrolment, spoken + round(prefix.gap_s * rate))


def _rms(signal: Audio) -> float:
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64)))) if len(signal) else 0.0
