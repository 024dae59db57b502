"""PESQ beside the program of the Recommendation, as the pesq package builds it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.audio import resample
from tspbench.errors import UsageError
from tspbench.metrics import pesq_package, quality, resolve
from tspbench.metrics.declaration import Need, Status
from tspbench.metrics.guards import NoValue
from tspbench.metrics.pesq_package import PESQ_RATES
from tspbench.metrics.signals import Signals

from .conftest import DATA, RATE, recording, syllables

pesq_package_itself = pytest.importorskip("pesq")
METRICS = ("pesq_wb", "pesq_nb")
SAME = 2e-3
"""In the package single precision moves a score by 7e-4 with the signals' gain, and by more with the compiler."""


def judge(metric: str, estimate, target, rate: int = RATE):
    signals = Signals(sample_rate=rate, mixture=target, target=target, estimate=estimate)
    return resolve(metric).compute(signals)


def published(metric: str, estimate: np.ndarray, target: np.ndarray) -> float:
    rate = PESQ_RATES[metric[5:7]]
    at_rate = [resample(signal, RATE, rate) for signal in (target, estimate)]
    return pesq_package_itself.pesq(rate, *at_rate, metric[5:7])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("quality", ["good", "bad", "filtered", "inverted", "clipped", "unrelated"])
def test_same_as_the_package(metric, quality, scene):
    estimate, target = scene.estimates[quality], scene.target
    score = judge(metric, estimate, target)
    assert score.value == pytest.approx(published(metric, estimate, target), abs=2e-4)
    low, high = resolve(metric).bounds
    assert low <= score.value <= high


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("quality", ["good", "inverted", "unrelated"])
def test_the_package_itself_by_name(metric, quality, scene):
    score = judge(f"{metric}[pesq]", scene.estimates[quality], scene.target)
    assert score.value == published(metric, scene.estimates[quality], scene.target)
    assert resolve(f"{metric}_i[pesq]").improvement_of == f"{metric}[pesq]"


def test_only_the_package_is_an_instrument():
    with pytest.raises(UsageError, match=r"pesq_wb takes \[pesq\].*got \[instrument=itu\]"):
        resolve("pesq_wb[itu]")


Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def delayed(speech, rng):
    return np.roll(speech, 1500) + noise(speech, rng)


