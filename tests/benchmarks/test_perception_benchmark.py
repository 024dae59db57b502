"""PESQ, STOI and DNSMOS beside the packages whose values they have, in one process, in processor time.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench.audio import resample
from tspbench.metrics import perceptual, quality
from tspbench.metrics.dnsmos import dnsmos
from tspbench.types import Audio

pytestmark = pytest.mark.bench
SPEECH = Path(__file__).parents[2] / ".." / "shared" / "data" / "librispeech"
RATE = 16_000


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    """LibriSpeech from 2 to 20 s where it is at hand, or as many seconds of noise that comes and goes."""
    paths = sorted(SPEECH.rglob("*.flac"))[::12]
    if paths:
        return [soundfile.read(path, dtype="float32")[0] for path in paths]
    rng = np.random.default_rng(0)
    lengths = [round(seconds * RATE) for seconds in (3, 6.5, 8.4, 12, 15)]
    return [(0.1 * rng.standard_normal(n) * (1 + np.sin(np.arange(n) / 3_000)) / 2).astype(np.float32) for n in lengths]


def in_turns(rounds: int, *sides: Callable[[], object]) -> list[float]:
    """Best processor time of each side, A B A B."""
    best = [float("inf")] * len(sides)
    for _ in range(rounds):
        for i, side in enumerate(sides):
            start = time.process_time()
            side()
            best[i] = min(best[i], time.process_time() - start)
    return best


Measure = Callable[[Audio, Audio], float]


def noisy(clips: list[Audio]) -> list[tuple[Audio, Audio]]:
    """(estimate, target) of each clip."""
    rng = np.random.default_rng(0)
    return [(clip + 0.02 * rng.standard_normal(clip.size).astype(np.float32), clip) for clip in clips]


def compare(name: str, ours: Measure, theirs: Measure, clips: list[Audio], within: float, benchmark) -> float:
    """How many times as fast ours is; the values must be the same first."""
    pairs = noisy(clips)
    off = max(abs(ours(estimate, target) - theirs(estimate, target)) for estimate, target in pairs)
    assert off < within

    def all_of(measure: Measure) -> None:
        for estimate, target in pairs:
            measure(estimate, target)

    mine, yours = in_turns(5, lambda: all_of(ours), lambda: all_of(theirs))
    benchmark.pedantic(all_of, (ours,), rounds=1)
    benchmark.extra_info["ratio"] = yours / mine
    each = 1e3 / len(pairs)
    print(f"\n{name}: {each * mine:.1f} ms a clip, the package {each * yours:.1f} ms, {yours / mine:.1f} times", end="")
    print(f"; largest difference {off:.1e}")
    return yours / mine


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_beside_pystoi(extended: bool, clips: list[Audio], benchmark) -> None:
    pystoi = pytest.importorskip("pystoi")

    def ours(estimate: Audio, target: Audio) -> float:
        return perceptual.stoi(estimate, target, extended=extended)

    def theirs(estimate: Audio, target: Audio) -> float:
        return float(pystoi.stoi(target, estimate, RATE, extended=extended))

    assert compare("E" * extended + "STOI", ours, theirs, clips, 1e-9, benchmark) >= 2


@pytest.mark.parametrize("mode", ["wb", "nb"])
def test_pesq_beside_the_package(mode: quality.Mode, clips: list[Audio], benchmark) -> None:
    package = pytest.importorskip("pesq")
    rate = quality.PESQ_RATES[mode]
    at_rate = [resample(clip, RATE, rate) for clip in clips]

    def ours(estimate: Audio, target: Audio) -> float:
        return quality.pesq(estimate, target, mode)

    def theirs(estimate: Audio, target: Audio) -> float:
        return float(package.pesq(rate, target, estimate, mode))

    assert compare(f"PESQ, {mode}", ours, theirs, at_rate, 2e-3, benchmark) >= 2


def test_dnsmos_beside_speechmos(clips: list[Audio], benchmark) -> None:
    speechmos = pytest.importorskip("speechmos.dnsmos")
    off = 0.0
    for clip in clips:
        opinion, published = dnsmos(clip), speechmos.run(clip, RATE)
        parts = ("sig", "bak", "ovrl", "p808")
        off = max(off, *(abs(getattr(opinion, part) - published[f"{part}_mos"]) for part in parts))
    assert off < 1e-4

    def ours() -> None:
        for clip in clips:
            dnsmos(clip)

    def theirs() -> None:
        for clip in clips:
            speechmos.run(clip, RATE)

    mine, yours = in_turns(2, ours, theirs)
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info["ratio"] = yours / mine
    seconds = sum(clip.size for clip in clips) / RATE
    print(f"\nDNSMOS of {len(clips)} clips, {seconds:.0f} s: {mine:.1f} s, speechmos {yours:.1f} s, ", end="")
    print(f"{yours / mine:.1f} times; largest difference {off:.1e}")
    assert yours >= 1.5 * mine
