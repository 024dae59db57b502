"""A gen-tse of very little size, with all that it needs to speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def config() -> Any:
    pytest.importorskip("transformers")
    from tspbench.systems.gen_tse.config import FlowConfig, LoraConfig, PromptConfig, reduced
    from tspbench.systems.whisper.model import Dims

    return reduced(
        whisper=Dims(width=32, encoder_layers=2, decoder_layers=1, heads=2, inner=64, frames=100),
        prompt=PromptConfig(speaker_encoder="resemblyzer", speaker_size=256, seconds=0.5),
        lora=LoraConfig(rank=3, alpha=6.0),
        flow=FlowConfig(width=32, layers=2, heads=2, speaker_width=8, steps=3),
        freeze_whisper=True,
    )


@pytest.fixture
def network(config: Any) -> Any:
    """Random weights throughout, so that no gate and no update is zero."""
    import torch

    from tspbench.systems.gen_tse import model

    torch.manual_seed(0)
    network = model.build(config)
    model.randomise(network, 1)
    return network.eval()


@pytest.fixture
def heard(config: Any) -> Any:
    """Two mixtures of 1 s with everything that the losses want; the second has no text."""
    import torch

    from tspbench.systems.seeded import noise

    def make(name: str, *shape: int) -> Any:
        return torch.from_numpy(noise(name, shape, 2))

    frames = config.prompt.frames
    text = torch.tensor([[32, 33, 50257], [-100, -100, -100]])
    return (
        make("mixture", 2, 80, 100), make("enrolment", 2, 80, 2 * frames), make("speaker", 2, 256),
        make("mel", 2, 80, 86), torch.tensor([50258, 50259, 50359, 50363]), text,
    )  # fmt: skip


@pytest.fixture
def files(network: Any, config: Any, tmp_path: Path) -> dict[str, Path]:
    """What a training leaves, and a vocoder as published, of little size."""
    import torch

    from tspbench.systems.seeded import randomise
    from tspbench.systems.vocoders import hifigan

    torch.save({"model": network.state_dict(), "config": {"network": config.plain()}, "step": 5}, tmp_path / "best.pt")
    vocoder = randomise(hifigan.build(hifigan.HifiGanConfig(channels=32, kernels=(3,))), 3)
    torch.save({"generator": vocoder.state_dict()}, tmp_path / "g_02500000")
    return {"checkpoint": tmp_path / "best.pt", "vocoder": tmp_path / "g_02500000"}
