"""AudioSep's list: mixed from recordings by the stated rule, and from rendered files as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tspbench import audio
from tspbench.prepared.material import Material
from tspbench.render import render
from tspbench.tasks.esc50 import importer
from tspbench.types import Clip, Rendered, Trial

NAMES = ("1-10-A-0", "2-20-A-5")


@pytest.fixture
def noise() -> np.random.Generator:
    return np.random.default_rng(7)


def trial(protocol: str, folder: Path) -> Trial:
    (folder / "list.csv").write_text(f"idx,caption,src_wav,noise_wav\n4,dog,{NAMES[0]}.wav,{NAMES[1]}.wav\n")
    (one,) = importer.trials(Material(protocol, {"queries": "text"}, {"trials": folder / "list.csv"}))
    return one


def rendered(protocol: str, folder: Path, rate: int = 32000) -> Rendered:
    def read(clip: Clip) -> tuple[np.ndarray, int]:
        return audio.read(folder / Path(clip.path).name)

    return render(trial(protocol, folder), read, rate)


@pytest.mark.parametrize(("gain", "seconds"), [(0.1, 1.5), (0.1, 0.5), (0.8, 1.0)])
def test_from_recordings_both_have_one_energy_over_the_target(
    noise: np.random.Generator, tmp_path: Path, gain: float, seconds: float
) -> None:
    target = gain * noise.uniform(-1, 1, 32000)
    other = 0.3 * noise.uniform(-1, 1, round(32000 * seconds))
    for name, signal in zip(NAMES, (target, other), strict=True):
        soundfile.write(tmp_path / f"{name}.wav", signal, 32000, subtype="DOUBLE")
    target, other = target.astype(np.float32).astype(float), other.astype(np.float32).astype(float)
    fitted = np.pad(other, (0, max(0, 32000 - len(other))))[:32000]
    mixture = target + fitted * np.sqrt((target**2).mean() / (fitted**2).mean())
    scale = 0.9 / np.abs(mixture).max() if np.abs(mixture).max() > 1 else 1.0
    assert (scale < 1) == (gain == 0.8)
    ours = rendered("audiosep", tmp_path)
    np.testing.assert_allclose(ours.mixture, scale * mixture, rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours.target, scale * target, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [32000, 44100])
def test_rendered_files_are_used_as_they_are(noise: np.random.Generator, tmp_path: Path, rate: int) -> None:
    segment, rest = (0.4 * noise.uniform(-1, 1, (2, rate))).astype(np.float32)
    mixture = 1.9 * (segment + rest)
    soundfile.write(tmp_path / "segment-4.wav", segment, rate, subtype="FLOAT")
    soundfile.write(tmp_path / "mixture-4.wav", mixture, rate, subtype="FLOAT")
    expected = [x if rate == 32000 else soxr.resample(x, rate, 32000, quality="HQ") for x in (mixture, segment)]
    ours = rendered("audiosep-rendered", tmp_path)
    assert np.abs(ours.mixture).max() > 1, "no limit is put on what was published"
    np.testing.assert_allclose(ours.mixture, expected[0], rtol=0, atol=1e-7)
    np.testing.assert_allclose(ours.target, expected[1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(ours.interferers, [expected[0] - expected[1]], rtol=0, atol=1e-6)