def jumping(speech, rng):
    """The second half comes 60 ms later."""
    out = speech.copy()
    out[speech.size // 2 :] = np.roll(speech, 960)[speech.size // 2 :]
    return out + noise(speech, rng)


def skipping(speech, rng):
    """The second half comes 200 ms earlier: something was left out."""
    out = speech.copy()
    out[speech.size // 2 :] = np.roll(speech, -3200)[speech.size // 2 :]
    return out + noise(speech, rng)


def dropping(speech, rng):
    out = speech.copy()
    for start in rng.integers(0, speech.size - 4000, 8):
        out[start : start + 1600] = 0
    return out


def bursting(speech, rng):
    """Bad intervals, in which the model looks for another delay."""
    out = speech.copy()
    for start in rng.integers(0, speech.size - 9000, 3):
        out[start : start + 6000] += 0.3 * rng.standard_normal(6000)
    return out


def shifted_here_and_there(speech, rng):
    """Bad intervals for which there is a better delay."""
    out = speech.copy()
    for start in rng.integers(4000, speech.size - 14_000, 3):
        out[start : start + 8000] = speech[start + 900 : start + 8900]
    return out


def stretched(speech, rng):
    return np.interp(np.arange(speech.size) * 1.003, np.arange(speech.size), speech)


def noise(speech, rng):
    return 0.05 * np.std(speech) * rng.standard_normal(speech.size)


DAMAGE: list[Damage] = [delayed, jumping, skipping, dropping, bursting, shifted_here_and_there, stretched]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("seconds", [4, 13])
def test_same_as_the_package_where_delays_change(metric, damage, seconds):
    """13 s: utterances so long that the program's window is overwritten (see ``Aligner``)."""
    rng = np.random.default_rng(5)
    target = syllables(rng, seconds * RATE)
    estimate = damage(target.astype(float), rng).astype(np.float32)
    assert judge(metric, estimate, target).value == pytest.approx(published(metric, estimate, target), abs=SAME)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_same_as_the_package_on_speech_where_delays_change(metric, damage):
    if not DATA.is_dir():
        pytest.skip("no recordings: ../shared/data is absent")
    rng = np.random.default_rng(6)
    target = recording(DATA / "librispeech", "*.flac", at_least_s=12)
    estimate = damage(target.astype(float), rng).astype(np.float32)
    assert judge(metric, estimate, target).value == pytest.approx(published(metric, estimate, target), abs=SAME)


def test_a_minute_and_a_half_in_few_utterances():
    rng = np.random.default_rng(7)
    loud = np.repeat([1.0, 0.0] * 5, [12 * RATE, 6 * RATE] * 5)
    target = (0.1 * loud * rng.standard_normal(loud.size)).astype(np.float32)
    estimate = (0.5 * target + 0.005 * rng.standard_normal(target.size)).astype(np.float32)
    found = judge("pesq_wb", estimate, target).value
    assert found == pytest.approx(published("pesq_wb", estimate, target), abs=SAME)


@pytest.mark.parametrize(("metric", "best"), [("pesq_wb", 4.6439), ("pesq_nb", 4.5486)])
@pytest.mark.parametrize("gain", [1.0, -0.5, 1e-3])
def test_the_best_value_whatever_the_gain(metric, best, gain, synthetic):
    score = judge(metric, np.float32(gain) * synthetic.target, synthetic.target)
    assert score.value == pytest.approx(best, abs=2e-4)
    assert score.value <= resolve(metric).bounds[1] + 1e-9


def test_the_mixture_shares_what_is_prepared_of_the_target(synthetic, monkeypatch):
    estimate, target = synthetic.estimates["good"], synthetic.target
    signals = Signals(sample_rate=RATE, mixture=synthetic.mixture, target=target, estimate=estimate)
    judge_alone = judge("pesq_wb", synthetic.mixture, target).value
    prepared = []
    real = quality.p862.prepare
    monkeypatch.setattr(quality.p862, "prepare", lambda *args, **rest: prepared.append(1) or real(*args, **rest))
    resolve("pesq_wb").compute(signals)
    assert resolve("pesq_wb").compute(signals.mixture_as_estimate()).value == judge_alone
    assert len(prepared) == 3


def test_narrow_band_is_taken_at_8_khz(synthetic):
    estimate, target = synthetic.estimates["good"], synthetic.target
    at_16_khz = pesq_package_itself.pesq(16_000, target, estimate, "nb")
    assert abs(judge("pesq_nb", estimate, target).value - at_16_khz) > 1e-3


@pytest.mark.parametrize("metric", METRICS)
def test_other_rates_are_resampled(metric, synthetic):
    high = [resample(signal, 16_000, 32_000) for signal in (synthetic.estimates["good"], synthetic.target)]
    expected = judge(metric, synthetic.estimates["good"], synthetic.target).value
    assert judge(metric, *high, rate=32_000).value == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("metric", [*METRICS, "pesq_wb[pesq]"])
def test_silence(metric, synthetic):
    silence = np.zeros_like(synthetic.target)
    score = judge(metric, silence, synthetic.target)
    assert (score.value, score.status, score.reason) == (None, Status.UNDEFINED, "silent estimate")
    for estimate in (silence, synthetic.target):
        score = judge(metric, estimate, silence)
        assert (score.value, score.status, score.reason) == (None, Status.NOT_APPLICABLE, "silent target")


@pytest.mark.parametrize("metric", [*METRICS, "pesq_nb[pesq]"])
@pytest.mark.parametrize("length", [1, 2, 100, 1_000, 3_990])
def test_signals_too_short(metric, length, synthetic):
    cut = slice(20_000, 20_000 + length)
    score = judge(metric, synthetic.estimates["good"][cut], synthetic.target[cut])
    assert (score.value, score.status) == (None, Status.NOT_APPLICABLE)
    assert score.reason == "shorter than 0.25 s, PESQ's least"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "estimate", [np.full(64_000, 0.1), np.eye(1, 64_000, 30_000)[0], np.full(64_000, 1e-30), np.full(64_000, 1e30)]
)
def test_odd_estimates_give_a_value_within_bounds_or_a_reason(metric, estimate, synthetic):
    within_bounds_or_a_reason(metric, judge(metric, estimate.astype(np.float32), synthetic.target))


pieces = st.sampled_from(["speech", "noise", "zeros", "click", "tone", "reversed", "late"])


@given(st.sampled_from(METRICS), st.lists(pieces, min_size=1, max_size=4), st.lists(pieces, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_whatever_two_signals_are_made_of(metric, first, second):
    rng = np.random.default_rng(0)
    score = judge(metric, put_together(first, rng), put_together(second, rng))
    within_bounds_or_a_reason(metric, score)


def put_together(names: list[str], rng: np.random.Generator) -> np.ndarray:
    size = 60_000 // len(names)
    speech = syllables(rng, size)
    made = {
        "speech": speech,
        "noise": 0.1 * rng.standard_normal(size),
        "zeros": np.zeros(size),
        "click": np.eye(1, size, size // 2)[0],
        "tone": np.sin(np.arange(size) * 0.3),
        "reversed": speech[::-1],
        "late": np.roll(speech, 7_777),
    }
    return np.resize(np.concatenate([made[name] for name in names]), 60_000).astype(np.float32)


def within_bounds_or_a_reason(metric: str, score) -> None:
    if score.value is None:
        assert score.status in (Status.UNDEFINED, Status.NOT_APPLICABLE)
        assert score.reason
    else:
        low, high = resolve(metric).bounds
        assert low <= score.value <= high


@pytest.mark.parametrize("metric", ["pesq_wb", "pesq_wb[pesq]"])
def test_no_utterance_in_the_target_is_not_the_systems_fault(metric, synthetic):
    blip = np.zeros_like(synthetic.target)
    blip[:800] = synthetic.estimates["unrelated"][:800]
    score = judge(metric, synthetic.target, blip)
    assert (score.status, score.reason) == (Status.NOT_APPLICABLE, "PESQ finds no utterance in the target")


def bursts(count: int) -> np.ndarray:
    """Utterances of 0.4 s, each followed by a pause as long."""
    rng = np.random.default_rng(0)
    return (np.tile(np.repeat([0.1, 0.0], 6_400), count) * rng.standard_normal(count * 12_800)).astype(np.float32)


def test_fifty_utterances_and_no_more():
    for count, reason in ((40, None), (70, "the target has more than 50 utterances, PESQ's most")):
        target = bursts(count)
        noisy = target + np.float32(0.01) * np.random.default_rng(1).standard_normal(target.size).astype(np.float32)
        score = judge("pesq_wb", noisy, target)
        assert score.reason == reason
        assert score.status is (Status.NOT_APPLICABLE if reason else Status.OK)


# -- the package's limits ------------------------------------------------------------------------


def test_long_signals_go_to_a_process_of_their_own(synthetic, monkeypatch):
    estimate, target = synthetic.estimates["good"][:32_000], synthetic.target[:32_000]
    here = pesq_package.pesq_outcome(estimate, target, "wb")
    monkeypatch.setattr(pesq_package, "SAFE_S", 1.0)
    monkeypatch.setattr(pesq_package, "_pesq", None)
    assert pesq_package.pesq_outcome(estimate, target, "wb") == here
    assert pesq_package.pesq_outcome(estimate, np.zeros_like(target), "wb") == "NoUtterancesError"


def test_a_crash_of_the_package_is_a_reason(synthetic, monkeypatch):
    monkeypatch.setattr(pesq_package, "SAFE_S", 1.0)
    monkeypatch.setattr(pesq_package, "_pesq_apart", lambda *_: "crash")
    score = judge("pesq_wb[pesq]", synthetic.estimates["good"], synthetic.target)
    assert (score.status, score.reason) == (Status.NOT_APPLICABLE, "PESQ crashed: it holds at most 50 utterances")


@pytest.mark.slow
def test_more_utterances_than_the_package_has_room_for():
    target = bursts(70)
    noisy = target + np.float32(0.01) * np.random.default_rng(1).standard_normal(target.size).astype(np.float32)
    score = judge("pesq_wb[pesq]", noisy, target)
    assert score.status is Status.NOT_APPLICABLE
    assert "50 utterances" in score.reason


def test_the_package_is_not_tried_beyond_a_minute(synthetic):
    long = np.tile(synthetic.target, 16)
    score = judge("pesq_wb[pesq]", long, long)
    assert score.status is Status.NOT_APPLICABLE
    assert "60 s" in score.reason


def test_two_arrays_of_one_length():
    with pytest.raises(ValueError, match="one shape"):
        quality.pesq(np.ones(8000), np.ones(9000), "nb")
    with pytest.raises(NoValue, match="no utterance"):
        quality.pesq(np.ones(8000), np.zeros(8000), "nb")


def test_declarations():
    declared = {metric.id: metric for metric in quality.METRICS}
    assert {name: metric.sample_rates for name, metric in declared.items()} == {
        "pesq_wb": (16_000,),
        "pesq_nb": (8_000,),
    }
    assert all(metric.improves and metric.penalty == 1.0 and metric.version == 2 for metric in quality.METRICS)
    assert Need.ALIGNED not in declared["pesq_wb"].needs
    assert resolve("pesq_wb[pesq]").packages == ("pesq",)
