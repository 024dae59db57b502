"""What turns an enrolment into the speaker vector that gen-tse is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tspbench import instruments
from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.gen_tse.config import CAMPPLUS, PromptConfig
from tspbench.systems.seeded import randomise
from tspbench.systems.speaker_encoders import campplus
from tspbench.systems.speaker_encoders.fbank import fbank
from tspbench.types import Audio

RATE = 16_000
SHORTEST = 800
"""Samples: three frames of the filterbank, below which variances over time mean nothing."""


class CamPlusVectors:
    """CAM++ on Kaldi's features without their mean, as CosyVoice feeds it."""

    def __init__(self, network: campplus.CamPlus, device: torch.device) -> None:
        self._network, self._device = network.to(device).eval(), device

    @torch.inference_mode()
    def embed(self, samples: Audio) -> Audio | None:
        """Shape (vector,) of samples (T,) at 16 kHz; None for silence and for less than 50 ms."""
        if samples.size < SHORTEST or not samples.any():
            return None
        features = fbank(torch.from_numpy(samples)[None].to(self._device), RATE)
        vector: Audio = self._network(features - features.mean(dim=1, keepdim=True))[0].cpu().numpy()
        return vector


def encoder(config: PromptConfig, path: Path | None, device: torch.device, seed: int | None = None) -> Any:
    """An object with ``embed``: samples (T,) at 16 kHz to a vector, or None where nothing is heard.

    Parameters
    ----------
    path
        CAM++'s file; other encoders bring or name their own.
    seed
        Of random weights for CAM++, in place of a file.

    Raises
    ------
    UsageError
        The file is not CAM++, its vectors are of another size, or there is no such encoder.
    """
    if config.speaker_encoder != CAMPPLUS:
        return instruments.encoder(config.speaker_encoder)
    if path is None:
        assert seed is not None
        network = campplus.CamPlus(campplus.CamPlusConfig(vector=config.speaker_size))
        return CamPlusVectors(randomise(network, seed), device)
    state = weights.read(path)
    try:
        network = campplus.CamPlus(campplus.config(state))
    except KeyError as error:
        raise UsageError(f"{path} is not CAM++ (no {error.args[0]}) but {weights.what_is(state)}.") from error
    weights.load(network, campplus.convert(state), path)
    if network.config.vector != config.speaker_size:
        raise UsageError(
            f"{path} gives vectors of {network.config.vector} numbers, this gen-tse takes {config.speaker_size}."
        )
    return CamPlusVectors(network, device)


def vector(encoder: Any, enrolment: Audio, size: int) -> Audio:
    """The speaker vector (size,) of an enrolment (T,) at 16 kHz; zeros where no speech is heard in it.

    Raises
    ------
    UsageError
        The encoder's vectors are of another size.
    """
    found = encoder.embed(enrolment)
    if found is None:
        return torch.zeros(size).numpy()
    if found.shape != (size,):
        raise UsageError(f"The speaker encoder gives vectors of {found.size} numbers, this gen-tse takes {size}.")
    return found.astype("float32")
