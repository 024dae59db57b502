"""clapsep-mini under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems import weights
from tspbench.systems.clapsep.chunks import Chunks
from tspbench.systems.clapsep_mini import files, model
from tspbench.types import Audio, Query, QueryKind

CHUNK = 5 * model.RATE
"""Samples: about what it was trained on."""
AT_ONCE = 8
"""Chunks in one pass of the network; bounds the memory that a long mixture takes."""


class CLAPSepMini(System):
    """A sound described by captions, by examples, or by both; and what is not wanted, likewise.

    The condition is made as CLAPSep's: each side is the sum of the caption's
    vector and the mean vector of the examples, what is not given counts as
    zero, and the whole is brought to unit length.

    Parameters
    ----------
    checkpoint
        None takes the weights that come with the package.
    overlap_s
        More than five seconds are cut into chunks that overlap by this and are faded into one another.
    precision
        ``bfloat16`` computes under autocast, the spectra excepted.
    """

    sample_rate = model.RATE
    queries = frozenset({QueryKind.TEXT, QueryKind.NEGATIVE_TEXT, QueryKind.AUDIO, QueryKind.NEGATIVE_AUDIO})

    def __init__(
        self,
        checkpoint: Path | None = None,
        overlap_s: float = 1.0,
        precision: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        if not 0 < overlap_s <= 2.5:
            raise UsageError(f"overlap_s={overlap_s:g}: more than 0 and at most 2.5 seconds.")
        self.checkpoint, self.precision = checkpoint, precision
        self.overlap = round(overlap_s * model.RATE)

    def weight_files(self) -> Sequence[Path]:
        path = weights.find(weights.card_of("clapsep-mini"), "checkpoint", self.checkpoint)
        weights.refuse_other_files(path)
        return [path]

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        encoder, separator = files.load(self.weight_files()[0])
        self._encoder = encoder.to(self._device)
        self._separator = separator.to(self._device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        conditions = torch.stack([self._condition(query) for query in queries])
        plans = [Chunks(int(length), CHUNK, self.overlap) for length in lengths]
        pieces = [plan.cut(mixture[: plan.length]) for plan, mixture in zip(plans, mixtures, strict=True)]
        owners = np.repeat(np.arange(len(plans)), [len(piece) for piece in pieces])
        found = self._separate(np.concatenate(pieces), conditions[torch.from_numpy(owners)])
        estimates = np.zeros_like(mixtures)
        for row, plan in enumerate(plans):
            estimates[row, : plan.length] = plan.join(found[owners == row])
        return estimates

    def _separate(self, chunks: Audio, conditions: Tensor) -> Audio:
        """Estimates (n, CHUNK) for chunks and their conditions (n, 2 size)."""
        found = []
        for start in range(0, len(chunks), AT_ONCE):
            x = torch.from_numpy(chunks[start : start + AT_ONCE]).to(self._device)
            told = conditions[start : start + AT_ONCE].to(self._device)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                found.append(self._separator(x, told).float().cpu().numpy())
        return np.concatenate(found)

    def _condition(self, query: Query) -> Tensor:
        return model.condition(
            self._side(query.text, query.audio, query.sample_rate),
            self._side(query.negative_text, query.negative_audio, query.sample_rate),
        )

    def _side(self, text: str | None, examples: Sequence[Audio], rate: int) -> Tensor:
        heard = [audio.resample(x, rate, model.RATE) for x in examples if len(x)]
        return model.side(
            self._encoder.size,
            self._encoder.text([text])[0].cpu() if text and text.strip() else None,
            self._encoder.audio(heard).cpu() if heard else None,
        )
