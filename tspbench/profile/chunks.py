"""What is lost when a long recording is fed in pieces: chunks without overlap or memory, beside the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tspbench.activity import FRAME_RATE, fitted, frames_of
from tspbench.metrics.ratios import si_sdr
from tspbench.profile.future import Extract
from tspbench.profile.material import Excerpt, with_mask, with_truth
from tspbench.types import Audio


@dataclass(frozen=True)
class Chunked:
    """SI-SDR in dB, means over the same trials, of one length of chunk; ``difference`` is chunked less whole."""

    chunk_samples: int
    si_sdr_whole: float
    si_sdr_chunked: float
    difference: float
    trials: int


def compare_chunks(extract: Extract, excerpts: Sequence[Excerpt], chunks: Sequence[int]) -> list[Chunked]:
    """SI-SDR of answers to whole excerpts and to the same cut into chunks.

    Every chunk is a call of its own with the whole query; the answers are put
    end to end. Trials whose SI-SDR does not exist (silence) are passed over; no
    trial left gives no row.
    """
    rows: dict[int, list[tuple[float, float]]] = {chunk: [] for chunk in chunks}
    for excerpt in excerpts:
        assert excerpt.target is not None
        whole = si_sdr(extract(excerpt.mixture, excerpt.query), excerpt.target)
        for chunk in chunks:
            pieces = si_sdr(in_chunks(extract, excerpt, chunk), excerpt.target)
            if math.isfinite(whole) and math.isfinite(pieces):
                rows[chunk].append((whole, pieces))
    return [_mean(chunk, pairs) for chunk, pairs in rows.items() if pairs]


def in_chunks(extract: Extract, excerpt: Excerpt, chunk: int) -> Audio:
    """The answer (T,) put together from calls on ``chunk`` samples each.

    A rest of less than half a chunk goes with the chunk before it.
    """
    length = len(excerpt.mixture)
    starts = list(range(0, max(length - (chunk + 1) // 2 + 1, 1), chunk))
    ends = [*starts[1:], length]
    pieces = (_piece(excerpt, start, end) for start, end in zip(starts, ends, strict=True))
    return np.concatenate([extract(piece.mixture, piece.query) for piece in pieces])


def _piece(excerpt: Excerpt, start: int, end: int) -> Excerpt:
    rate = excerpt.query.sample_rate
    first, frames = start * FRAME_RATE // rate, frames_of(end - start, rate)
    query = with_truth(excerpt.query, lambda signal: signal[..., start:end])
    query = with_mask(query, lambda mask: fitted(mask[:, first:], frames))
    return replace(excerpt, mixture=excerpt.mixture[start:end], query=query)


def _mean(chunk: int, pairs: Sequence[tuple[float, float]]) -> Chunked:
    whole, pieces = (float(mean) for mean in np.mean(pairs, axis=0))
    return Chunked(chunk, whole, pieces, pieces - whole, len(pairs))
