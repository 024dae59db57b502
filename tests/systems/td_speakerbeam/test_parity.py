"""The port beside the published classes, on equal weights: see README.md for where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tspbench.systems.td_speakerbeam import checkpoint as ckpt  # noqa: E402
from tspbench.systems.td_speakerbeam import model  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-4
CASES = ("1x3s", "4x3s", "1x10s", "4x10s")
SMALL = ["asteroid", "asteroid-muladd", "espnet", "espnet-2022", "espnet-muladd", "espnet-concat"]
LABELS = [*SMALL, *(pytest.param(f"{layout}-full", marks=pytest.mark.slow) for layout in ("asteroid", "espnet"))]
Drawn = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("label", LABELS)
def test_the_waveform_is_the_published_one(
    label: str, case: str, recipe: ModuleType, state: Drawn, networks: dict[str, Any]
) -> None:
    if label not in networks:
        networks[label] = ckpt.load(state(label), Path("published")).eval()
    expected = np.load(HERE / f"published-{label}.npz")
    mixtures, enrolments = recipe.inputs(label, case)
    with torch.inference_mode():
        vectors = networks[label].embed(enrolments)
        estimates = networks[label](mixtures, enrolments)
    assert estimates.shape == mixtures.shape
    there = expected[f"{case} vectors"]
    assert np.abs(vectors.numpy() - there).max() < TOLERANCE * np.abs(there).max()
    peak = expected[f"{case} peak"]
    worst = np.abs(recipe.summary(estimates) - expected[case]).max(axis=1) / np.where(peak > 0, peak, 1)
    print(f"{label} {case}: largest error {worst.max():.2g} of the peak")
    assert worst.max() < TOLERANCE
    np.testing.assert_allclose(estimates.abs().amax(dim=1), peak, rtol=TOLERANCE, atol=1e-12)
    if len(mixtures) > 2:
        assert not estimates[2].any(), "silence in, silence out"


@pytest.mark.parametrize(
    ("label", "part"),
    [
        ("asteroid", "auxiliary.1.filterbank"),
        ("asteroid", "masker.TCN.11.skip_conv.bias"),
        ("asteroid", "masker.TCN.5.shared_block.5.beta"),
        ("espnet", "extractor.tcn.network.3.weight"),
        ("espnet", "extractor.auxiliary_net.network.2.0.3.net.3.net.1.weight"),
        ("espnet-concat", "adapt_layer.transform.1.bias"),
    ],
)
def test_the_comparison_would_find_one_wrong_tensor(label: str, part: str, recipe: ModuleType, state: Drawn) -> None:
    changed = {name: 0 * tensor if part in name else tensor for name, tensor in state(label).items()}
    with torch.inference_mode():
        estimates = ckpt.load(changed, Path("published")).eval()(*recipe.inputs(label, "1x3s"))
    expected = np.load(HERE / f"published-{label}.npz")
    assert np.abs(recipe.summary(estimates) - expected["1x3s"]).max() > 10 * TOLERANCE * expected["1x3s peak"].max()


@pytest.mark.parametrize(
    ("label", "config", "tensors", "parameters"),
    [
        ("asteroid-full", model.LIBRI2MIX_8K, 465, 6_704_194),
        ("espnet-full", model.ESPNET_LIBRIMIX_16K, 412, 16_217_170),
    ],
)
def test_size_of_the_published_networks(
    label: str, config: model.Config, tensors: int, parameters: int, state: Drawn
) -> None:
    published = state(label)
    assert len(published) == tensors
    assert sum(tensor.numel() for tensor in published.values()) == parameters
    assert ckpt.config(published) == config
    own = model.build(config)
    assert sum(p.numel() for p in own.parameters()) == parameters
    assert {k: t.shape for k, t in own.state_dict().items()} == {k: t.shape for k, t in ckpt.convert(published).items()}
