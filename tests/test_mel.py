from __future__ import annotations

import numpy as np
import pytest

from tspbench.mel import mel_power, slaney_filters

librosa = pytest.importorskip("librosa")


@pytest.mark.parametrize(
    ("rate", "n_fft", "n_mels", "fmin", "fmax"),
    [(16_000, 400, 40, 0.0, None), (16_000, 321, 120, 0.0, None), (48_000, 1024, 64, 50.0, 14_000.0)],
)
def test_filters_equal_librosa(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None) -> None:
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float64)
    np.testing.assert_allclose(slaney_filters(rate, n_fft, n_mels, fmin, fmax), theirs, rtol=1e-9, atol=1e-15)


def test_mel_power_equals_librosa() -> None:
    samples = np.random.default_rng(0).standard_normal(5_003).astype(np.float32)
    theirs = librosa.feature.melspectrogram(y=samples, sr=16_000, n_fft=400, hop_length=160, n_mels=40).T
    ours = mel_power(samples, 16_000, 400, 160, 40)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
