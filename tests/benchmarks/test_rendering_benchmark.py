"""What it costs to render a trial from its recipe, beside reading its mixture and target from disk.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench import audio
from tspbench.render import render
from tspbench.types import Clip, Mix, Role, Source, Trial

pytestmark = pytest.mark.bench
ROUNDS = 40
WANTED, WORST = 1.2, 12.0
"""Ratio to aim at; ratio at which rendering has become the slow part of a run."""
CLAPSEP = Mix(snr_db=0.0, length=10.0, resample="hq", precision="float32")
CASES = {
    "AudioCaps: two 10 s clips at 32 kHz": (10.0, 32000, "PCM_16", CLAPSEP),
    "ESC-50: two 5 s clips at 44.1 kHz": (5.0, 44100, "PCM_16", CLAPSEP),
    "0 dB in float64, 10 s at 32 kHz": (10.0, 32000, "PCM_16", Mix(snr_db=0.0)),
}


def cpu_ms(work: Callable[[], object]) -> float:
    """Processor time of one call: files are in the page cache, so nothing else is waited for."""
    work()
    start = time.process_time()
    for _ in range(ROUNDS):
        work()
    return 1e3 * (time.process_time() - start) / ROUNDS


@pytest.mark.parametrize("case", CASES)
def test_rendering_beside_reading_rendered_files(case: str, tmp_path: Path, benchmark) -> None:
    seconds, rate, subtype, mix = CASES[case]
    rng = np.random.default_rng(0)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * rng.standard_normal(round(seconds * rate)), rate, subtype=subtype)
    trial = Trial("t", (Source("a.wav", role=Role.TARGET), Source("b.wav")), mix)

    def read(clip: Clip) -> tuple[np.ndarray, int]:
        return audio.read(tmp_path / clip.path)

    made = render(trial, read, 32000)
    for name, signal in (("mixture.wav", made.mixture), ("target.wav", made.target)):
        soundfile.write(tmp_path / name, signal, 32000, subtype=subtype)

    def from_disk() -> None:
        for name in ("mixture.wav", "target.wav"):
            audio.read(tmp_path / name)

    reading = min(cpu_ms(from_disk) for _ in range(3))
    rendering = min(cpu_ms(lambda: render(trial, read, 32000)) for _ in range(3))
    benchmark.pedantic(render, (trial, read, 32000), rounds=3)
    ratio = rendering / reading
    benchmark.extra_info.update(ratio=ratio)
    verdict = "within" if ratio <= WANTED else f"{100 * (ratio - WANTED):.0f} points above"
    assert ratio < WORST
    print(
        f"\n{case}: rendering {rendering:.2f} ms, reading {reading:.2f} ms, ratio {ratio:.2f} ({verdict} {WANTED:.2f})"
    )
