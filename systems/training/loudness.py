"""Loudness by ITU-R BS.1770-4, one channel: what LibriMix sets the level of speech by."""

from __future__ import annotations

import math

import numpy as np

from tspbench.types import Audio

BLOCK_S, HOP_S = 0.4, 0.1
SILENT, RELATIVE = -70.0, -10.0
"""Gates, in LUFS and in LU below the mean of what passes the first."""
OFFSET = -0.691
SHELF = (1681.9744509555319, 0.7071752369554193, 3.99984385397)
HIGH_PASS = (38.13547087613982, 0.5003270373253953)
"""Frequency in Hz, Q (and gain in dB) of the two filters, which give the standard's coefficients at 48 kHz."""


def lufs(samples: Audio, rate: int) -> float:
    """Integrated loudness of samples (T,), in LUFS; -inf for silence. Less than 0.4 s counts as one block."""
    from scipy.signal import lfilter

    heard = samples.astype(np.float64)
    for top, bottom in (_shelf(rate), _high_pass(rate)):
        heard = lfilter(top, bottom, heard)
    length, hop = round(BLOCK_S * rate), round(HOP_S * rate)
    starts = range(0, max(1, len(heard) - length + 1), hop)
    powers = np.array([np.mean(heard[start : start + length] ** 2) for start in starts])
    audible = powers[powers > _power(SILENT)]
    if not len(audible):
        return -math.inf
    loud = audible[audible > _power(_loudness(audible.mean()) + RELATIVE)]
    return _loudness(loud.mean())


def _loudness(power: float) -> float:
    return OFFSET + 10 * math.log10(power)


def _power(loudness: float) -> float:
    return float(10 ** ((loudness - OFFSET) / 10))


def _shelf(rate: int) -> tuple[list[float], list[float]]:
    frequency, quality, gain = SHELF
    k = math.tan(math.pi * frequency / rate)
    high = 10 ** (gain / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / quality + k * k
    top = [high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k]
    return [each / scale for each in top], _bottom(k, quality)


def _high_pass(rate: int) -> tuple[list[float], list[float]]:
    frequency, quality = HIGH_PASS
    k = math.tan(math.pi * frequency / rate)
    return [1.0, -2.0, 1.0], _bottom(k, quality)


def _bottom(k: float, quality: float) -> list[float]:
    scale = 1 + k / quality + k * k
    return [1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale]
