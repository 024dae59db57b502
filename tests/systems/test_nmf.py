from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import non_negative_factorization

from tspbench.errors import UsageError
from tspbench.systems.nmf.factorise import explain, learn
from tspbench.systems.nmf.nmf import NMF
from tspbench.types import Audio, Query

RATE = 16000
Matrix = Any


def random_matrix(seed: int, *shape: int) -> Matrix:
    return (np.random.default_rng(seed).random(shape, dtype=np.float32) ** 3).astype(np.float32)


def rows_of_one(matrix: Matrix) -> Matrix:
    return matrix / matrix.sum(axis=1, keepdims=True)


def divergence(v: Matrix, model: Matrix) -> float:
    """Generalised Kullback-Leibler divergence, in double precision."""
    v, model = v.astype(np.float64), model.astype(np.float64)
    return float(np.sum(v * np.log(v / model) - v + model))


def separate(query: Query, mixture: Audio, **options: Any) -> Audio:
    return NMF(**options).extract(mixture[None], np.array([len(mixture)]), [query])[0]


def test_known_dictionary_agrees_with_sklearn() -> None:
    """Fitting the activations of a fixed dictionary is a convex problem: there is one answer."""
    v, w = random_matrix(0, 30, 40) + 0.01, rows_of_one(random_matrix(1, 5, 40) ** 2 + 0.01)
    activations, free = explain(v, w, w[:0], iterations=1000)
    expected, _, _ = non_negative_factorization(
        v.astype(np.float64),
        H=w.astype(np.float64),
        n_components=5,
        init="custom",
        update_H=False,
        solver="mu",
        beta_loss=1,
        max_iter=1000,
        tol=0,
    )
    assert free.shape == (0, 40)
    np.testing.assert_allclose(activations, expected, atol=1e-4)


def test_learning_is_as_good_as_sklearn() -> None:
    v = random_matrix(2, 60, 50) + 0.01
    w = learn(v, rank=6, iterations=500)
    h, _ = explain(v, w, w[:0], iterations=500)
    theirs_h, theirs_w, _ = non_negative_factorization(
        v, n_components=6, init="random", random_state=0, solver="mu", beta_loss=1, max_iter=500, tol=0
    )
    assert divergence(v, h @ w) < 1.05 * divergence(v, theirs_h @ theirs_w)
    np.testing.assert_allclose(w.sum(axis=1), 1, rtol=1e-4)


def test_more_iterations_never_fit_worse() -> None:
    v = random_matrix(3, 40, 30) + 0.01
    fits = []
    for iterations in (1, 3, 10, 30, 100):
        w = learn(v, 4, iterations)
        fits.append(divergence(v, explain(v, w, w[:0], 2000)[0] @ w))
    assert all(later <= earlier * 1.001 for earlier, later in pairwise(fits))
    assert fits[-1] < 0.9 * fits[0]


def test_one_component_is_the_mean_spectrum() -> None:
    v = random_matrix(4, 20, 30)
    np.testing.assert_allclose(learn(v, 1, 5)[0], v.sum(axis=0) / v.sum(), rtol=1e-4)


def test_disjoint_dictionaries_have_a_closed_form() -> None:
    """Each activation is the energy under its component, shrunk by 1 + sparsity where it is free."""
    v = random_matrix(5, 10, 6) + 0.1
    known = np.array([[0.5, 0.5, 0, 0, 0, 0]], np.float32)
    free = np.array([[0, 0, 0.25, 0.25, 0.25, 0.25]], np.float32)
    h, learned = explain(v, known, free, iterations=200, sparsity=0.25)
    np.testing.assert_allclose(h[:, 0], v[:, :2].sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(h[:, 1], v[:, 2:].sum(axis=1) / 1.25, rtol=1e-4)
    np.testing.assert_allclose(learned[0], np.r_[0, 0, v[:, 2:].sum(axis=0) / v[:, 2:].sum()], rtol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), use_negative=st.booleans())
def test_separates_and_a_wrong_query_misleads(
    seed: int, use_negative: bool, new_pair: Callable[..., Any], si_sdr: Callable[[Audio, Audio], float]
) -> None:
    pair = new_pair(seed)
    before = si_sdr(pair.mixture, pair.target)
    right = separate(pair.query, pair.mixture, use_negative=use_negative)
    swapped = replace(pair.query, audio=pair.query.negative_audio, negative_audio=pair.query.audio)
    wrong = separate(swapped, pair.mixture, use_negative=use_negative)
    assert si_sdr(right, pair.target) > before + 3
    assert si_sdr(wrong, pair.target) < before - 3


def test_negative_example_helps(pair: Any, si_sdr: Callable[[Audio, Audio], float]) -> None:
    told, untold = (separate(pair.query, pair.mixture, use_negative=use) for use in (True, False))
    assert si_sdr(told, pair.target) > si_sdr(untold, pair.target) + 1
    without = replace(pair.query, negative_audio=())
    np.testing.assert_array_equal(separate(without, pair.mixture), untold)


def test_enrolment_and_audio_are_one(pair: Any) -> None:
    """An example is an example, however it was given; the level of one does not matter."""
    spoken = replace(pair.query, audio=(), enrolment=(pair.example,))
    expected = separate(pair.query, pair.mixture)
    np.testing.assert_array_equal(separate(spoken, pair.mixture), expected)
    quiet = replace(pair.query, audio=(pair.example * np.float32(2**-12),))
    np.testing.assert_allclose(separate(quiet, pair.mixture), expected, atol=1e-4)


def test_silent_examples_say_nothing(pair: Any) -> None:
    silence = np.zeros(RATE, np.float32)
    assert not separate(replace(pair.query, audio=(silence,)), pair.mixture).any()
    both = replace(pair.query, audio=(pair.example, silence))
    np.testing.assert_array_equal(separate(both, pair.mixture), separate(pair.query, pair.mixture))
    mute = replace(pair.query, negative_audio=(silence,))
    without = replace(pair.query, negative_audio=())
    np.testing.assert_array_equal(separate(mute, pair.mixture), separate(without, pair.mixture))


def test_no_example_is_refused(pair: Any) -> None:
    with pytest.raises(UsageError, match="audio query or an enrolment"):
        separate(Query(RATE, negative_audio=(pair.counterexample,)), pair.mixture)


@pytest.mark.parametrize(
    "options",
    [{"rank": 0}, {"background_rank": 0}, {"iterations": 0}, {"mask_exponent": 0.0}, {"background_sparsity": -1.0}],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        NMF(**options)
