"""Seeded tensors: the same everywhere, in any order, of the size that is promised."""

from __future__ import annotations

import numpy as np
import pytest

from tspbench.systems.seeded import noise, seeded, seeded_state


def test_the_stream_never_changes() -> None:
    """Fixtures of published code rest on these very numbers."""
    assert noise("a.weight", (3,), 7).tolist() == [0.8034941554069519, 0.6683158278465271, -0.17773954570293427]


def test_noise_is_even_with_mean_zero_and_variance_one() -> None:
    values = noise("x", (100_000,), 0)
    assert values.dtype == np.float32
    assert abs(float(values.mean())) < 0.01
    assert float(values.var()) == pytest.approx(1, abs=0.01)
    assert np.abs(values).max() <= np.float32(3**0.5)
    counts, _ = np.histogram(values, bins=10)
    assert counts.min() > 9_500


def test_name_and_seed_matter_and_order_does_not() -> None:
    assert not np.array_equal(noise("a", (4,), 0), noise("b", (4,), 0))
    assert not np.array_equal(noise("a", (4,), 0), noise("a", (4,), 1))
    shapes = {"a.weight": (2, 3), "b.bias": (4,)}
    one, two = seeded_state(shapes, 3), seeded_state(dict(reversed(shapes.items())), 3)
    assert all(np.array_equal(one[name], two[name]) for name in shapes)


def test_sizes_are_those_of_trained_tensors() -> None:
    assert seeded("l.weight", (50, 400), 0).std() == pytest.approx(400**-0.5, rel=0.02)
    assert seeded("n.weight", (10_000,), 0).mean() == pytest.approx(1, abs=0.01)
    variance = seeded("n.running_var", (10_000,), 0)
    assert variance.min() >= 0.5
    assert variance.max() <= 1.5
    assert seeded("logit_scale", (), 0).shape == ()
