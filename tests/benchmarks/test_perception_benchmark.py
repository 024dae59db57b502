"""STOI beside pystoi and DNSMOS beside speechmos, in one process, in processor time.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench.metrics import perceptual
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


@pytest.mark.parametrize(("extended", "least"), [(False, 2.0), (True, 2.0)])
def test_stoi_beside_pystoi(extended: bool, least: float, clips: list[Audio], benchmark) -> None:
    pystoi = pytest.importorskip("pystoi")
    rng = np.random.default_rng(0)
    pairs = [(clip + 0.02 * rng.standard_normal(clip.size).astype(np.float32), clip) for clip in clips]
    for estimate, target in pairs:
        expected = pystoi.stoi(target, estimate, RATE, extended=extended)
        assert perceptual.stoi(estimate, target, extended=extended) == pytest.approx(expected, abs=1e-9)

    def ours() -> None:
        for estimate, target in pairs:
            perceptual.stoi(estimate, target, extended=extended)

    def theirs() -> None:
        for estimate, target in pairs:
            pystoi.stoi(target, estimate, RATE, extended=extended)

    mine, yours = in_turns(5, ours, theirs)
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info["ratio"] = yours / mine
    each = 1e3 / len(pairs)
    print(
        f"\n{'E' * extended}STOI: {each * mine:.1f} ms a clip, pystoi {each * yours:.1f} ms, {yours / mine:.1f} times"
    )
    assert yours >= least * mine


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
