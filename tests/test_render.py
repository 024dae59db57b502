"""Recipe to samples: ratios, lengths, gains, clipping and rounding against closed forms."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tspbench import audio
from tspbench.errors import AudioError
from tspbench.render import render
from tspbench.types import Clip, Mix, Rendered, Role, Source, Trial

RATE = 8000
SNR = st.floats(-30, 30)
LENGTH = st.integers(50, 400)


class Shelf:
    """Reads clips from a dictionary."""

    def __init__(self, recordings: Mapping[str, Any], rate: int = RATE) -> None:
        self.recordings, self.rate = recordings, rate

    def __call__(self, clip: Clip) -> tuple[audio.Audio, int]:
        return np.asarray(self.recordings[clip.path], dtype=np.float32), self.rate


def noise(seed: int, length: int = 200, level: float = 0.05) -> audio.Audio:
    samples = level * np.random.default_rng(seed).standard_normal(length)
    return np.where(samples == 0, level, samples).astype(np.float32)


def mixed(recordings: Mapping[str, Any], mix: Mix, **places: Mapping[str, Any]) -> Rendered:
    """Render the recordings, the one called ``target`` being the target."""
    sources = tuple(
        Source(name, role=Role.TARGET if name == "target" else Role.INTERFERER, **places.get(name, {}))
        for name in recordings
    )
    return render(Trial("t", sources, mix), Shelf(recordings), RATE)


def rest_of(rendered: Rendered) -> np.ndarray:
    return rendered.interferers.astype(np.float64).sum(axis=0)


def power_db(signal: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(signal.astype(np.float64) ** 2)))


@given(SNR, LENGTH, LENGTH, st.sampled_from(["target", "min", "max"]))
def test_energy_ratio_holds_over_the_span_of_the_mixture(snr: float, n: int, m: int, length: Any) -> None:
    out = mixed({"target": noise(1, n), "other": noise(2, m)}, Mix(snr_db=snr, length=length))
    assert power_db(out.target) - power_db(rest_of(out)) == pytest.approx(snr, abs=1e-4)


@given(SNR, LENGTH, LENGTH)
def test_rms_ratio_holds_over_the_span_that_each_signal_covers(snr: float, n: int, m: int) -> None:
    out = mixed({"target": noise(1, n), "other": noise(2, m)}, Mix(snr_db=snr, level="rms", length="max"))
    assert power_db(out.target[:n]) - power_db(rest_of(out)[:m]) == pytest.approx(snr, abs=1e-4)


def test_rms_ratio_does_not_count_the_pause_before_an_offset() -> None:
    mix = Mix(snr_db=3.0, level="rms", length="max")
    out = mixed({"target": noise(1, 400), "other": noise(2, 100)}, mix, other={"offset_s": 300 / RATE})
    assert not rest_of(out)[:300].any()
    assert power_db(out.target) - power_db(rest_of(out)[300:]) == pytest.approx(3.0, abs=1e-4)


@given(SNR, LENGTH, LENGTH)
def test_peak_ratio_holds(snr: float, n: int, m: int) -> None:
    out = mixed({"target": noise(1, n), "other": noise(2, m)}, Mix(snr_db=snr, level="peak", length="max"))
    peaks = np.abs(out.target).max() / np.abs(rest_of(out)).max()
    assert 20 * np.log10(peaks) == pytest.approx(snr, abs=1e-4)


def test_the_ratio_is_to_the_sum_of_all_interferers_and_keeps_their_proportions() -> None:
    recordings = {"a": noise(1), "target": noise(2), "b": noise(3), "c": noise(4)}
    out = mixed(recordings, Mix(snr_db=-7.0), b={"gain": 0.5})
    assert power_db(out.target) - power_db(rest_of(out)) == pytest.approx(-7.0, abs=1e-4)
    factor = out.interferers[0] / recordings["a"]
    np.testing.assert_allclose(out.interferers[1], 0.5 * factor * recordings["b"], rtol=1e-5)
    np.testing.assert_allclose(out.interferers[2], factor * recordings["c"], rtol=1e-5)
    np.testing.assert_array_equal(out.target, recordings["target"])


@given(SNR, st.sampled_from(["energy", "rms", "peak"]), st.sampled_from(["rescale", "none"]), st.floats(0.01, 2.0))
def test_the_mixture_is_the_sum_to_float32_rounding(snr: float, level: Any, clip: Any, loud: float) -> None:
    recordings = {"target": noise(1, level=loud), "a": noise(2), "b": noise(3)}
    out = mixed(recordings, Mix(snr_db=snr, level=level, clip=clip))
    total = out.target.astype(np.float64) + rest_of(out)
    np.testing.assert_allclose(out.mixture, total, rtol=0, atol=4 * np.spacing(np.abs(out.interferers).max() + loud))
    assert all(x.dtype == np.float32 for x in (out.mixture, out.target, out.interferers))


@pytest.mark.parametrize(
    ("rule", "expected"), [("target", 300), ("min", 200), ("max", 450), (0.05, 400), (0.01, 80), (1e-9, 1)]
)
def test_length_rules(rule: Any, expected: int) -> None:
    recordings = {"short": noise(1, 200), "target": noise(2, 300), "late": noise(3, 400)}
    out = mixed(recordings, Mix(length=rule), late={"offset_s": 50 / RATE})
    assert out.mixture.shape == out.target.shape == (expected,)
    assert out.interferers.shape == (2, expected)
    np.testing.assert_array_equal(out.target, audio.fit(recordings["target"], expected))
    np.testing.assert_array_equal(out.interferers[0], audio.fit(recordings["short"], expected))
    late = np.concatenate([np.zeros(50, np.float32), recordings["late"]])
    np.testing.assert_array_equal(out.interferers[1], audio.fit(late, expected))


def test_without_a_ratio_the_gains_alone_count() -> None:
    recordings = {"target": noise(1), "other": noise(2)}
    out = mixed(recordings, Mix(), target={"gain": 0.25}, other={"gain": -2.0})
    np.testing.assert_array_equal(out.target, 0.25 * recordings["target"])
    np.testing.assert_array_equal(out.interferers[0], -2 * recordings["other"])


def test_a_loud_mixture_is_scaled_to_0_9_and_everything_with_it() -> None:
    recordings = {"target": noise(1, level=0.8), "other": noise(2, level=0.6)}
    raw = mixed(recordings, Mix(snr_db=2.0, clip="none"))
    out = mixed(recordings, Mix(snr_db=2.0))
    assert np.abs(raw.mixture).max() > 1
    assert np.abs(out.mixture).max() == pytest.approx(0.9, abs=1e-6)
    factor = 0.9 / np.abs(raw.mixture).max()
    for name in ("mixture", "target", "interferers"):
        np.testing.assert_allclose(getattr(out, name), factor * getattr(raw, name), rtol=1e-5, atol=1e-7)


def test_a_mixture_that_reaches_1_is_left_alone_even_where_a_source_exceeds_it() -> None:
    out = mixed({"target": [1.5, 0.1], "other": [-0.5, 0.1]}, Mix())
    np.testing.assert_array_equal(out.target, np.float32([1.5, 0.1]))


def through_a_16_bit_file(signal: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, signal, RATE, format="WAV", subtype="PCM_16")
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def test_pcm16_rounds_as_libsndfile_writes_and_reads() -> None:
    steps = np.arange(-32769, 32769) / 32768
    edges = [steps, np.nextafter(steps, 2), np.nextafter(steps, -2), steps + 0.5 / 32768, steps * 1.3]
    dust = np.random.default_rng(0).uniform(-1e-9, 1e-9, 1000)
    target = np.concatenate([*edges, dust, [0.0, -0.0, 1.0, -1.0]]).astype(np.float32)
    other = np.random.default_rng(1).permutation(target)
    out = mixed({"target": target, "other": other}, Mix(clip="none", rounding="pcm16"), other={"gain": 0.7})
    scaled = 0.7 * other.astype(np.float64)
    np.testing.assert_array_equal(out.target, through_a_16_bit_file(target.astype(np.float64)))
    np.testing.assert_array_equal(out.interferers[0], through_a_16_bit_file(scaled))
    np.testing.assert_array_equal(out.mixture, through_a_16_bit_file(target.astype(np.float64) + scaled))


def test_pcm16_goes_down_by_less_than_a_step_and_stops_at_full_scale() -> None:
    signal = np.float32([0.3, -0.3, 1.2, -1.2])
    out = mixed({"target": signal}, Mix(clip="none", rounding="pcm16")).target
    assert 0 <= 0.3 - out[0] < 1 / 32768
    assert 0 <= -0.3 - out[1] < 1 / 32768
    assert out[2] == np.float32(32767 / 32768)
    assert out[3] == -1.0


def test_without_a_target_there_is_no_target_and_the_mixture_is_the_rest() -> None:
    recordings = {"a": noise(1), "b": noise(2)}
    out = mixed(recordings, Mix(length="max"))
    assert out.target is None
    assert out.interferers.shape == (2, 200)
    np.testing.assert_allclose(out.mixture, recordings["a"] + recordings["b"], atol=1e-7)


def test_a_target_alone_has_no_interferers() -> None:
    out = mixed({"target": noise(1)}, Mix(snr_db=5.0))
    assert out.interferers.shape == (0, 200)
    np.testing.assert_array_equal(out.mixture, noise(1))


@pytest.mark.parametrize("level", ["energy", "rms", "peak"])
@pytest.mark.parametrize(
    ("target", "other", "silent"),
    [(np.zeros(9), np.ones(9), "the target is silent"), (np.ones(9), np.zeros(9), "the interference is silent")],
)
def test_no_ratio_can_be_set_with_silence(target: Any, other: Any, silent: str, level: Any) -> None:
    with pytest.raises(AudioError, match=rf"Trial 't': {silent}, so 3\.0 dB cannot be set"):
        mixed({"target": target, "other": other}, Mix(snr_db=3.0, level=level))


def test_silence_without_a_ratio_is_rendered() -> None:
    out = mixed({"target": np.zeros(9), "other": np.zeros(9)}, Mix(rounding="pcm16"))
    assert not out.mixture.any()


def test_interference_that_lies_past_the_end_is_silent() -> None:
    with pytest.raises(AudioError, match="the interference is silent"):
        mixed({"target": noise(1), "other": noise(2)}, Mix(snr_db=0.0), other={"offset_s": 1.0})


def test_sources_are_brought_to_the_rate_of_the_task() -> None:
    recordings = {"target": noise(1, 441), "other": noise(2, 441)}
    sources = (Source("target", role=Role.TARGET), Source("other"))
    out = render(Trial("t", sources, Mix(snr_db=4.0)), Shelf(recordings, rate=44100), RATE)
    np.testing.assert_array_equal(out.target, audio.resample(recordings["target"], 44100, RATE))
    assert out.mixture.shape == (80,)
    assert power_db(out.target) - power_db(rest_of(out)) == pytest.approx(4.0, abs=1e-4)


def test_rendering_twice_gives_the_same_bits_and_leaves_the_recordings_alone() -> None:
    recordings = {"target": noise(1, level=0.9), "a": noise(2), "b": noise(3)}
    before = {name: samples.copy() for name, samples in recordings.items()}
    mix = Mix(snr_db=1.0, rounding="pcm16")
    one, two = mixed(recordings, mix), mixed(recordings, mix)
    assert audio.digest(one.mixture, one.target, one.interferers) == audio.digest(
        two.mixture, two.target, two.interferers
    )
    for name, samples in before.items():
        np.testing.assert_array_equal(recordings[name], samples)


def test_a_click_that_resampling_leaves_nothing_of_is_one_silent_sample() -> None:
    out = render(Trial("t", (Source("target", role=Role.TARGET),)), Shelf({"target": [0.5]}, rate=48000), RATE)
    assert out.mixture.shape == out.target.shape == (1,)
