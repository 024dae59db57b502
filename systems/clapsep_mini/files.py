"""The weights file: one safetensors file for the encoder and the separator, float16."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tspbench.systems import weights
from tspbench.systems.clapsep_mini.model import Encoder, Separator, own_weights

NAME = "clapsep-mini.safetensors"


def state(encoder: Encoder, separator: Separator) -> dict[str, Tensor]:
    """Every tensor once, float16, named ``encoder.…`` and ``separator.…``; the audio tower is the encoder's."""
    return _halved(encoder.state_dict(), "encoder.") | _halved(own_weights(separator), "separator.")


def _halved(found: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value.half().contiguous() for key, value in found.items() if value.is_floating_point()}


def write(folder: Path, encoder: Encoder, separator: Separator) -> str:
    """Write :data:`NAME` into a folder; returns its path, size and sha256 in words."""
    from safetensors.torch import save

    path, content = folder / NAME, save(state(encoder, separator))
    path.write_bytes(content)
    return f"{path}\n{len(content)} bytes\nsha256 {hashlib.sha256(content).hexdigest()}"


def write_encoder(folder: Path, encoder: Encoder) -> Path:
    """Write the encoder alone, as :data:`NAME` will hold it."""
    from safetensors.torch import save

    path = folder / "encoder.safetensors"
    path.write_bytes(save(_halved(encoder.state_dict(), "encoder.")))
    return path


def load(path: Path) -> tuple[Encoder, Separator]:
    """Encoder and separator from a weights file, float32, in evaluation mode and frozen.

    Raises
    ------
    UsageError
        It is another model's file, or broken.
    """
    found = {key: value.float() for key, value in weights.read(path).items()}
    encoder = Encoder()
    separator = Separator(encoder)
    both = torch.nn.ModuleDict({"encoder": encoder, "separator": separator})
    shared = {
        f"separator.tower.{key.removeprefix('encoder.sounds.')}": value
        for key, value in found.items()
        if key.startswith("encoder.sounds.")
    }
    weights.load(both, {**found, **shared}, path, computed=("num_batches_tracked",))
    both.eval().requires_grad_(False)
    return encoder, separator


def load_encoder(path: Path) -> Encoder:
    """The encoder alone, from a file that holds at least its tensors."""
    found = {
        key.removeprefix("encoder."): value.float()
        for key, value in weights.read(path).items()
        if key.startswith("encoder.")
    }
    encoder = Encoder()
    weights.load(encoder, found, path, computed=("num_batches_tracked",))
    return encoder.eval().requires_grad_(False)
