from __future__ import annotations

import warnings

import numpy as np
import pytest

from tspbench.audio import resample
from tspbench.metrics.declaration import Need, Status
from tspbench.metrics.perceptual import METRICS
from tspbench.metrics.signals import Signals

BY_ID = {metric.id: metric for metric in METRICS}
pystoi_package = pytest.importorskip("pystoi")


def judge(metric: str, estimate, target, rate: int = 16_000):
    signals = Signals(sample_rate=rate, mixture=target, target=target, estimate=estimate)
    return BY_ID[metric].compute(signals)


def published(metric: str, estimate: np.ndarray, target: np.ndarray) -> float:
    return pystoi_package.stoi(target, estimate, 16_000, extended=metric == "estoi")


@pytest.mark.parametrize("metric", BY_ID)
@pytest.mark.parametrize("quality", ["good", "bad", "filtered", "inverted", "unrelated"])
def test_same_as_the_package(metric, quality, scene):
    estimate, target = scene.estimates[quality], scene.target
    score = judge(metric, estimate, target)
    assert score.value == pytest.approx(published(metric, estimate, target), abs=1e-9)
    low, high = BY_ID[metric].bounds
    assert low <= score.value <= high


@pytest.mark.parametrize(("metric", "best"), [("stoi", 1.0), ("estoi", 1.0)])
@pytest.mark.parametrize("gain", [1.0, -0.5, 1e-3])
def test_the_best_value_whatever_the_gain(metric, best, gain, synthetic):
    score = judge(metric, np.float32(gain) * synthetic.target, synthetic.target)
    assert score.value == pytest.approx(best, abs=2e-4)
    assert score.value <= BY_ID[metric].bounds[1] + 1e-9


@pytest.mark.parametrize("metric", BY_ID)
def test_other_rates_are_resampled(metric, synthetic):
    high = [resample(signal, 16_000, 32_000) for signal in (synthetic.estimates["good"], synthetic.target)]
    expected = judge(metric, synthetic.estimates["good"], synthetic.target).value
    assert judge(metric, *high, rate=32_000).value == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("metric", BY_ID)
def test_silence(metric, synthetic):
    silence = np.zeros_like(synthetic.target)
    score = judge(metric, silence, synthetic.target)
    assert (score.value, score.status, score.reason) == (None, Status.UNDEFINED, "silent estimate")
    for estimate in (silence, synthetic.target):
        score = judge(metric, estimate, silence)
        assert (score.value, score.status, score.reason) == (None, Status.NOT_APPLICABLE, "silent target")


@pytest.mark.parametrize("metric", BY_ID)
@pytest.mark.parametrize("length", [1, 2, 100, 255, 256, 409, 410, 411, 1_000, 3_000])
def test_signals_too_short(metric, length, synthetic):
    cut = slice(20_000, 20_000 + length)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score = judge(metric, synthetic.estimates["good"][cut], synthetic.target[cut])
    assert score.value is None
    assert score.status is Status.NOT_APPLICABLE
    assert "STOI's least" in score.reason


@pytest.mark.parametrize("metric", ["stoi", "estoi"])
def test_pystoi_s_constant_for_a_short_target_never_gets_out(metric, synthetic):
    target = np.zeros_like(synthetic.target)
    target[10_000:13_000] = synthetic.target[20_000:23_000]
    with pytest.warns(RuntimeWarning):
        assert published(metric, synthetic.target, target) == 1e-5
    assert judge(metric, synthetic.target, target).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("metric", BY_ID)
@pytest.mark.parametrize(
    "estimate", [np.full(64_000, 0.1), np.eye(1, 64_000, 30_000)[0], np.full(64_000, 1e-30), np.full(64_000, 1e30)]
)
def test_odd_estimates_give_a_value_within_bounds_or_a_reason(metric, estimate, synthetic):
    score = judge(metric, estimate.astype(np.float32), synthetic.target)
    if score.value is None:
        assert score.status is Status.UNDEFINED
        assert score.reason
    else:
        low, high = BY_ID[metric].bounds
        assert low <= score.value <= high


def test_estoi_is_reproducible_and_leaves_numpy_s_generator_alone(synthetic):
    nearly_silent = np.full_like(synthetic.target, 1e-30)
    np.random.seed(5)
    first = judge("estoi", nearly_silent, synthetic.target)
    drawn = np.random.random()
    assert judge("estoi", nearly_silent, synthetic.target) == first
    np.random.seed(5)
    assert drawn == np.random.random()


def test_longer_than_a_minute(synthetic):
    long = np.tile(synthetic.target, 16)
    assert judge("stoi", long, long).value == pytest.approx(1.0)


def test_declarations():
    assert list(BY_ID) == ["stoi", "estoi"]
    assert all(metric.improves and metric.penalty == 0.0 and Need.ALIGNED in metric.needs for metric in METRICS)
