"""unpaired-mini under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch

from tspbench.systems import weights
from tspbench.systems.clapsep_mini.adapter import CLAPSepMini
from tspbench.systems.unpaired_mini import files
from tspbench.types import QueryKind


class UnpairedMini(CLAPSepMini):
    """A sound described by a caption, by a separator that was never shown which caption belongs to which sound.

    Parameters
    ----------
    checkpoint
        A separator that :mod:`tspbench.systems.unpaired_mini.train` made, of any
        of the four conditionings. None takes the one that comes with the package.
    encoder
        Weights of clapsep-mini, whose encoder it was trained with. None takes those that come with the package.
    overlap_s, precision
        As clapsep-mini's.
    """

    queries = frozenset({QueryKind.TEXT})

    def __init__(
        self,
        checkpoint: Path | None = None,
        encoder: Path | None = None,
        overlap_s: float = 1.0,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        super().__init__(checkpoint, overlap_s, precision)
        self.encoder = encoder

    def weight_files(self) -> Sequence[Path]:
        paths = [
            weights.find(weights.card_of("unpaired-mini"), "checkpoint", self.checkpoint),
            files.encoder_file(self.encoder),
        ]
        for path in paths:
            weights.refuse_other_files(path)
        return paths

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        encoder, separator = files.load(*self.weight_files())
        self._encoder = encoder.to(self._device)
        self._separator = separator.to(self._device).to(memory_format=torch.channels_last)
