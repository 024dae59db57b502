"""Checkpoints of gen-tse, which are those of its own trainer: none is published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tspbench.errors import MissingWeights, UsageError
from tspbench.system import Card
from tspbench.systems import weights
from tspbench.systems.gen_tse import model
from tspbench.systems.gen_tse.config import Config

COMPUTED = ("encoder.embed_positions.weight",)
TRAIN = "python -m tspbench.systems.gen_tse.train --help"


def find(card: Card, given: Path | None) -> Path:
    """The checkpoint.

    Raises
    ------
    UsageError
        The option names something that does not exist.
    MissingWeights
        There is none on this machine; that none is public, and how to train one.
    """
    try:
        return weights.find(card, "checkpoint", given)
    except MissingWeights:
        raise MissingWeights(
            f"The system {card.name!r} has no public weights: its authors published neither code nor weights "
            "(arXiv 2501.14477), and this is an implementation of their paper.\n"
            f"Train your own, from a list of recordings with speakers and transcripts: {TRAIN}\n"
            "Then say --option checkpoint=DIR/best.pt, or put it into the folder that "
            f"{weights.FOLDER} names, as {card.checkpoints[0].file}.\n"
            "To measure speed and memory without weights: --option weights=random."
        ) from None


def read(path: Path) -> tuple[Config, Mapping[str, Any]]:
    """What a training here left in ``best.pt`` or ``last.pt``: the network's choices, and its tensors.

    Raises
    ------
    UsageError
        It is something else.
    """
    state = weights.read(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    plain = content.get("config") if isinstance(content, dict) else None
    if not isinstance(plain, dict) or "network" not in plain or "estimator.enter.weight" not in state:
        raise UsageError(f"{path} is not a checkpoint of gen-tse but {weights.what_is(state)}. Train one: {TRAIN}")
    return Config.of(plain["network"], path), state


def load(path: Path) -> model.GenTSE:
    """The network with a checkpoint's weights; raises as :func:`read`, or where a tensor is missing."""
    config, state = read(path)
    network = model.build(config)
    weights.load(network, state, path, COMPUTED)
    return network
