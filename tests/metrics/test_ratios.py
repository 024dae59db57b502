from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tspbench.metrics.declaration import Score, Status
from tspbench.metrics.ratios import METRICS, si_sdr, si_snr, snr
from tspbench.metrics.signals import Signals

BY_ID = {metric.id: metric for metric in METRICS}
FUNCTIONS = {"snr": snr, "si_sdr": si_sdr, "si_snr": si_snr}
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((2, 8_000)).astype(np.float32)


def judge(metric: str, estimate: np.ndarray, target: np.ndarray) -> Score:
    signals = Signals(sample_rate=16_000, mixture=target, target=target, estimate=estimate)
    return BY_ID[metric].compute(signals)


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_same_as_torchmetrics(metric, scene):
    torch = pytest.importorskip("torch")
    audio = pytest.importorskip("torchmetrics.functional.audio")
    theirs = {
        "snr": audio.signal_noise_ratio,
        "si_sdr": audio.scale_invariant_signal_distortion_ratio,
        "si_snr": audio.scale_invariant_signal_noise_ratio,
    }[metric]
    target = torch.from_numpy(scene.target).double()
    for name, estimate in {**scene.estimates, "mixture": scene.mixture}.items():
        expected = float(theirs(torch.from_numpy(estimate).double(), target))
        assert FUNCTIONS[metric](estimate, scene.target) == pytest.approx(expected, abs=1e-8), name


def test_si_sdr_same_as_fast_bss_eval(scene):
    fast_bss_eval = pytest.importorskip("fast_bss_eval")
    for name, estimate in scene.estimates.items():
        pair = scene.target[None].astype(np.float64), estimate[None].astype(np.float64)
        assert si_sdr(estimate, scene.target) == pytest.approx(float(fast_bss_eval.si_sdr(*pair)[0]), abs=1e-8), name
        expected = float(fast_bss_eval.si_sdr(*pair, zero_mean=True)[0])
        assert si_snr(estimate, scene.target) == pytest.approx(expected, abs=1e-8), name


@pytest.mark.parametrize("decibels", [-30.0, 0.0, 12.5, 60.0])
def test_known_ratio_to_orthogonal_noise(decibels):
    t = np.arange(16_000) / 16_000
    target, noise = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 200 * t)
    estimate = target + noise * 10 ** (-decibels / 20)
    for ratio in FUNCTIONS.values():
        assert ratio(estimate, target) == pytest.approx(decibels, abs=1e-6)


@pytest.mark.parametrize(("gain", "expected"), [(0.5, 6.0206), (2.0, 0.0), (-1.0, -6.0206), (1e-9, 0.0)])
def test_snr_of_a_mere_gain(gain, expected):
    assert snr(gain * NOISE[0], NOISE[0]) == pytest.approx(expected, abs=1e-4)


def test_offset_costs_si_sdr_but_not_si_snr():
    target = NOISE[0].astype(np.float64) - NOISE[0].mean(dtype=np.float64)
    estimate = target + 0.1 * NOISE[1] + 0.5
    plain = si_snr(estimate - 0.5, target)
    assert si_snr(estimate, target) == pytest.approx(plain, abs=1e-9)
    noise = np.mean((estimate - 0.5 - target) ** 2)
    assert si_sdr(estimate, target) == pytest.approx(plain - 10 * np.log10(1 + 0.25 / noise), abs=0.2)


def test_a_delay_of_one_millisecond_ruins_the_ratios():
    late = np.concatenate([np.zeros(16, np.float32), NOISE[0][:-16]])
    assert snr(late, NOISE[0]) == pytest.approx(-3.0, abs=0.3)
    assert si_sdr(late, NOISE[0]) < -20


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_limited_to_100_db(metric):
    target = NOISE[0]
    assert judge(metric, target, target) == Score(100.0)
    sine, cosine = np.sin(np.arange(6_283) / 1000), np.zeros(6_283)
    assert FUNCTIONS[metric](sine + 1e-7 * np.cos(np.arange(6_283) / 1000), sine) == 100.0
    cosine[0], impulse = 1.0, np.zeros(6_283)
    impulse[1] = 1.0
    if metric == "si_sdr":
        assert si_sdr(cosine, impulse) == -100.0
    if metric == "snr":
        assert snr(1e6 * cosine, impulse) == -100.0


