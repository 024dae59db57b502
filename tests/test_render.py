"""Recipe to samples: ratios, lengths, gains, clipping and rounding against closed forms."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from tspbench import audio
from tspbench.errors import AudioError
from tspbench.render import as_mixed, render
from tspbench.types import Clip, Mix, QueryRecipe, Rendered, Role, Source, Trial

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


def test_an_extended_source_is_repeated_or_cut_to_the_longest_and_never_decides_the_length() -> None:
    recordings = {"target": noise(1, 14_000), "short": noise(2, 9_000), "hum": noise(3, 5_000), "din": noise(4, 20_000)}
    for rule, length in (("max", 14_000), ("min", 9_000)):
        extended = {"extend": "crossfade"}
        out = mixed(recordings, Mix(length=rule, clip="none"), hum=extended, din=extended)
        assert out.mixture.shape == (length,)
        hum = audio.repeat(recordings["hum"], RATE, 14_000).astype(np.float32)
        np.testing.assert_array_equal(out.interferers[1], hum[:length])
        np.testing.assert_array_equal(out.interferers[2], recordings["din"][:length])


def test_only_as_much_of_an_extended_source_is_read_as_is_needed() -> None:
    asked: list[Clip] = []
    shelf = Shelf({"target": noise(1, 800), "din": noise(2, 900)})

    def read(clip: Clip) -> tuple[audio.Audio, int]:
        asked.append(clip)
        return shelf(clip)

    sources = (Source("din", extend="crossfade"), Source("target", role=Role.TARGET))
    render(Trial("t", sources, Mix(length="max")), read, RATE)
    assert [(clip.path, clip.duration_s) for clip in asked] == [("target", None), ("din", 0.1)]


def test_something_must_decide_the_length() -> None:
    with pytest.raises(AudioError, match="no source decides how long the mixture is"):
        mixed({"target": noise(1)}, Mix(), target={"extend": "crossfade"})


@pytest.mark.parametrize(("rule", "expected"), [("min", 150), ("max", 300), ("target", 200)])
def test_a_partner_counts_for_the_length_and_is_not_heard(rule: Any, expected: int) -> None:
    recordings = {"target": noise(1, 200), "other": noise(2, 150), "partner": noise(3, 300)}
    sources = (Source("target", role=Role.TARGET, partner="partner"), Source("other"))
    out = render(Trial("t", sources, Mix(length=rule)), Shelf(recordings), RATE)
    assert out.mixture.shape == (expected,)
    np.testing.assert_array_equal(out.target, audio.fit(recordings["target"], expected))
    assert out.interferers.shape == (1, expected)


def test_a_partner_lasts_as_long_as_its_resampled_self() -> None:
    recordings = {"target": noise(1, 401), "partner": noise(2, 333)}
    sources = (Source("target", role=Role.TARGET, partner="partner"),)
    methods: tuple[Any, ...] = ("polyphase", "hq")
    for method in methods:
        out = render(Trial("t", sources, Mix(length="min", resample=method)), Shelf(recordings, rate=3 * RATE), RATE)
        assert len(out.mixture) == len(audio.resample(recordings["partner"], 3 * RATE, RATE, method)) == 111


def test_a_query_with_a_partner_is_the_source_it_was_in_their_mixture() -> None:
    recordings = {"target": noise(1, 200), "other": noise(2, 150)}
    mix = Mix(length="min", rounding="pcm16", precision="float32", resample="polyphase", clip="none")
    trial = Trial("t", (Source("target", role=Role.TARGET, gain=0.7), Source("other", gain=0.3)), mix)
    whole = render(trial, Shelf(recordings, rate=2 * RATE), RATE)
    clip = Clip("target", gain=0.7, partner="other")
    np.testing.assert_array_equal(as_mixed(clip, mix, Shelf(recordings, rate=2 * RATE), RATE), whole.target)


def test_a_query_without_a_partner_is_its_recording_at_its_gain() -> None:
    shelf = Shelf({"a": noise(1)})
    np.testing.assert_array_equal(as_mixed(Clip("a"), Mix(rounding="pcm16"), shelf, RATE), noise(1))
    halved = as_mixed(Clip("a", gain=0.5), Mix(length="max"), shelf, RATE)
    np.testing.assert_array_equal(halved, noise(1) * np.float32(0.5))
    assert halved.dtype == np.float32


def test_single_precision_scales_before_resampling_and_adds_in_float32() -> None:
    recordings = {"target": noise(1, 900, 0.3), "a": noise(2, 900, 0.3), "b": noise(3, 900, 0.3)}
    gains = {name: {"gain": gain} for name, gain in zip(recordings, (0.7, 1.3, 0.9), strict=True)}
    sources = tuple(
        Source(name, role=Role.TARGET if name == "target" else Role.INTERFERER, **gains[name]) for name in recordings
    )
    mix = Mix(length="max", clip="none", precision="float32", resample="polyphase")
    out = render(Trial("t", sources, mix), Shelf(recordings, rate=2 * RATE), RATE)
    signals = [resample_poly(recordings[name] * np.float32(gains[name]["gain"]), 1, 2) for name in recordings]
    assert all(signal.dtype == np.float32 for signal in signals)
    np.testing.assert_array_equal(out.target, signals[0])
    np.testing.assert_array_equal(out.mixture, (signals[0] + signals[1]) + signals[2])
    double = render(Trial("t", sources, replace(mix, precision="float64")), Shelf(recordings, rate=2 * RATE), RATE)
    assert not np.array_equal(double.mixture, out.mixture)
    np.testing.assert_allclose(double.mixture, out.mixture, atol=1e-6)


@pytest.mark.parametrize("method", ["vhq", "hq", "polyphase"])
def test_the_mix_says_how_recordings_are_resampled(method: Any) -> None:
    recordings = {"target": noise(1, 441)}
    trial = Trial("t", (Source("target", role=Role.TARGET),), Mix(resample=method))
    out = render(trial, Shelf(recordings, rate=44100), RATE)
    np.testing.assert_array_equal(out.target, audio.resample(recordings["target"], 44100, RATE, method))


def test_a_recorded_mixture_is_used_as_it_is_and_fitted() -> None:
    recordings = {"target": noise(1, 200), "other": noise(2, 200), "mixture": noise(3, 190)}
    sources = (Source("target", role=Role.TARGET), Source("other"))
    out = render(Trial("t", sources, Mix(), mixture=Clip("mixture")), Shelf(recordings), RATE)
    np.testing.assert_array_equal(out.mixture, audio.fit(recordings["mixture"], 200))
    np.testing.assert_array_equal(out.target, recordings["target"])
    np.testing.assert_array_equal(out.interferers, [recordings["other"]])


def test_with_a_target_alone_the_interferer_is_the_rest_of_the_recorded_mixture() -> None:
    recordings = {"target": noise(1, 200), "mixture": noise(3, 200)}
    trial = Trial("t", (Source("target", role=Role.TARGET),), Mix(), mixture=Clip("mixture"))
    out = render(trial, Shelf(recordings), RATE)
    np.testing.assert_array_equal(out.interferers, [recordings["mixture"] - recordings["target"]])


def test_everything_that_a_trial_reads_is_among_its_clips() -> None:
    vector = Clip("vector.npy")
    query = QueryRecipe(enrolment=(Clip("enrolment", partner="its partner"),), speaker_vector=vector)
    sources = (Source("target", role=Role.TARGET, partner="silent"), Source("other"))
    trial = Trial("t", sources, query=query, mixture=Clip("mixture"))
    paths = [clip.path for clip in trial.clips()]
    assert sorted(paths) == ["enrolment", "its partner", "mixture", "other", "silent", "target", "vector.npy"]
    assert trial.clips()[-1] is vector


@pytest.mark.parametrize("rate", [RATE, 2 * RATE, 5 * RATE])
@pytest.mark.parametrize("rounding", ["none", "pcm16"])
def test_measured_recordings_are_cut_and_give_the_same_bits(rate: int, rounding: Any) -> None:
    recordings = {"target": noise(1, 40_000), "other": noise(2, 25_001), "partner": noise(3, 22_003)}
    mix = Mix(length="min", resample="polyphase", precision="float32", rounding=rounding)
    sources = (Source("target", role=Role.TARGET, gain=0.7), Source("other", partner="partner"))
    shelf, decoded = Shelf(recordings, rate), 0

    def read(clip: Clip) -> tuple[audio.Audio, int]:
        nonlocal decoded
        samples = shelf(clip)[0]
        samples = samples if clip.duration_s is None else samples[: round(clip.duration_s * rate)]
        decoded += len(samples)
        return samples, rate

    def measure(clip: Clip) -> tuple[int, int]:
        return len(recordings[clip.path]), rate

    for chosen in (sources, sources[:1], (sources[0], Source("other", extend="crossfade"), sources[1])):
        trial = Trial("t", chosen, mix)
        whole, all_of_it = render(trial, read, RATE), decoded
        decoded = 0
        part = render(trial, read, RATE, measure)
        assert audio.digest(part.mixture, part.target, part.interferers) == audio.digest(
            whole.mixture, whole.target, whole.interferers
        )
        assert decoded < 0.7 * all_of_it if len(chosen) > 1 else decoded == 40_000
        decoded = 0
    clip = Clip("target", partner="partner")
    np.testing.assert_array_equal(
        as_mixed(clip, mix, read, RATE, measure), as_mixed(clip, mix, lambda clip: shelf(clip), RATE)
    )
    assert decoded < 23_000, "the partner is measured, not decoded"
