"""Files in, samples out: what is read, what is refused, and resampling against independent code."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tspbench import audio
from tspbench.errors import AudioError

RATE = 8000


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """2 s whose sample n has the value n / 16000."""
    path = tmp_path / "ramp.wav"
    soundfile.write(path, np.arange(2 * RATE) / (2 * RATE), RATE, subtype="FLOAT")
    return path


def tone(rate: int, seconds: float, frequency: float = 440.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def test_a_stretch_is_cut_to_the_sample(ramp: Path) -> None:
    samples, rate = audio.read(ramp, start_s=0.5, duration_s=0.25)
    assert rate == RATE
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, np.arange(4000, 6000) / 16000, atol=1e-7)


def test_without_a_duration_everything_from_the_start_on_is_read(ramp: Path) -> None:
    samples, _ = audio.read(ramp, start_s=1.999)
    np.testing.assert_allclose(samples, np.arange(15992, 16000) / 16000, atol=1e-7)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = tone(RATE, 0.1), np.linspace(-0.5, 0.5, RATE // 10, dtype=np.float32)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    samples, _ = audio.read(tmp_path / "stereo.wav")
    np.testing.assert_allclose(samples, (left.astype(float) + right) / 2, atol=1e-7)


def test_flac_is_read_as_it_was_written(tmp_path: Path) -> None:
    integers = np.random.default_rng(0).integers(-32768, 32767, 500).astype(np.int16)
    soundfile.write(tmp_path / "x.flac", integers, RATE)
    np.testing.assert_array_equal(audio.read(tmp_path / "x.flac")[0], (integers / 32768).astype(np.float32))


def test_the_checksum_is_of_the_file(ramp: Path) -> None:
    right = hashlib.sha256(ramp.read_bytes()).hexdigest()
    np.testing.assert_array_equal(audio.read(ramp, sha256=right)[0], audio.read(ramp)[0])
    wrong = "0" * 64
    with pytest.raises(AudioError, match=rf"ramp\.wav is not the file .* sha256 {right[:12]}…, expected 0{{12}}…"):
        audio.read(ramp, sha256=wrong)


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_missing_file_is_called_missing(tmp_path: Path, sha256: str | None) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav does not exist\."):
        audio.read(tmp_path / "gone.wav", sha256=sha256)


def test_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    for open_it in (audio.read, audio.probe):
        with pytest.raises(AudioError, match="is a folder, not an audio file"):
            open_it(tmp_path)


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    for open_it in (audio.read, audio.probe):
        with pytest.raises(AudioError, match=r"empty\.wav is empty \(0 bytes\)"):
            open_it(tmp_path / "empty.wav")


def test_a_file_without_samples_is_called_empty(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "header.wav", np.zeros(0), RATE)
    for open_it in (audio.read, audio.probe):
        with pytest.raises(AudioError, match=r"header\.wav is empty: it holds no samples"):
            open_it(tmp_path / "header.wav")


def test_text_is_not_audio_and_the_reason_names_the_file_once(tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("not audio at all")
    for open_it in (audio.read, audio.probe):
        with pytest.raises(AudioError, match="cannot be read as audio: Format not recognised") as caught:
            open_it(tmp_path / "notes.wav")
        assert str(caught.value).count("notes.wav") == 1


def test_a_start_past_the_end_says_how_long_the_file_is(ramp: Path) -> None:
    with pytest.raises(AudioError, match=r"lasts 2\.000 s, but the trial starts reading at 2\.000 s"):
        audio.read(ramp, start_s=2.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    soundfile.write(tmp_path / "x.wav", np.array([0.0, bad, 0.1]), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"x\.wav holds NaN or infinity"):
        audio.read(tmp_path / "x.wav")


def test_probe_tells_the_header(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", np.zeros((12_000, 2)), RATE)
    assert audio.probe(tmp_path / "x.flac") == (1.5, RATE, 2)


def test_probe_finds_a_wav_file_that_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=r"x\.wav is truncated"):
        audio.probe(path)
    path.write_bytes(whole + b"LIST\x04\x00\x00\x00abcd")  # what follows the data is of no matter
    assert audio.probe(path) == (1.0, RATE, 1)
    place = whole.index(b"data") + 4
    path.write_bytes(whole[:place] + b"\xff" * 4 + whole[place + 4 :])  # written into a pipe: length unknown
    assert audio.probe(path) == (1.0, RATE, 1)


@pytest.mark.parametrize(("rate", "wanted"), [(48000, 16000), (16000, 8000), (8000, 44100), (44100, 32000)])
def test_a_resampled_tone_is_the_tone_at_the_other_rate(rate: int, wanted: int) -> None:
    out = audio.resample(tone(rate, 1.0), rate, wanted)
    assert out.dtype == np.float32
    inside = slice(wanted // 10, -wanted // 10)
    np.testing.assert_allclose(out[inside], tone(wanted, 1.0)[inside], atol=1e-4)


@pytest.mark.parametrize(("rate", "up", "down"), [(48000, 1, 3), (16000, 1, 2), (8000, 2, 1), (32000, 441, 320)])
def test_resampling_agrees_with_scipy(rate: int, up: int, down: int) -> None:
    wanted = rate * up // down
    chirp = signal.chirp(np.arange(rate) / rate, 50, 1.0, 0.3 * min(rate, wanted)).astype(np.float32)
    expected = signal.resample_poly(chirp.astype(float), up, down, window=("kaiser", 12.0))
    out = audio.resample(chirp, rate, wanted)
    inside = slice(wanted // 10, -wanted // 10)
    np.testing.assert_allclose(out[inside], expected[: len(out)][inside], atol=2e-3)


def test_what_lies_above_the_new_band_is_gone() -> None:
    out = audio.resample(tone(48000, 0.5, frequency=9000.0), 48000, 16000)
    assert np.abs(out[800:-800]).max() < 1e-4


@given(st.integers(0, 3000), st.sampled_from([8000, 16000, 22050, 44100, 48000]), st.sampled_from([8000, 16000, 32000]))
def test_the_length_is_in_proportion_to_within_a_sample(length: int, rate: int, wanted: int) -> None:
    out = audio.resample(np.zeros(length, np.float32), rate, wanted)
    assert abs(len(out) - length * wanted / rate) <= 1


def test_rows_are_resampled_alone() -> None:
    rows = np.stack([tone(16000, 0.2), tone(16000, 0.2, 700.0), np.zeros(3200, np.float32)])
    together = audio.resample(rows, 16000, 8000)
    assert together.shape == (3, 1600)
    for row, alone in zip(together, rows, strict=True):
        np.testing.assert_array_equal(row, audio.resample(alone, 16000, 8000))


def test_no_rows_stay_no_rows() -> None:
    assert audio.resample(np.zeros((0, 3200), np.float32), 16000, 8000).shape == (0, 1600)


def test_equal_rates_return_the_input() -> None:
    samples = tone(RATE, 0.1)
    assert audio.resample(samples, RATE, RATE) is samples


@given(st.integers(0, 20), st.integers(0, 20))
def test_fit_cuts_or_pads_at_the_end(length: int, wanted: int) -> None:
    rows = np.arange(1, 2 * length + 1, dtype=np.float32).reshape(2, length)
    out = audio.fit(rows, wanted)
    common = min(length, wanted)
    assert out.shape == (2, wanted)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[:, :common], rows[:, :common])
    assert not out[:, common:].any()


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal(999).astype(np.float32)
    samples[:4] = [1e-30, -3.5, np.nextafter(np.float32(1), np.float32(2)), -0.0]
    audio.write(tmp_path / "x.wav", samples, 22050)
    again, rate = audio.read(tmp_path / "x.wav")
    assert rate == 22050
    assert again.tobytes() == samples.tobytes()


def test_vectors_are_read_flat_and_as_float32(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6.0).reshape(1, 6))
    vector = audio.read_vector(tmp_path / "v.npy")
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(vector, np.arange(6))


def test_a_vector_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(AudioError, match=r"v\.npy cannot be read as a \.npy vector"):
        audio.read_vector(tmp_path / "v.npy")


def test_vectors_that_hold_no_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    for name in ("gone.npy", "empty.npy", "text.npy"):
        with pytest.raises(AudioError, match=rf"{name} cannot be read"):
            audio.read_vector(tmp_path / name)
    np.save(tmp_path / "nan.npy", np.array([1.0, np.nan]))
    with pytest.raises(AudioError, match=r"nan\.npy holds NaN"):
        audio.read_vector(tmp_path / "nan.npy")


def test_the_digest_sees_samples_shapes_and_absence() -> None:
    a, b = tone(RATE, 0.01), tone(RATE, 0.01, 500.0)
    digests = [
        audio.digest(a), audio.digest(b), audio.digest(a, b), audio.digest(b, a), audio.digest(a, None),
        audio.digest(None, a), audio.digest(a[None]), audio.digest(np.concatenate([a, b])),
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)
    assert audio.digest(np.stack([a, b], axis=1)[:, 0]) == audio.digest(a)


def test_one_channel_can_be_asked_for(tmp_path: Path) -> None:
    left, right = tone(RATE, 0.1), np.linspace(-0.5, 0.5, RATE // 10, dtype=np.float32)
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(audio.read(path, channel=0)[0], left)
    np.testing.assert_array_equal(audio.read(path, channel=1)[0], right)
    for channel in (2, -1):
        with pytest.raises(
            AudioError, match=rf"stereo\.wav has 2 channel\(s\), but the trial reads channel {channel} \("
        ):
            audio.read(path, channel=channel)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (44100, 16000), (8000, 22050)])
def test_hq_is_librosas_soxr(rate: int, wanted: int) -> None:
    librosa = pytest.importorskip("librosa")
    samples = np.random.default_rng(0).standard_normal((2, 1237)).astype(np.float32)
    expected = librosa.resample(samples, orig_sr=rate, target_sr=wanted, res_type="soxr_hq")
    np.testing.assert_array_equal(audio.resample(samples, rate, wanted, "hq"), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_polyphase_is_scipys_in_the_precision_of_the_samples(dtype: type) -> None:
    samples = np.random.default_rng(0).standard_normal(1237).astype(dtype)
    found = audio.resample(samples, 44100, 16000, "polyphase")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, signal.resample_poly(samples, 160, 441))


@pytest.mark.parametrize("method", ["hq", "polyphase"])
@pytest.mark.parametrize("length", [1, 2, 399, 400, 401])
def test_lengths_after_resampling_are_rounded_up(method: str, length: int) -> None:
    assert audio.resample(np.ones(length, np.float32), 44100, 16000, method).shape == (math.ceil(length * 160 / 441),)


@pytest.mark.parametrize("length", [4002, 5000, 9000, 20_001])
@pytest.mark.parametrize("wanted", [4000, 20_001, 20_002, 61_234])
def test_repeating_is_an_overlap_of_hann_halves(length: int, wanted: int) -> None:
    """Against a sum of shifted copies under their windows; copies that overlap twice are shorter than two overlaps."""
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    found = audio.repeat(samples, RATE, wanted)
    assert found.shape == (wanted,)
    if wanted <= length:
        np.testing.assert_array_equal(found, samples[:wanted])
        return
    overlap = RATE // 2 + 1
    fall = 0.5 + 0.5 * np.cos(np.pi * np.arange(overlap) / (RATE // 2))
    expected = samples.astype(np.float64)
    while len(expected) < wanted:
        longer = np.concatenate([expected, np.zeros(length - overlap)])
        longer[len(expected) - overlap : len(expected)] *= fall
        longer[len(expected) - overlap : len(expected)] += samples[:overlap] * (1 - fall)
        longer[len(expected) :] = samples[overlap:]
        expected = longer
    np.testing.assert_allclose(found, expected[:wanted], atol=1e-6)


def test_what_is_no_longer_than_the_overlap_cannot_be_repeated() -> None:
    with pytest.raises(AudioError, match=r"4001 samples is too short to be repeated \(4002 are needed\)"):
        audio.repeat(np.ones(4001, np.float32), RATE, 5000)
    assert audio.repeat(np.ones(4002, np.float32), RATE, 5000).shape == (5000,)


@pytest.mark.parametrize(("start", "duration"), [(0.0, None), (0.5, None), (0.5, 0.25), (1.5, 3.0), (0.3, 0.1)])
def test_measuring_tells_how_much_reading_gives(ramp: Path, start: float, duration: float | None) -> None:
    samples, rate = audio.read(ramp, start_s=start, duration_s=duration)
    assert audio.measure(ramp, start_s=start, duration_s=duration) == (len(samples), rate)


def test_measuring_refuses_what_reading_refuses(ramp: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"lasts 2\.000 s, but the trial starts reading at 2\.000 s"):
        audio.measure(ramp, start_s=2.0)
    with pytest.raises(AudioError, match=r"gone\.wav does not exist\."):
        audio.measure(tmp_path / "gone.wav")
