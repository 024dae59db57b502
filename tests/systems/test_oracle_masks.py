from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tspbench.errors import UsageError
from tspbench.systems.bounds.masks import (
    OracleIBM,
    OracleIRM,
    OraclePSM,
    ideal_binary,
    ideal_ratio,
    phase_sensitive,
)
from tspbench.types import Audio, Query, Truth

RATE = 16000
Measure = Callable[[Audio, Audio], float]

MASKS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "ibm": (OracleIBM(), lambda s, n, y: abs(s) > abs(n)),
    "irm": (OracleIRM(), lambda s, n, y: np.sqrt(abs(s) ** 2 / (abs(s) ** 2 + abs(n) ** 2 + 1e-30))),
    "wiener": (OracleIRM(exponent=1.0), lambda s, n, y: abs(s) ** 2 / (abs(s) ** 2 + abs(n) ** 2 + 1e-30)),
    "psm": (
        OraclePSM(),
        lambda s, n, y: np.clip(abs(s) / (abs(y) + 1e-30) * np.cos(np.angle(s) - np.angle(y)), 0, 1),
    ),
}


def extract(system: Any, target: Audio, interferers: Audio) -> Audio:
    mixture = (target + interferers.sum(axis=0)).astype(np.float32)
    query = Query(RATE, truth=Truth(target, interferers))
    return system.extract(mixture[None], np.array([len(mixture)]), [query])[0]


def two_bands(rng: np.random.Generator, length: int) -> tuple[Audio, Audio]:
    """Noise below 2 kHz and noise above 3 kHz."""
    low = signal.butter(12, 2000, "low", fs=RATE, output="sos")
    high = signal.butter(12, 3000, "high", fs=RATE, output="sos")
    bands = (signal.sosfilt(sos, 0.1 * rng.standard_normal(length)) for sos in (low, high))
    first, second = (band.astype(np.float32) for band in bands)
    return first, second


@pytest.mark.parametrize("name", MASKS)
def test_agrees_with_scipy(name: str, new_pair: Callable[..., Any]) -> None:
    """The textbook's formula in double precision between scipy's transform and its inverse."""
    pair = new_pair(3)
    system, formula = MASKS[name]
    other = np.random.default_rng(0).standard_normal(len(pair.target)).astype(np.float32) * 0.02
    interferers = np.stack([pair.interferer, other])
    window = np.sqrt(signal.windows.hann(512, sym=False))
    transform = signal.ShortTimeFFT(window, 128, fs=RATE)
    sides = (pair.target, interferers.sum(axis=0), pair.target + interferers.sum(axis=0))
    spectra = [transform.stft(np.pad(x.astype(np.float64), 1024)) for x in sides]
    expected = transform.istft(formula(*spectra) * spectra[2])[1024 : 1024 + len(pair.target)]
    estimate = extract(system, pair.target, interferers)
    error = np.sum((estimate - expected) ** 2) / np.sum(expected**2)
    assert error < (1e-4 if name == "ibm" else 1e-9)  # a bin on the threshold may fall on either side


@pytest.mark.parametrize("name", MASKS)
def test_disjoint_bands_come_apart(name: str, si_sdr: Measure) -> None:
    low, high = two_bands(np.random.default_rng(5), 2 * RATE)
    assert si_sdr(low + high, low) < 5
    assert si_sdr(extract(MASKS[name][0], low, high[None]), low) > 30
    assert si_sdr(extract(MASKS[name][0], high, low[None]), high) > 30


@pytest.mark.parametrize("seed", range(5))
def test_phase_sensitive_is_the_best(seed: int, new_pair: Callable[..., Any], si_sdr: Measure) -> None:
    pair = new_pair(seed)
    scores = {n: si_sdr(extract(s, pair.target, pair.interferer[None]), pair.target) for n, (s, _) in MASKS.items()}
    assert scores["psm"] == max(scores.values())
    assert scores["wiener"] > scores["irm"]
    assert min(scores.values()) > si_sdr(pair.mixture, pair.target) + 5


@given(st.integers(0, 10**6))
def test_phase_sensitive_is_the_nearest_in_every_bin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    s, n = (rng.standard_normal((2, 8, 2)) @ [1, 1j]).astype(np.complex64)
    y = s + n
    best = np.abs(phase_sensitive(s[None], y[None]) * y - s)[0]
    for gain in np.linspace(0, 1, 101):
        assert (best <= np.abs(gain * y - s) + 1e-5).all()


def test_closed_forms() -> None:
    s, n = np.full((1, 1), 3j, np.complex64), np.full((1, 1), 4, np.complex64)
    np.testing.assert_allclose(ideal_ratio(s, n), 0.6, rtol=1e-6)
    np.testing.assert_allclose(ideal_ratio(s, n, exponent=1), 9 / 25, rtol=1e-6)
    np.testing.assert_allclose(phase_sensitive(s, s + n), 9 / 25, rtol=1e-6)
    assert ideal_binary(s, n) == 0
    assert ideal_binary(n, s) == 1
    assert ideal_binary(s, s) == 0
    assert phase_sensitive(s, -s) == 0
    assert phase_sensitive(3 * s, s) == 1
    for silent in (ideal_binary(0 * s, 0 * n), ideal_ratio(0 * s, 0 * n), phase_sensitive(0 * s, 0 * n)):
        assert silent == 0


@pytest.mark.parametrize("name", MASKS)
def test_nothing_to_remove(name: str, new_pair: Callable[..., Any]) -> None:
    """Without an interferer every mask is 1 wherever there is sound."""
    pair = new_pair(2)
    for interferers in (np.zeros((0, len(pair.target)), np.float32), np.zeros((1, len(pair.target)), np.float32)):
        np.testing.assert_allclose(extract(MASKS[name][0], pair.target, interferers), pair.target, atol=1e-5)


@pytest.mark.parametrize("exponent", [0, -1, float("nan")])
def test_exponent_must_be_positive(exponent: float) -> None:
    with pytest.raises(UsageError, match="exponent"):
        OracleIRM(exponent=exponent)


def test_impossible_window_is_refused_before_any_audio() -> None:
    with pytest.raises(UsageError, match="hop"):
        OraclePSM(window_ms=8, hop_ms=8)
