"""CLAPSep's mixing rule: against its own loader's values, and against the formula."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tspbench import audio
from tspbench.prepared.material import Material
from tspbench.render import render
from tspbench.tasks.audiocaps import importer
from tspbench.types import Rendered

HERE = Path(__file__).parent / "clapsep_rendering"
VALUES = json.loads((HERE / "values.json").read_text())


def load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_clapsep_values", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = load_make()


def rendered(folder: Path, target: str, noise: str, queries: str = "text") -> Rendered:
    """Two files through the importer and the renderer."""
    listed = folder / "pairs.csv"
    listed.write_text(f"source_file,positive_caption,noise_file,negative_caption\n{target},a,{noise},b\n")
    (trial,) = importer.trials(Material("clapsep", {"queries": queries}, {"trials": listed}))
    return render(trial, lambda clip: audio.read(folder / clip.path.removeprefix("audiocaps/")), 32000)


@pytest.mark.parametrize("case", VALUES)
def test_rendering_equals_the_published_loader(tmp_path: Path, case: str) -> None:
    found = {name: (target, noise) for name, target, noise in MAKE.write_clips(tmp_path)}
    ours = rendered(tmp_path, *found[case])
    for name, signal in (("mixture", ours.mixture), ("target", ours.target)):
        assert signal is not None
        assert signal.shape == (320_000,)
        published = VALUES[case][name]
        np.testing.assert_allclose(signal[MAKE.SAMPLES], published["samples"], rtol=0, atol=1e-6)
        assert np.square(signal, dtype=np.float64).sum() == pytest.approx(published["energy"], rel=1e-5)


def test_the_cases_reach_both_sides_of_the_clip_guard() -> None:
    peaks = {name: max(map(abs, VALUES[name]["mixture"]["samples"])) for name in VALUES}
    assert peaks["above full scale"] > 0.5
    assert max(peaks.values()) <= 0.9
    assert set(VALUES) == set(MAKE.CASES)


@pytest.mark.parametrize("case", VALUES)
def test_rendering_follows_the_formula(tmp_path: Path, case: str) -> None:
    """0 dB by energy over the padded 10 s in float64; float32 energies differ from it by up to 2e-5."""
    names = {name: (target, noise) for name, target, noise in MAKE.write_clips(tmp_path)}[case]
    signals = []
    for name in names:
        samples, rate = audio.read(tmp_path / name)
        signals.append(audio.fit(audio.resample(samples, rate, 32000, "hq"), 320_000).astype(np.float64))
    target, noise = signals
    mixture = target + noise * np.sqrt((target**2).sum() / (noise**2).sum())
    peak = np.abs(mixture).max()
    gain = 0.9 / peak if peak > 1 else 1.0
    ours = rendered(tmp_path, *names)
    np.testing.assert_allclose(ours.mixture, gain * mixture, rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours.target, gain * target, rtol=0, atol=1e-4)
    if case == "above full scale":
        assert np.abs(ours.mixture).max() == pytest.approx(0.9, abs=1e-6)


def test_queries_do_not_change_the_audio(tmp_path: Path) -> None:
    _, target, noise = MAKE.write_clips(tmp_path)[0]
    one, other = (rendered(tmp_path, target, noise, queries) for queries in ("text", "text+negative"))
    np.testing.assert_array_equal(one.mixture, other.mixture)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 1000, 320_000])
def test_float32_energy_is_that_of_torch(length: int) -> None:
    torch = pytest.importorskip("torch")
    from tspbench.render import _energy32

    signal = MAKE.clip(3, length / 32000, 32000, 0.7)[:, 0]
    assert len(signal) == length
    norm = torch.linalg.vector_norm(torch.from_numpy(signal)).item()
    assert np.float32(_energy32(signal) ** 0.5) == pytest.approx(norm, rel=1.2e-7)
