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

from tspbench.systems.audiosep import model  # noqa: E402
from tspbench.systems.seeded import seeded_state  # noqa: E402

HERE = Path(__file__).parent
TOLERANCE = 1e-5
FULL = pytest.param("full", marks=pytest.mark.slow)


def script() -> ModuleType:
    """The recipe for the inputs, as the fixtures were made with."""
    spec = importlib.util.spec_from_file_location("audiosep_fixtures", HERE / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["audiosep_fixtures"] = found
    spec.loader.exec_module(found)
    return found


RECIPE = script()
CASES = RECIPE.cases


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {}


def weights_of(size: str) -> dict[str, Any]:
    """What the published module was filled with."""
    return {name: torch.from_numpy(v) for name, v in seeded_state(CASES.keys(HERE, size), CASES.SEED).items()}


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


def inputs(name: str, count: int, length: int, size: str) -> tuple[Any, Any]:
    found = RECIPE.inputs(name, count, length, RECIPE.SIZES[size][1])
    return found["mixture"][:, 0], found["condition"]


@pytest.mark.parametrize("case", [*CASES.CASES, "odd"])
@pytest.mark.parametrize("size", ["small", FULL])
def test_the_waveform_is_the_published_one(size: str, case: str, networks: dict[str, Any]) -> None:
    count, length = RECIPE.ODD[1:] if case == "odd" else CASES.CASES[case]
    with torch.inference_mode():
        estimate = network(size, networks)(*inputs(case, count, length, size))
    assert estimate.shape == (count, length)
    worst = CASES.largest_error(case, estimate, np.load(HERE / f"published-{size}.npz"))
    print(f"{size} {case}: largest error {worst:.2g} of the peak")
    assert worst < TOLERANCE
    if count > 2:
        assert not estimate[2].any(), "silence in, silence out"


def test_chunks_are_the_published_ones(networks: dict[str, Any]) -> None:
    with torch.inference_mode():
        estimate = model.in_chunks(network("small", networks), *inputs(*RECIPE.CHUNKS, "small"))
    worst = CASES.largest_error("chunks", estimate, np.load(HERE / "published-small.npz"))
    print(f"chunks: largest error {worst:.2g} of the peak")
    assert worst < TOLERANCE


@pytest.mark.parametrize(
    "part",
    [
        "decoder_block3->beta1",
        "encoder_block6->conv_block1->beta2",
        "bn0.running_mean",
        "decoder_block1.conv_block2.bn2",
    ],
)
def test_the_comparison_would_find_one_wrong_tensor(part: str) -> None:
    other = loaded(perturbed(part))
    with torch.inference_mode():
        estimate = other(*inputs("1x3s", 1, 96_000, "small"))
    assert CASES.largest_error("1x3s", estimate, np.load(HERE / "published-small.npz")) > 2 * TOLERANCE


def test_what_the_published_network_does_not_use_is_not_used() -> None:
    dead = ("decoder_block1.bn2", "decoder_block1->beta2")
    other = loaded(perturbed(*dead))
    with torch.inference_mode():
        estimate = other(*inputs("1x3s", 1, 96_000, "small"))
    assert CASES.largest_error("1x3s", estimate, np.load(HERE / "published-small.npz")) < TOLERANCE


def test_names_and_counts_are_the_published_ones() -> None:
    published = CASES.keys(HERE, "full")
    with torch.device("meta"):
        own = model.build()
    names = {name: tuple(tensor.shape) for name, tensor in own.state_dict().items()}
    assert names == {name: shape for name, shape in published.items() if not name.startswith(model.KERNELS)}
    assert sum(p.numel() for p in own.parameters()) == 26_447_941
    assert sum(p.numel() for p in own.film.parameters()) == 5_056_128
    counters = ("running_mean", "running_var", "num_batches_tracked", "ola_window")
    whole = sum(int(np.prod(shape)) for name, shape in published.items() if not name.endswith(counters))
    assert whole == 39_034_949


@pytest.mark.slow
def test_its_clap_is_ours() -> None:
    """Text of 5, 20 and 100 tokens, and audio that is not rounded, through the published query encoder."""
    pytest.importorskip("transformers")
    from tspbench.systems.audiosep.checkpoint import CLAP
    from tspbench.systems.clap.encoder import Clap
    from tspbench.systems.clap.files import ClapFiles, load_clap
    from tspbench.systems.clap.frontend import resample

    names = {n.removeprefix(CLAP): s for n, s in CASES.keys(HERE, "clap").items() if n.startswith(CLAP)}
    drawn = seeded_state(names, CASES.SEED)
    state = {n: torch.from_numpy(v) for n, v in drawn.items() if not n.endswith("relative_position_index")}
    clap = load_clap(ClapFiles(HERE / "published-clap.npz", HERE), state)

    def tokens(captions: Any) -> Any:
        ids, mask = (torch.from_numpy(each) for each in RECIPE.token_ids())
        rows = [int(caption) for caption in captions]
        most = int(mask[rows].sum(dim=1).max())
        return ids[rows, :most], mask[rows, :most]

    ours, expected = Clap(clap, tokens), np.load(HERE / "published-clap.npz")
    worst = {"text": np.abs(ours.text(["0", "1", "2"]).numpy() - expected["text"]).max()}
    for seconds in (3, 10):
        x = torch.from_numpy(CASES.mixtures(f"clap {seconds}", 2, 32_000 * seconds))
        clips = list(resample(x, 32_000, 48_000).numpy())
        worst[f"{seconds}s"] = np.abs(
            ours.audio(clips, sixteen_bit=False).numpy() - expected[f"audio {seconds}s"]
        ).max()
    print("largest differences of unit vectors", worst)
    assert max(worst.values()) < TOLERANCE
