from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tspbench.metrics import bss
from tspbench.metrics.bss import METRICS, sdr
from tspbench.metrics.declaration import Score, Status
from tspbench.metrics.ratios import si_sdr
from tspbench.metrics.signals import Signals

(SDR,) = METRICS
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((2, 8_000)).astype(np.float32)


def by_definition(estimate: np.ndarray, target: np.ndarray, cond: float | None = None) -> float:
    """Least squares on the matrix of the target's 512 delays; ``cond`` is where its rank ends."""
    delays = np.zeros((target.size + 511, 512))
    for delay in range(512):
        delays[delay : delay + target.size, delay] = target
    padded = np.pad(estimate.astype(np.float64), (0, 511))
    projection = delays @ scipy.linalg.lstsq(delays, padded, cond=cond, lapack_driver="gelsy")[0]
    return float(10 * np.log10(np.sum(projection**2) / np.sum((projection - padded) ** 2)))


def test_same_as_torchmetrics(scene):
    torch = pytest.importorskip("torch")
    audio = pytest.importorskip("torchmetrics.functional.audio")
    torch.set_num_threads(1)
    target = torch.from_numpy(scene.target).double()
    for name, estimate in {**scene.estimates, "mixture": scene.mixture}.items():
        expected = float(audio.signal_distortion_ratio(torch.from_numpy(estimate).double(), target))
        assert sdr(estimate, scene.target) == pytest.approx(expected, abs=1e-7), name


def test_same_as_fast_bss_eval(scene):
    fast_bss_eval = pytest.importorskip("fast_bss_eval")
    for name, estimate in scene.estimates.items():
        expected = float(fast_bss_eval.sdr(scene.target[None].astype(float), estimate[None].astype(float))[0])
        assert sdr(estimate, scene.target) == pytest.approx(expected, abs=1e-7), name


@pytest.mark.parametrize("length", [1, 2, 511, 512, 3585, 3586])
def test_same_as_its_definition_at_any_length(length):
    target, noise = NOISE[:, :length].astype(np.float64)
    estimate = 0.5 * target + noise
    expected = by_definition(estimate, target) if length > 1 else 100.0
    assert sdr(estimate, target) == pytest.approx(expected, abs=1e-7)


def test_blind_to_any_causal_filter_of_512_taps():
    target = np.concatenate([NOISE[0], np.zeros(600)])
    taps = RNG.standard_normal(512)
    filtered = np.convolve(target, taps)[: target.size]
    assert sdr(filtered, target) == 100.0
    assert si_sdr(filtered, target) < 0


@pytest.mark.parametrize(("delay", "forgiven"), [(16, True), (511, True), (512, False), (-1, False)])
def test_forgives_delays_up_to_511_samples_and_none_ahead_of_time(delay, forgiven):
    target = np.concatenate([np.zeros(600), NOISE[0], np.zeros(600)])
    assert (sdr(np.roll(target, delay), target) == 100.0) is forgiven


def test_an_offset_costs():
    quiet = NOISE[0].astype(np.float64) / 10
    noisy = quiet + NOISE[1] / 100
    assert sdr(noisy + 0.1, quiet) < 3 < 15 < sdr(noisy, quiet)


@pytest.mark.parametrize("frequency", [0.0, 0.1, 0.7])
def test_a_target_that_repeats_itself(frequency):
    t = np.arange(3_000)
    target = np.exp(-(((t - 1500) / 300) ** 2)) * np.cos(frequency * t)
    estimate = np.roll(target, 5) + 0.01 * NOISE[1][:3_000]
    assert not levinson_solves(estimate, target)
    # The normal equations square the singular values: what lies below 1e-7 is lost to rounding in any solver.
    assert sdr(estimate, target) == pytest.approx(by_definition(estimate, target, cond=1e-7), abs=0.005)


def levinson_solves(estimate: np.ndarray, target: np.ndarray) -> bool:
    prepared = bss.reference(target)
    b = bss._correlation(prepared.spectra, bss._unit(estimate))
    try:
        h = scipy.linalg.solve_toeplitz(prepared.autocorrelation, b)
    except scipy.linalg.LinAlgError:
        return False
    return bool(np.abs(scipy.linalg.toeplitz(prepared.autocorrelation) @ h - b).max() < 1e-9)


def test_least_squares_where_the_recursion_fails(monkeypatch):
    target, noise = NOISE.astype(np.float64)
    estimate = target + noise
    expected = sdr(estimate, target)
    monkeypatch.setattr(bss, "_SOLVED", -1.0)
    assert sdr(estimate, target) == pytest.approx(expected, abs=1e-9)


def test_a_singular_system_has_a_value():
    constant = np.ones(bss.TAPS)
    assert bss._explained(constant, 0.5 * constant) == pytest.approx(0.25, abs=1e-9)


def judge(estimate: np.ndarray, target: np.ndarray) -> Score:
    return SDR.compute(Signals(sample_rate=32_000, mixture=target, target=target, estimate=estimate))


def test_silence():
    silence = np.zeros(8_000, np.float32)
    assert judge(silence, NOISE[0]) == Score(None, Status.UNDEFINED, "silent estimate")
    assert judge(NOISE[0], silence) == Score(None, Status.NOT_APPLICABLE, "silent target")
    assert judge(silence, silence) == Score(None, Status.NOT_APPLICABLE, "silent target")
    assert np.isnan(sdr(silence, NOISE[0]))
    assert np.isnan(sdr(NOISE[0], silence))


def test_limited_to_100_db():
    assert judge(NOISE[0], NOISE[0]) == Score(100.0)
    assert judge(-0.001 * NOISE[0], NOISE[0]) == Score(100.0)
    before, after = np.zeros((2, 2_000), np.float32)
    before[10], after[900] = 1, 1
    assert judge(before, after) == Score(-100.0)


def test_the_mixture_reuses_what_was_prepared_of_the_target(monkeypatch):
    prepared = []
    original = bss.reference
    monkeypatch.setattr(bss, "reference", lambda target: prepared.append(1) or original(target))
    target, noise = NOISE
    signals = Signals(sample_rate=32_000, mixture=target + noise, target=target, estimate=target + noise / 10)
    own, mixture = SDR.compute(signals), SDR.compute(signals.mixture_as_estimate())
    assert len(prepared) == 1
    assert own.value == pytest.approx(sdr(target + noise / 10, target), abs=1e-12)
    assert mixture.value == pytest.approx(sdr(target + noise, target), abs=1e-12)


@pytest.mark.parametrize("shape", [(7_999,), (1, 8_000), (2, 4_000)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="one shape"):
        sdr(np.ones(shape), NOISE[0])


@st.composite
def pairs(draw):
    length = draw(st.integers(1, 700))
    signal = arrays(np.float32, length, elements=st.floats(-1e3, 1e3, width=32))
    return draw(signal), draw(signal)


@given(pairs())
@settings(max_examples=100, deadline=None)
def test_never_below_si_sdr_and_never_nan(pair):
    score = judge(*pair)
    if score.value is None:
        assert not (pair[0].any() and pair[1].any())
        return
    assert -100 <= score.value <= 100
    one_tap = si_sdr(*pair)
    assume(one_tap < 80)
    assert score.value >= one_tap - 1e-3


def test_declaration():
    assert SDR.id == "sdr"
    assert SDR.improves
    assert SDR.penalty == -50
    assert SDR.parameters["filter_length"] == 512
    assert SDR.also_called["CLAPSep"] == "SDR"
