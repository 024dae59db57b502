"""HiFi-GAN against transformers' own generator, its mel against librosa, its files as published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise, randomise  # noqa: E402
from tspbench.systems.vocoders import hifigan, mel  # noqa: E402

SMALL = hifigan.HifiGanConfig(bands=20, channels=32, rates=(4, 2), up_kernels=(8, 4), kernels=(3, 5))
PUBLISHED_TENSORS, PUBLISHED_NUMBERS = 234, 13_936_130
"""Of the published V1 class before its weight normalisation is removed (github.com/jik876/hifi-gan 4769534)."""


def normalised(generator: Any) -> dict[str, Any]:
    """Its weights as the published class keeps them: direction and length."""
    state = {}
    for name, tensor in generator.state_dict().items():
        if name.endswith("weight"):
            state[f"{name}_v"] = 3 * tensor
            state[f"{name}_g"] = tensor.flatten(1).norm(dim=1).view(-1, 1, 1)
        else:
            state[name] = tensor
    return state


@pytest.mark.parametrize("batch", [1, 4])
def test_it_is_transformers_generator(batch: int) -> None:
    speecht5 = pytest.importorskip("transformers.models.speecht5")
    ours = randomise(hifigan.build(SMALL), 1).eval()
    config = speecht5.SpeechT5HifiGanConfig(
        model_in_dim=20, upsample_initial_channel=32, upsample_rates=[4, 2], upsample_kernel_sizes=[8, 4],
        resblock_kernel_sizes=[3, 5], resblock_dilation_sizes=[[1, 3, 5]] * 2, normalize_before=False,
    )  # fmt: skip
    theirs = speecht5.SpeechT5HifiGan(config).eval()
    state = {name.replace("ups.", "upsampler."): tensor for name, tensor in ours.state_dict().items()}
    assert set(theirs.load_state_dict(state, strict=False).missing_keys) == {"mean", "scale"}
    x = torch.from_numpy(noise("mel", (batch, 20, 31), 2))
    with torch.no_grad():
        found, expected = ours(x), theirs(x.transpose(1, 2))
    assert found.shape == (batch, 31 * ours.hop)
    torch.testing.assert_close(found, expected.reshape(batch, -1), rtol=0, atol=1e-6)


def test_v1_is_as_large_as_published() -> None:
    state = normalised(hifigan.build())
    assert len(state) == PUBLISHED_TENSORS
    assert sum(tensor.numel() for tensor in state.values()) == PUBLISHED_NUMBERS
    assert hifigan.build().hop == mel.MelConfig().hop


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_published_file_loads(tmp_path: Path, wrapped: bool) -> None:
    ours = randomise(hifigan.build(SMALL), 3).eval()
    state = normalised(ours)
    path = tmp_path / "g_02500000"
    torch.save({"generator": state} if wrapped else state, path)
    loaded = hifigan.load(hifigan.read(path), path)
    assert loaded.config == SMALL
    x = torch.from_numpy(noise("mel", (2, 20, 9), 4))
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), ours(x), rtol=0, atol=1e-6)


def test_what_is_no_generator_is_named(tmp_path: Path) -> None:
    torch.save({"decoder_model.x": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UsageError, match="not HiFi-GAN's generator"):
        hifigan.read(tmp_path / "other.pt")
    state = normalised(hifigan.build(SMALL))
    with pytest.raises(UsageError, match="tensors that HiFi-GAN"):
        hifigan.load({**state, "left.over": torch.zeros(1)}, tmp_path)
    state.pop("conv_post.bias")
    with pytest.raises(UsageError, match="lacks 1 of"):
        hifigan.load(state, tmp_path)


@pytest.mark.parametrize("length", [22050, 30001])
def test_mel_is_librosas(length: int) -> None:
    librosa = pytest.importorskip("librosa")
    c = mel.MelConfig()
    x = 0.1 * noise("x", (length,), 5)
    margin = (c.window - c.hop) // 2
    padded = np.pad(x, margin, mode="reflect")
    power = np.abs(librosa.stft(padded, n_fft=c.window, hop_length=c.hop, center=False)) ** 2
    filters = librosa.filters.mel(sr=c.rate, n_fft=c.window, n_mels=c.bands, fmin=c.lowest, fmax=c.highest)
    expected = np.log(np.maximum(filters @ np.sqrt(power + 1e-9), 1e-5))
    found = mel.log_mel(torch.from_numpy(x)[None], c)[0].numpy()
    assert found.shape == (80, c.frames(length))
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("length", [1, 100, 255, 400])
def test_mel_of_almost_nothing(length: int) -> None:
    found = mel.log_mel(torch.zeros(1, length), mel.MelConfig())
    assert found.shape[-1] >= 1
    assert torch.isfinite(found).all()
