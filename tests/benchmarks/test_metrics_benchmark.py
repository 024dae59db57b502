"""Scoring speed beside a plain torchmetrics loop, in one process and on one thread for both sides.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tspbench.metrics import bss, ratios
from tspbench.metrics.evaluate import score
from tspbench.metrics.signals import Signals
from tspbench.types import Audio

torch = pytest.importorskip("torch")
audio = pytest.importorskip("torchmetrics.functional.audio")

pytestmark = pytest.mark.bench
RATE, SECONDS = 32_000, 10
CLIPS, DISTINCT = 200, 20
METRICS = [metric for metric in (*ratios.METRICS, *bss.METRICS) if metric.id in ("snr", "si_sdr", "sdr")]
THEIRS = {
    "snr": audio.signal_noise_ratio,
    "si_sdr": audio.scale_invariant_signal_distortion_ratio,
    "sdr": audio.signal_distortion_ratio,
}


@dataclass(frozen=True)
class Clip:
    mixture: Audio
    target: Audio
    estimate: Audio


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Coloured noises at 0 dB, as hard for the solver as recordings: condition numbers of 1e3 to 1e7."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    made = []
    for _ in range(DISTINCT):
        target, other = coloured(rng), coloured(rng)
        estimate = 0.8 * target + 0.1 * other + 0.01 * rng.standard_normal(target.size)
        made.append(Clip(*(signal.astype(np.float32) for signal in (target + other, target, estimate))))
    return made


def coloured(rng: np.random.Generator) -> np.ndarray:
    spectrum = np.fft.rfft(rng.standard_normal(RATE * SECONDS))
    slope = rng.uniform(0.5, 1.0)
    signal = np.fft.irfft(spectrum / np.arange(1, spectrum.size + 1) ** slope, RATE * SECONDS)
    return 0.1 * signal / signal.std()


def ours_on(clip: Clip) -> dict[str, float | None]:
    """snr, si_sdr and sdr of the estimate and of the mixture, and the gains."""
    signals = Signals(sample_rate=RATE, mixture=clip.mixture, target=clip.target, estimate=clip.estimate)
    values = {metric.id: score(signals, metric).value for metric in METRICS}
    baseline = signals.mixture_as_estimate()
    return values | {f"{metric.id}_i": values[metric.id] - score(baseline, metric).value for metric in METRICS}


def theirs_on(clip: Clip) -> dict[str, float]:
    target, estimate, mixture = (torch.from_numpy(x) for x in (clip.target, clip.estimate, clip.mixture))
    values = {name: float(ratio(estimate, target)) for name, ratio in THEIRS.items()}
    return values | {f"{name}_i": values[name] - float(ratio(mixture, target)) for name, ratio in THEIRS.items()}


def best(repeats: int, run: Callable[[], object]) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def test_sdr_of_a_clip(benchmark, clips):
    clip = clips[0]
    target, estimate = torch.from_numpy(clip.target), torch.from_numpy(clip.estimate)
    expected = float(audio.signal_distortion_ratio(estimate.double(), target.double()))
    assert bss.sdr(clip.estimate, clip.target) == pytest.approx(expected, abs=1e-8)

    benchmark.pedantic(bss.sdr, (clip.estimate, clip.target), rounds=20, warmup_rounds=2)
    ours = best(20, lambda: bss.sdr(clip.estimate, clip.target))
    theirs = best(7, lambda: audio.signal_distortion_ratio(estimate, target))
    benchmark.extra_info["ratio"] = theirs / ours
    print(f"\nsdr, 10 s at 32 kHz: {1e3 * ours:.1f} ms, torchmetrics {1e3 * theirs:.1f} ms, {theirs / ours:.1f} times")
    assert theirs >= 8 * ours


def test_scoring_200_clips(benchmark, clips):
    for clip in clips:
        ours, theirs = ours_on(clip), theirs_on(clip)
        assert ours.keys() == theirs.keys()
        # torchmetrics rounds to float32 on the way.
        assert all(ours[name] == pytest.approx(theirs[name], abs=2e-5) for name in theirs)

    everything = clips * (CLIPS // DISTINCT)
    ours = benchmark.pedantic(lambda: best(1, lambda: [ours_on(clip) for clip in everything]), rounds=1)
    ours = min(ours, best(2, lambda: [ours_on(clip) for clip in everything]))
    theirs = best(2, lambda: [theirs_on(clip) for clip in clips]) * (CLIPS / DISTINCT)
    benchmark.extra_info["ratio"] = theirs / ours
    print(f"\n{CLIPS} clips: {ours:.2f} s, torchmetrics {theirs:.2f} s, {theirs / ours:.1f} times")
    assert theirs >= 6 * ours
