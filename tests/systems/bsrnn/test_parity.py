"""The port beside the published class, on equal weights: see README.md for where the numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tspbench.systems.bsrnn import checkpoint as ckpt  # noqa: E402
from tspbench.systems.bsrnn import model  # noqa: E402
from tspbench.systems.bsrnn.adapter import features  # noqa: E402
from tspbench.systems.speaker_encoders.resnet import ResNetConfig  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-4
CASES = ("1x3s", "4x3s", "1x10s", "4x10s")
PAIRS = [
    *((label, case) for label in ("ecapa-multiply", "resnet34-concat") for case in CASES),
    *((label, case) for label in ("ecapa-additive", "ecapa-film-each") for case in ("1x3s", "4x3s")),
    *(
        pytest.param(f"{encoder}-full", case, marks=pytest.mark.slow)
        for encoder in ("ecapa", "resnet34")
        for case in CASES
    ),
]
Drawn = Callable[[str], dict[str, Any]]


def loaded(label: str, state: dict[str, Any]) -> Any:
    return ckpt.load(state, Path("published"), "additive" if "additive" in label else "multiply").eval()


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize(("label", "case"), PAIRS)
def test_the_waveform_is_the_published_one(
    label: str, case: str, recipe: ModuleType, state: Drawn, networks: dict[str, Any]
) -> None:
    if label not in networks:
        networks[label] = loaded(label, state(label))
    expected = np.load(HERE / f"published-{label}.npz")
    mixtures, enrolments = recipe.inputs(case)
    with torch.inference_mode():
        vectors = networks[label].embed(features(enrolments, "recipe", 80))
        estimates = networks[label].extract(mixtures, vectors)
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


@pytest.mark.parametrize("frontend", ["recipe", "cli"])
def test_features_are_those_of_torchaudio(frontend: Literal["recipe", "cli"], recipe: ModuleType) -> None:
    expected = np.load(HERE / "published-frontends.npz")[frontend]
    found = features(recipe.inputs("4x3s")[1], frontend, 80)[:, ::7].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(found - expected).mean() < 1e-5


@pytest.mark.parametrize(
    ("label", "part"),
    [
        ("ecapa-multiply", "spk_model.layer3.se_res2block.1.convs.6.bias"),
        ("ecapa-multiply", "separator.separation.2.band_comm.rnn.bias_hh_l0_reverse"),
        ("ecapa-film-each", "separator.separation.2.fc.beta_fcs.0.bias"),
        ("resnet34-concat", "spk_model.layer4.2.bn2.running_mean"),
        ("resnet34-concat", "mask.30.3.bias"),
    ],
)
def test_the_comparison_would_find_one_wrong_tensor(label: str, part: str, recipe: ModuleType, state: Drawn) -> None:
    changed = {name: 0 * tensor if part in name else tensor for name, tensor in state(label).items()}
    mixtures, enrolments = recipe.inputs("1x3s")
    with torch.inference_mode():
        estimates = loaded(label, changed)(mixtures, features(enrolments, "recipe", 80))
    expected = np.load(HERE / f"published-{label}.npz")
    assert np.abs(recipe.summary(estimates) - expected["1x3s"]).max() > 10 * TOLERANCE * expected["1x3s peak"].max()


@pytest.mark.parametrize(
    ("label", "config", "parameters"),
    [
        ("ecapa-full", model.Config(), 27_617_800),
        ("resnet34-full", model.Config(encoder=ResNetConfig()), 28_069_608),
    ],
)
def test_size_of_the_published_networks(label: str, config: model.Config, parameters: int, keys: Any) -> None:
    shapes = keys(label)
    empty = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(tensor.numel() for name, tensor in empty.items() if not name.endswith(buffers)) == parameters
    assert ckpt.config(empty) == config
    assert len(ckpt.convert(empty)) == len(empty), "no two names become one"
    with torch.device("meta"):
        own = model.build(config)
    assert sum(p.numel() for p in own.parameters()) == parameters
    assert {k: t.shape for k, t in own.state_dict().items()} == {k: t.shape for k, t in ckpt.convert(empty).items()}
