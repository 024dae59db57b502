from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.metrics import intelligibility, perceptual
from tspbench.metrics.guards import NoValue
from tspbench.metrics.perceptual import METRICS
from tspbench.metrics.signals import Signals

pystoi_package = pytest.importorskip("pystoi")
BY_ID = {metric.id: metric for metric in METRICS}
SAME = 1e-9


def published(estimate: np.ndarray, target: np.ndarray, extended: bool) -> float | None:
    """pystoi's value, with seed 0 before its draws; None where it has too few frames."""
    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            value = float(pystoi_package.stoi(target, estimate, 16_000, extended=extended))
        except np.exceptions.AxisError:
            return None
    return None if value == 1e-5 else value


def own(estimate: np.ndarray, target: np.ndarray, extended: bool) -> float | None:
    try:
        return perceptual.stoi(estimate, target, extended=extended)
    except NoValue as why:
        return np.nan if why.system_at_fault else None


def assert_same(estimate: np.ndarray, target: np.ndarray) -> None:
    for extended in (False, True):
        expected = published(estimate, target, extended)
        found = own(estimate, target, extended)
        if expected is None:
            assert found is None
        else:
            assert found == pytest.approx(expected, abs=SAME, nan_ok=True)


@pytest.mark.parametrize("quality", ["good", "bad", "filtered", "inverted", "clipped", "unrelated"])
def test_same_as_pystoi(quality, scene):
    assert_same(scene.estimates[quality], scene.target)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 57, 128, 129, 409, 1_000, 4_097, 30_003])
def test_resampled_as_pystoi_does(length):
    from pystoi.utils import resample_oct

    samples = np.random.default_rng(length).standard_normal(length)
    expected = resample_oct(samples, 10_000, 16_000)
    assert intelligibility.resampled(samples).shape == expected.shape
    np.testing.assert_allclose(intelligibility.resampled(samples), expected, rtol=0, atol=1e-14)


def test_bands_are_pystoi_s():
    from pystoi.stoi import OBM

    filters = intelligibility._filters()
    np.testing.assert_array_equal(filters, OBM[:, : len(filters)].T)
    assert not OBM[:, len(filters) :].any()


@pytest.mark.parametrize("frames", range(29, 34))
def test_where_the_frames_become_too_few(frames):
    """30 frames are left of 31, and the last of the signal is not used."""
    length = int((128 * frames + 256) * 1.6)
    found = []
    for more in range(-3, 4):
        estimate, target = np.random.default_rng(frames).standard_normal((2, length + more))
        assert_same(estimate, target)
        found.append(own(estimate, target, False) is not None)
    assert all(found) is (frames > 30)


@st.composite
def stretches(draw):
    """A target of bursts and pauses of all levels, and an estimate that errs differently in each stretch."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    target, estimate = [], []
    for _ in range(draw(st.integers(1, 8))):
        length = draw(st.integers(1, 9_000))
        speech = rng.standard_normal(length) * np.hanning(length + 2)[1:-1]
        speech *= draw(st.sampled_from([0.0, 1e-9, 1e-4, 0.01, 0.1, 1.0]))
        error = rng.standard_normal(length) * draw(st.sampled_from([0.0, 1e-6, 0.01, 1.0]))
        target.append(speech)
        estimate.append(draw(st.sampled_from([0.0, 1e-12, -0.5, 1.0, 100.0])) * speech + error)
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return np.concatenate(estimate).astype(dtype), np.concatenate(target).astype(dtype)


@given(stretches())
@settings(max_examples=60, deadline=None)
def test_same_as_pystoi_on_wild_signals(pair):
    estimate, target = pair
    assert_same(estimate, target)


@pytest.mark.parametrize("gain", [1e-30, 1e-12, 1e12, 1e30])
def test_same_as_pystoi_at_any_level(gain, synthetic):
    estimate, target = synthetic.estimates["bad"].astype(float), synthetic.target.astype(float)
    assert_same(gain * estimate, target)
    assert_same(estimate, gain * target)


@pytest.mark.parametrize("silenced", [slice(10_000, 40_000), slice(0, 64_000, 1)])
def test_where_rounding_decides_estoi_pystoi_is_asked(silenced, synthetic):
    """Of digital silence ESTOI normalises its own noise of 2e-16."""
    estimate = synthetic.estimates["good"].copy()
    estimate[silenced] = 0
    prepared = intelligibility.reference(synthetic.target)
    assert intelligibility.estoi(intelligibility.envelopes(estimate, prepared), prepared) is None
    assert own(estimate, synthetic.target, True) == published(estimate, synthetic.target, True)


@pytest.mark.parametrize("quality", ["good", "bad", "filtered", "unrelated"])
def test_pystoi_is_not_asked_about_speech(quality, scene, monkeypatch):
    monkeypatch.setattr(perceptual, "stoi_value", None)
    assert own(scene.estimates[quality], scene.target, True) is not None


def test_the_target_is_prepared_once_and_an_estimate_heard_once(synthetic, monkeypatch):
    calls = []
    for name in ("reference", "envelopes"):
        original = getattr(intelligibility, name)
        monkeypatch.setattr(intelligibility, name, lambda *a, n=name, f=original: calls.append(n) or f(*a))
    signals = Signals(16_000, synthetic.mixture, synthetic.target, estimate=synthetic.estimates["good"])
    mine = [BY_ID[name].compute(signals).value for name in ("stoi", "estoi")]
    mixture = [BY_ID[name].compute(signals.mixture_as_estimate()).value for name in ("stoi", "estoi")]
    assert sorted(calls) == ["envelopes"] * 3 + ["reference"]
    assert mine == [own(synthetic.estimates["good"], synthetic.target, extended) for extended in (False, True)]
    assert mixture == [own(synthetic.mixture, synthetic.target, extended) for extended in (False, True)]


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match="one shape"):
        perceptual.stoi(np.ones(8_000), np.ones(8_001))
