"""CLAP beside LAION's package: on fixtures everywhere, on the package itself where it is installed (nox -s laion)."""

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
transformers = pytest.importorskip("transformers")

from tspbench.systems.clap import encoder, laion  # noqa: E402
from tspbench.systems.clap.frontend import resample  # noqa: E402
from tspbench.systems.clap.tokens import Bytes  # noqa: E402
from tspbench.systems.seeded import seeded_state  # noqa: E402

FIXTURES = Path(__file__).parents[1] / "clapsep"
TOLERANCE = 1e-4
here = pytest.mark.skipif(importlib.util.find_spec("laion_clap") is None, reason="laion_clap is not installed")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_fixtures", FIXTURES / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["make_fixtures"] = found
    spec.loader.exec_module(found)
    return found


RECIPE = script()


def weights() -> dict[str, Any]:
    shapes = json.loads((FIXTURES / "published-clap-keys.json").read_text())
    drawn = seeded_state({k: tuple(s) for k, s in shapes.items() if not k.endswith(("_ids", "_index"))}, RECIPE.SEED)
    return {name: torch.from_numpy(value) for name, value in drawn.items()}


@pytest.fixture(scope="module")
def clap() -> Any:
    """Ours, with the weights that laion_clap was filled with, by way of LAION's names."""
    state = weights()
    model = encoder.build(laion.config(state))
    lacking, unexpected = model.load_state_dict(encoder.convert(state), strict=False)
    assert all(key.endswith(("_ids", "_index")) for key in lacking)
    assert not unexpected
    return encoder.Clap(model, Bytes(50_265))


def test_the_published_shapes_give_the_published_architecture() -> None:
    found = laion.config(weights_on_paper())
    assert found["audio_config"] == encoder.HTSAT_BASE["audio_config"]
    default = transformers.ClapTextConfig()
    for name, value in found["text_config"].items():
        assert value == (1e-5 if name == "layer_norm_eps" else getattr(default, name)), name


def weights_on_paper() -> dict[str, Any]:
    """Names and shapes without values."""
    shapes = json.loads((FIXTURES / "published-clap-keys.json").read_text())
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_every_published_tensor_has_a_place() -> None:
    """The audio branch alone has 72,424,535 parameters; the head and the front end are not needed here."""
    state = weights_on_paper()
    audio = {k: t for k, t in state.items() if k.startswith("audio_branch.")}
    buffers = ("running_mean", "running_var", "num_batches_tracked", "relative_position_index")
    front_end = 2 * 513 * 1024 + 513 * 64
    assert sum(t.numel() for k, t in audio.items() if not k.endswith(buffers)) + front_end == 72_424_535
    with torch.device("meta"):
        own = transformers.ClapModel(encoder.build_config(encoder.HTSAT_BASE)).state_dict()
    converted = encoder.convert(state)
    assert set(converted) | {k for k in own if k.endswith("_ids")} == set(own)
    assert all(tuple(converted[key].shape) == tuple(own[key].shape) for key in converted)


@pytest.mark.slow
def test_embeddings_of_captions_are_laions(clap: Any) -> None:
    ids, mask = (torch.from_numpy(each) for each in RECIPE.token_ids())
    with torch.inference_mode():
        found = clap.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
    report("text", found.numpy(), np.load(FIXTURES / "published-clap.npz")["text"])


@pytest.mark.slow
@pytest.mark.parametrize("sixteen_bit", [False, True])
@pytest.mark.parametrize("seconds", [3, 10])
def test_embeddings_of_sounds_are_laions(clap: Any, seconds: int, sixteen_bit: bool) -> None:
    samples = RECIPE.mixtures(f"clap {seconds}", 2, 48_000 * seconds)
    found = clap.audio(list(samples), sixteen_bit=sixteen_bit).numpy()
    name = f"audio {seconds}s" + (" sixteen bit" if sixteen_bit else "")
    report(name, found, np.load(FIXTURES / "published-clap.npz")[name])


def report(name: str, found: Any, expected: Any) -> None:
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{name}: largest error {worst:.2g}")
    assert worst < TOLERANCE


# -- where the package itself is installed -------------------------------------------------------


@here
@pytest.mark.slow
def test_features_within_the_encoder_are_laions(clap: Any) -> None:
    """Patches, stages and embeddings of both sides, computed by laion_clap on the spot."""
    RECIPE.offline()
    import laion_clap

    theirs = laion_clap.CLAP_Module(enable_fusion=False, amodel="HTSAT-base", device="cpu")
    RECIPE.fill(theirs.model)
    theirs.eval()
    branch = theirs.model.audio_branch
    seen: list[Any] = []
    branch.patch_embed.register_forward_hook(lambda module, given, found: seen.append(found))
    for layer in branch.layers:
        layer.register_forward_hook(lambda module, given, found: seen.append(found[0]))
    samples = torch.from_numpy(RECIPE.mixtures("clap features", 1, 480_000))
    with torch.inference_mode():
        pooled = branch({"waveform": samples})["embedding"]
        ours = clap.model.audio_model.audio_encoder(clap.log_mel(samples), output_hidden_states=True)
    for index, (expected, image) in enumerate(zip(seen, ours.hidden_states, strict=True)):
        report(f"feature {index}", image.flatten(2).transpose(1, 2).numpy(), expected.numpy())
    report("pooled", ours.pooler_output.numpy(), pooled.numpy())


@pytest.mark.skipif(importlib.util.find_spec("torchaudio") is None, reason="torchaudio is not installed")
@pytest.mark.parametrize(("source", "target"), [(32_000, 48_000), (16_000, 48_000), (44_100, 48_000), (48_000, 16_000)])
def test_resampling_is_torchaudios(source: int, target: int) -> None:
    import torchaudio

    samples = torch.from_numpy(RECIPE.mixtures("resampling", 2, 20_011))
    expected = torchaudio.transforms.Resample(source, target)(samples)
    found = resample(samples, source, target)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5  # it computes the phases in single precision