@pytest.mark.parametrize("metric", FUNCTIONS)
def test_silence_is_neither_zero_db_nor_the_systems_fault_where_the_target_is_silent(metric):
    silence = np.zeros(8_000, np.float32)
    silent_estimate = judge(metric, silence, NOISE[0])
    assert (silent_estimate.value, silent_estimate.status) == (None, Status.UNDEFINED)
    assert silent_estimate.reason == "silent estimate"
    for estimate in (NOISE[0], silence):
        score = judge(metric, estimate, silence)
        assert (score.value, score.status, score.reason) == (None, Status.NOT_APPLICABLE, "silent target")
    assert np.isnan(FUNCTIONS[metric](silence, NOISE[0]))
    assert np.isnan(FUNCTIONS[metric](NOISE[0], silence))


@pytest.mark.parametrize("constant", [1.0, 0.1, -1e-3, 1e-20])
def test_constant_signals_have_no_si_snr(constant):
    flat = np.full(7_919, constant, np.float32)
    noise = NOISE[0][:7_919]
    assert judge("si_snr", flat, noise).status is Status.UNDEFINED
    assert judge("si_snr", noise, flat).status is Status.NOT_APPLICABLE
    assert judge("si_sdr", flat, noise).status is Status.OK


def test_one_sample_and_the_quietest_floats():
    one = np.ones(1, np.float32)
    assert si_sdr(one, one) == 100.0
    assert judge("si_snr", one, one).status is Status.NOT_APPLICABLE
    quietest = np.full(10, np.float32(1e-45))
    assert si_sdr(quietest, np.ones(10, np.float32)) == 100.0


@pytest.mark.parametrize("ratio", FUNCTIONS.values())
@pytest.mark.parametrize("shape", [(7_999,), (1, 8_000), (8_000, 1), ()])
def test_refuses_other_shapes(ratio, shape):
    with pytest.raises(ValueError, match="one shape"):
        ratio(np.ones(shape), NOISE[0])


SAMPLES = st.floats(-1e3, 1e3, width=32)


@st.composite
def pairs(draw):
    length = draw(st.integers(2, 300))
    signal = arrays(np.float32, length, elements=SAMPLES)
    return draw(signal), draw(signal)


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_a_finite_number_or_none_with_a_reason(pair):
    for metric in FUNCTIONS:
        score = judge(metric, *pair)
        if score.value is None:
            assert score.status is not Status.OK
            assert score.reason
        else:
            assert -100 <= score.value <= 100


@given(pairs(), st.floats(1e-3, 1e3), st.sampled_from([-1, 1]))
@settings(max_examples=150, deadline=None)
def test_si_sdr_is_blind_to_gain_and_sign(pair, gain, sign):
    estimate, target = (signal.astype(np.float64) for signal in pair)
    assume(estimate.any() and target.any())
    value = si_sdr(estimate, target)
    assume(abs(value) < 90)
    assert si_sdr(sign * gain * estimate, target) == pytest.approx(value, abs=1e-4)
    assert si_sdr(estimate, sign * gain * target) == pytest.approx(value, abs=1e-4)


@given(pairs())
@settings(max_examples=150, deadline=None)
def test_snr_is_never_above_that_of_the_best_gain(pair):
    estimate, target = pair
    assume(estimate.any() and target.any())
    e, s = estimate.astype(np.float64), target.astype(np.float64)
    best = s @ e / (e @ e)
    assume(best)
    assert snr(e, s) <= snr(best * e, s) + 1e-6


def test_declarations():
    assert list(BY_ID) == ["snr", "si_sdr", "si_snr"]
    assert BY_ID["snr"].also_called["AudioSep"] == "SDR"
    assert BY_ID["si_sdr"].also_called["VERSA"] == "si_snr"
    assert all(metric.improves and metric.penalty == -50 and metric.unit == "dB" for metric in METRICS)
