from __future__ import annotations

from typing import Any

import jiwer
import numpy as np
import pytest

from tspbench.instruments import recogniser
from tspbench.types import Audio

RATE = 16_000


def bursts(seed: int, seconds: float = 0.8) -> Audio:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * rng.uniform(90, 200) * k * t) / k for k in range(1, 12))
    return (0.1 * voice * np.clip(np.sin(2 * np.pi * 3 * t), 0, None) + 0.01 * rng.standard_normal(t.size)).astype("f4")


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(RATE, np.float32)])
def test_silence_has_no_words(samples: Audio) -> None:
    assert recogniser("pocketsphinx").transcribe(samples) == ""


@pytest.mark.parametrize("length", [1, 100, 400, 2_000])
def test_the_shortest_signals_are_taken(length: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, length).astype(np.float32)
    assert isinstance(recogniser("pocketsphinx").transcribe(samples), str)


def test_what_was_heard_before_does_not_matter() -> None:
    from tspbench.instruments.sphinx import Pocketsphinx

    signals = [bursts(seed) for seed in range(3)]
    shared = Pocketsphinx()
    forward = [shared.transcribe(samples) for samples in signals]
    shared.transcribe(0.01 * bursts(9, seconds=1.5))
    backward = [shared.transcribe(samples) for samples in reversed(signals)][::-1]
    fresh = [Pocketsphinx().transcribe(samples) for samples in signals]
    assert forward == backward == fresh
    assert any(forward)


def test_peaks_beyond_full_scale_are_clipped() -> None:
    loud = 30 * bursts(1)
    listener = recogniser("pocketsphinx")
    assert listener.transcribe(loud) == listener.transcribe(np.clip(loud, -1, 1))


@pytest.mark.slow
def test_order_of_recorded_speech_does_not_matter(utterances: list[Any]) -> None:
    listener = recogniser("pocketsphinx")
    some = [u.samples for u in utterances if u.text][:2]
    forward = [listener.transcribe(samples) for samples in some]
    assert [listener.transcribe(samples) for samples in reversed(some)] == forward[::-1]
    assert all(forward)


@pytest.mark.slow
def test_noise_makes_recorded_speech_harder(utterances: list[Any]) -> None:
    listener = recogniser("pocketsphinx")
    rng = np.random.default_rng(3)
    some = [u for u in utterances if u.text][:8]
    noisy = [u.samples + np.float32(0.5 * u.samples.std()) * rng.standard_normal(u.samples.size) for u in some]
    texts = [u.text for u in some]
    clean = jiwer.wer(texts, [listener.transcribe(u.samples) for u in some])
    assert 0 < clean < jiwer.wer(texts, [listener.transcribe(samples.astype(np.float32)) for samples in noisy])
    assert clean < 0.8
