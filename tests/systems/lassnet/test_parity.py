"""The port beside the published code, on equal weights: see README.md for where the numbers come from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.systems.lassnet import model  # noqa: E402
from tspbench.systems.lassnet.captions import Captions  # noqa: E402
from tspbench.systems.seeded import seeded_state  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-5
FULL = pytest.param("full", marks=pytest.mark.slow)


def script() -> ModuleType:
    """The recipe for the inputs, as the fixtures were made with."""
    spec = importlib.util.spec_from_file_location("lassnet_fixtures", HERE / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["lassnet_fixtures"] = found
    spec.loader.exec_module(found)
    return found


RECIPE = script()
CASES = RECIPE.cases


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Captions:
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(RECIPE.vocabulary()))
    return Captions(folder, most=64)


def weights_of(size: str) -> dict[str, Any]:
    """What the published module was filled with, under the names of its checkpoint."""
    names = {name.removeprefix("module."): shape for name, shape in CASES.keys(HERE, size).items()}
    return {f"module.{name}": torch.from_numpy(v) for name, v in seeded_state(names, CASES.SEED).items()}


def perturbed(*parts: str) -> dict[str, Any]:
    """The weights of the small network, one added to those that are named."""
    return {name: t + 1 if any(part in name for part in parts) else t for name, t in weights_of("small").items()}


def loaded(published: dict[str, Any]) -> Any:
    state = model.convert(published)
    network = model.build(model.config(state))
    network.load_state_dict(state)
    return network.eval()


def network(size: str, built: dict[str, Any]) -> Any:
    if size not in built:
        built[size] = loaded(weights_of(size))
    return built[size]


def estimated(network: Any, captions: Captions, name: str, count: int, length: int) -> Any:
    x = torch.from_numpy(CASES.mixtures(name, count, length))
    x = torch.nn.functional.pad(x, (0, model.padded(length) - length))
    with torch.inference_mode():
        e = network.text_embedder(*captions(RECIPE.CAPTIONS[:count]))
        return network(x, e)[:, :length]


@pytest.mark.parametrize("size", ["small", FULL])
def test_the_condition_is_the_published_one(size: str, networks: dict[str, Any], captions: Captions) -> None:
    expected = np.load(HERE / f"published-{size}.npz")["condition"]
    embed = network(size, networks).text_embedder
    with torch.inference_mode():
        alone = torch.cat([embed(*captions([each])) for each in RECIPE.CAPTIONS]).numpy()
        together = embed(*captions(RECIPE.CAPTIONS)).numpy()
    scale = np.abs(expected).max()
    print(f"{size}: largest error {np.abs(alone - expected).max() / scale:.2g}")
    assert np.abs(alone - expected).max() < TOLERANCE * scale
    assert np.abs(together - expected).max() < TOLERANCE * scale
    assert np.abs(expected[0] - expected[1]).max() > 0.1 * scale, "captions tell apart"


@pytest.mark.parametrize("case", CASES.CASES)
@pytest.mark.parametrize("size", ["small", FULL])
def test_the_waveform_is_the_published_one(size: str, case: str, networks: dict[str, Any], captions: Captions) -> None:
    count, length = CASES.CASES[case]
    estimate = estimated(network(size, networks), captions, case, count, length)
    assert estimate.shape == (count, length)
    worst = CASES.largest_error(case, estimate, np.load(HERE / f"published-{size}.npz"))
    print(f"{size} {case}: largest error {worst:.2g} of the peak")
    assert worst < TOLERANCE
    if count > 2:
        assert not estimate[2].any(), "silence in, silence out"


def test_more_than_ten_seconds(networks: dict[str, Any], captions: Captions) -> None:
    estimate = estimated(network("small", networks), captions, *RECIPE.LONG)
    assert CASES.largest_error("13s", estimate, np.load(HERE / "published-small.npz")) < TOLERANCE


@pytest.mark.parametrize(
    "part",
    [
        "encoder_block2.conv_block1.film_res",
        "decoder_block6.conv_block3.film2",
        "encoder_block1.conv_block2.bn1.running_var",
        "bert_layer.encoder.layer.1.output.LayerNorm.bias",
        "linear_layer.0.bias",
    ],
)
def test_the_comparison_would_find_one_wrong_tensor(part: str, captions: Captions) -> None:
    other = loaded(perturbed(part))
    estimate = estimated(other, captions, "1x3s", 1, 96_000)
    assert CASES.largest_error("1x3s", estimate, np.load(HERE / "published-small.npz")) > 2 * TOLERANCE


def test_names_and_counts_are_the_published_ones() -> None:
    published = {name.removeprefix("module."): shape for name, shape in CASES.keys(HERE, "full").items()}
    with torch.device("meta"):
        own = model.build()
    assert {name: tuple(tensor.shape) for name, tensor in own.state_dict().items()} == published
    assert sum(p.numel() for p in own.UNet.parameters()) == 52_228_323
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    there = {n: s for n, s in published.items() if n.startswith("UNet.") and not n.endswith(buffers)}
    assert sum(int(np.prod(shape)) for shape in there.values()) == 52_228_323
