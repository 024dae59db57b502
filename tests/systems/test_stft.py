from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tspbench.errors import UsageError
from tspbench.systems.stft import STFT


@given(
    length=st.integers(0, 5000),
    window=st.integers(2, 700),
    share=st.floats(0.01, 0.5),
    seed=st.integers(0, 1000),
)
def test_inverse_gives_back_every_sample(length: int, window: int, share: float, seed: int) -> None:
    transform = STFT(window, max(1, int(window * share)))
    x = np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    y = transform.inverse(transform.forward(x), length)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, x, atol=2e-5)


@pytest.mark.parametrize("length", [1, 100, 16000, 16001])
def test_agrees_with_scipy(length: int) -> None:
    """Frame by frame, and the inverse of a spectrum that was changed."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(length).astype(np.float32)
    ours = STFT(512, 128)
    window = np.sqrt(signal.windows.hann(512, sym=False))
    theirs = signal.ShortTimeFFT(window, 128, fs=16000, fft_mode="onesided", phase_shift=None)
    # Theirs centres frame p on sample 128 p, from p_min on; ours starts frame k at sample 128 k of the padded signal.
    padded = np.pad(x, (512, 1024)).astype(np.float64)
    spectrum, reference = ours.forward(x), theirs.stft(padded)
    frames = slice(2 - theirs.p_min, 2 - theirs.p_min + len(spectrum))
    np.testing.assert_allclose(spectrum, reference[:, frames].T, atol=2e-4)
    mask = rng.random(spectrum.shape).astype(np.float32)
    masked = np.zeros_like(reference)
    masked[:, frames] = reference[:, frames] * mask.T
    expected = theirs.istft(masked)[512 : 512 + length]
    np.testing.assert_allclose(ours.inverse(spectrum * mask, length), expected, atol=1e-5)


@pytest.mark.parametrize(("rate", "window", "hop"), [(8000, 256, 64), (16000, 512, 128), (32000, 1024, 256)])
def test_durations_become_samples(rate: int, window: int, hop: int) -> None:
    assert STFT.at(rate, 32.0, 8.0) == STFT(window, hop)


@pytest.mark.parametrize(("window_ms", "hop_ms"), [(32, 17), (32, 0), (32, -8), (0, 0), (float("nan"), 8)])
def test_impossible_durations_are_refused(window_ms: float, hop_ms: float) -> None:
    with pytest.raises(UsageError, match="hop"):
        STFT.at(16000, window_ms, hop_ms)


@given(rate=st.integers(10, 192000), window_ms=st.floats(0.01, 200), share=st.floats(0.01, 0.5))
def test_any_rate_has_a_sound_transform(rate: int, window_ms: float, share: float) -> None:
    transform = STFT.at(rate, window_ms, window_ms * share)
    assert 1 <= transform.hop <= transform.window / 2
