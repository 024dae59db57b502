"""Chunks beside the whole, where the difference has a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tspbench.profile.chunks import compare_chunks, in_chunks
from tspbench.profile.material import Excerpt
from tspbench.types import Audio, Query, Truth

N = 1000


def excerpt(seed: int = 0) -> Excerpt:
    """Samples of +1 and -1, so that every part has the same energy."""
    target = np.random.default_rng(seed).choice([-1.0, 1.0], N).astype(np.float32)
    return Excerpt("t", target.copy(), target, Query(8000, truth=Truth(target, np.zeros((1, N), np.float32))))


def forgetful(mixture: Audio, query: Query) -> Audio:
    """Loses the first ten samples of every call."""
    answer = mixture.copy()
    answer[:10] = 0
    return answer


def test_difference_in_closed_form() -> None:
    """With a share p of the target kept, SI-SDR is 10 log10(p / (1 - p))."""

    def value(share: float) -> float:
        return 10 * math.log10(share / (1 - share))

    rows = compare_chunks(forgetful, [excerpt(0), excerpt(1)], [100, 500])
    for row, lost in zip(rows, (100, 20), strict=True):
        assert row.si_sdr_whole == pytest.approx(value(0.99))
        assert row.si_sdr_chunked == pytest.approx(value(1 - lost / N))
        assert row.difference == pytest.approx(value(1 - lost / N) - value(0.99))
        assert row.trials == 2


@pytest.mark.parametrize(("chunk", "lengths"), [(300, [300, 300, 400]), (400, [400, 400, 200]), (N, [N]), (5000, [N])])
def test_the_rest(chunk: int, lengths: list[int]) -> None:
    heard: list[int] = []

    def listen(mixture: Audio, query: Query) -> Audio:
        assert query.truth is not None
        assert query.truth.interferers.shape == (1, len(mixture))
        assert np.array_equal(query.truth.target, mixture)
        heard.append(len(mixture))
        return mixture

    given = excerpt()
    assert np.array_equal(in_chunks(listen, given, chunk), given.mixture)
    assert heard == lengths


def test_silence_has_no_row() -> None:
    assert compare_chunks(lambda mixture, query: np.zeros_like(mixture), [excerpt()], [100]) == []
