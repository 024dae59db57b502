"""LASS-Net's published checkpoint."""

from __future__ import annotations

from pathlib import Path

from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.lassnet import model

PARTS = ("UNet.", "text_embedder.")


def load(path: Path, trust_pickle: bool = False) -> model.LASSNet:
    """The network with the weights of a checkpoint file.

    Raises
    ------
    UsageError
        The file is something else, or another model's; a tensor is missing or has another shape.
    """
    state = model.convert(weights.read(path, trust_pickle))
    absent = [part for part in PARTS if not any(key.startswith(part) for key in state)]
    if absent:
        raise UsageError(f"{path} is not LASS-Net's checkpoint (no {absent[0]}*) but {weights.what_is(state)}.")
    try:
        network = model.build(model.config(state))
    except KeyError as error:
        raise UsageError(f"{path} lacks {error.args[0]}, and perhaps more.") from error
    strange = [key for key in weights.load(network, state, path) if key.startswith(PARTS)]
    if strange:
        raise UsageError(f"{path} has tensors that the published network has not: {weights.some(strange)}.")
    return network
