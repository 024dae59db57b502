"""The port beside the published code, on equal weights: see README.md for where the numbers come from."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.systems.clapsep import checkpoint as ckpt  # noqa: E402
from tspbench.systems.clapsep import model  # noqa: E402
from tspbench.systems.seeded import seeded_state  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-4
CASES = ("1x3s", "4x3s", "1x10s", "4x10s")
FULL = pytest.param("full", marks=pytest.mark.slow)


def script() -> ModuleType:
    """The recipe for the inputs, as the fixtures were made with."""
    spec = importlib.util.spec_from_file_location("make_fixtures", HERE / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["make_fixtures"] = found
    spec.loader.exec_module(found)
    return found


RECIPE = script()


def keys(size: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes in the published module, but for the spectral front ends."""
    found = json.loads((HERE / f"published-{size}-keys.json").read_text())
    return {name: tuple(shape) for name, shape in found.items()}


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {}


def network(size: str, built: dict[str, Any]) -> Any:
    """Our network with the published one's weights, by way of the published names."""
    if size not in built:
        state = weights_of(size)
        clap = {name: tensor for name, tensor in state.items() if not ckpt.TRAINED.match(name)}
        trained = {name: tensor for name, tensor in state.items() if ckpt.TRAINED.match(name)}
        built[size] = ckpt.load(trained, clap, Path("published")).eval()
    return built[size]


def weights_of(size: str) -> dict[str, Any]:
    """What the published module was filled with; indices are not drawn."""
    drawn = seeded_state(keys(size), RECIPE.SEED)
    return {name: torch.from_numpy(v) for name, v in drawn.items() if not name.endswith("relative_position_index")}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", ["small", FULL])
def test_the_waveform_is_the_published_one(size: str, case: str, networks: dict[str, Any]) -> None:
    expected = np.load(HERE / f"published-{size}.npz")
    count, length = RECIPE.CASES[case]
    x = torch.from_numpy(RECIPE.mixtures(case, count, length))
    e = torch.from_numpy(RECIPE.condition(case, count, getattr(RECIPE, size.upper())["size"]))
    with torch.inference_mode():
        estimate = network(size, networks)(x, e)
    assert estimate.shape == (count, length)
    peak = expected[f"{case} peak"]
    found = RECIPE.summary(estimate)
    scale = np.where(peak > 0, peak, 1)
    worst = np.abs(found - expected[case]).max(axis=1) / scale
    print(f"{size} {case}: largest error {worst.max():.2g} of the peak")
    assert worst.max() < TOLERANCE
    np.testing.assert_allclose(estimate.abs().amax(dim=1), peak, rtol=TOLERANCE, atol=1e-12)
    if count > 2:
        assert not estimate[2].any(), "silence in, silence out"


@pytest.mark.parametrize("size", ["small", FULL])
def test_what_the_decoder_receives_is_the_published_one(size: str, networks: dict[str, Any]) -> None:
    expected = np.load(HERE / f"published-{size}.npz")
    x = torch.from_numpy(RECIPE.mixtures("1x3s", 1, 96_000))
    with torch.inference_mode():
        features = network(size, networks).features(model.resample(x, 32_000, 48_000))
    assert len(features) == 5
    for index, feature in enumerate(features):
        there = expected[f"1x3s feature {index}"]
        assert np.abs(RECIPE.summary(feature) - there).max() < TOLERANCE * np.abs(there).max()


@pytest.mark.parametrize(
    "part", ["lora_B", "film.skip_conv.beta.bias", "spec_norm.running_var", "layers.3.blocks.0.norm2"]
)
def test_the_comparison_would_find_one_wrong_tensor(part: str) -> None:
    state = {name: 0 * t if part in name else t for name, t in weights_of("small").items()}
    clap = {name: tensor for name, tensor in state.items() if not ckpt.TRAINED.match(name)}
    other = ckpt.load({n: t for n, t in state.items() if n not in clap}, clap, Path("published")).eval()
    x = torch.from_numpy(RECIPE.mixtures("1x3s", 1, 96_000))
    with torch.inference_mode():
        estimate = other(x, torch.from_numpy(RECIPE.condition("1x3s", 1, 32)))
    expected = np.load(HERE / "published-small.npz")
    assert np.abs(RECIPE.summary(estimate) - expected["1x3s"]).max() > 10 * TOLERANCE * expected["1x3s peak"].max()


def test_counts_of_the_published_size() -> None:
    """The figures of the published network, from its own state dict."""
    named = keys("full")
    decoder = {name: shape for name, shape in named.items() if name.startswith("decoder_model.")}
    lora = [shape for name, shape in named.items() if ".lora_" in name]
    buffers = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index")
    assert len(decoder) == 156
    assert sum(int(np.prod(s)) for n, s in decoder.items() if not n.endswith(buffers)) == 43_463_616
    assert len(lora) == 72
    assert sum(int(np.prod(shape)) for shape in lora) == 860_160


@pytest.mark.slow
def test_the_whole_network_has_the_published_counts(networks: dict[str, Any]) -> None:
    own = network("full", networks)
    published = {n: s for n, s in keys("full").items() if n.startswith("decoder_model.")}
    assert {f"decoder_model.{n}": tuple(t.shape) for n, t in own.decoder.state_dict().items()} == published
    assert sum(p.numel() for p in own.decoder.parameters()) == 43_463_616
