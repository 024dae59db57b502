"""What it costs to make a Libri2Mix trial from FLAC, beside decoding its utterances and beside reading a tree's files.

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
from tspbench.task import FileReader, Stage
from tspbench.tasks.librimix_lists import Setting
from tspbench.types import Role, Source, Trial

pytestmark = pytest.mark.bench
RATE = 16_000
ROUNDS = 20
MOST = {"16k": 3.0, "8k": 9.0}
"""Ratio to decoding the utterances: the mixing itself must not come to dominate, nor the 8 kHz filter to run away."""


def cpu_ms(work: Callable[[], object]) -> float:
    """Processor time of one call, the best of three rounds: files are in the page cache."""
    work()
    rounds = []
    for _ in range(3):
        start = time.process_time()
        for _ in range(ROUNDS):
            work()
        rounds.append(1e3 * (time.process_time() - start) / ROUNDS)
    return min(rounds)


@pytest.mark.parametrize("rate", sorted(MOST))
@pytest.mark.parametrize("mode", ["min", "max"])
def test_rendering_beside_decoding_and_beside_a_tree(rate: str, mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, seconds in (("a.flac", 8.4), ("b.flac", 5.0)):
        shaped = np.convolve(rng.standard_normal(round(seconds * RATE)), np.hanning(32) / 16, "same")
        soundfile.write(tmp_path / name, 0.05 * shaped, RATE, subtype="PCM_16")
    sources = (Source("a.flac", role=Role.TARGET, gain=0.8), Source("b.flac", gain=1.1))
    trial = Trial("t", sources, Setting.of({"rate": rate, "mode": mode, "mix": "clean"}).rule)

    reader = FileReader(tmp_path)
    stage = Stage(int(rate[:-1]) * 1000, reader)
    made = stage.render(trial)
    for name, signal in (("mixture", made.mixture), ("s1", made.target), ("s2", made.interferers[0])):
        soundfile.write(tmp_path / f"{name}.wav", signal, stage.sample_rate, subtype="PCM_16")
    rendering = cpu_ms(lambda: stage.render(trial))
    decoding = cpu_ms(lambda: [reader.read(source) for source in sources])
    tree = cpu_ms(lambda: [audio.read(tmp_path / f"{name}.wav") for name in ("mixture", "s1", "s2")])
    print(
        f"\nLibri2Mix {rate} {mode}: rendering {rendering:.2f} ms, decoding alone {decoding:.2f} ms, "
        f"reading a tree {tree:.2f} ms: {rendering / decoding:.2f} and {rendering / tree:.2f} times as long"
    )
    assert rendering < MOST[rate] * decoding
