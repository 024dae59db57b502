"""BSRNN under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from tspbench.system import System
from tspbench.systems import weights as published
from tspbench.systems.batches import equal_lengths, on_device
from tspbench.systems.bsrnn import checkpoint as ckpt
from tspbench.systems.bsrnn import model
from tspbench.systems.seeded import randomise
from tspbench.systems.speaker_encoders.fbank import fbank
from tspbench.types import Audio, Query, QueryKind

SEED = 0
SHORTEST_ENROLMENT = model.RATE // 2
"""Samples; a shorter enrolment is filled up with zeros, for deviations over time need some frames."""
SIXTEEN_BITS = 2.0**15


class Bsrnn(System):
    """The voice of an enrolment, at 16 kHz; several enrolments are heard one after the other.

    Parameters
    ----------
    checkpoint
        ``avg_model.pt`` of WeSep, with an ECAPA-TDNN or a ResNet in it; None looks below ``TSPBENCH_WEIGHTS``.
    weights
        ``random`` draws them from a seed: for profiling only.
    fusion
        ``multiply`` and ``additive`` leave tensors of one shape. ``auto`` asks the ``config.yaml`` beside the
        checkpoint; where there is none, it is ``multiply``, as in every shipped recipe.
    frontend
        What the speaker encoder hears: ``recipe`` as in training (Hamming window, samples as 16-bit numbers),
        without the dither that makes the published test differ from run to run; ``cli`` as WeSep's command line
        (Kaldi's own window, samples between -1 and 1).
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = model.RATE
    queries = frozenset({QueryKind.ENROLMENT})

    def __init__(
        self,
        checkpoint: Path | None = None,
        weights: Literal["published", "random"] = "published",
        fusion: Literal["auto", "multiply", "additive"] = "auto",
        frontend: Literal["recipe", "cli"] = "recipe",
        trust_pickle: bool = False,
    ) -> None:
        self.checkpoint, self.frontend, self.trust_pickle = checkpoint, frontend, trust_pickle
        self.fusion: model.Fusion | None = None if fusion == "auto" else fusion
        self.random_weights = SEED if weights == "random" else None

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        path = published.find(published.card_of("bsrnn"), "checkpoint", self.checkpoint)
        published.refuse_other_files(path)
        beside = path.with_name("config.yaml")
        return [path, beside] if beside.is_file() and self.fusion is None else [path]

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        if self.random_weights is not None:
            network = randomise(model.build(), self.random_weights)
        else:
            path = self.weight_files()[0]
            fusion = self.fusion or ckpt.stated_fusion(path.with_name("config.yaml"))
            network = ckpt.load(ckpt.read(path, self.trust_pickle), path, fusion)
            print(f"{path.name}: {type(network.encoder).__name__}, fusion {network.config.fusion}")
        self._network = network.to(self._device).eval()

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        vectors = self._vectors(queries)
        shortest = self._network.config.window // 2 + 1
        estimates = np.zeros_like(mixtures)
        for length, rows in equal_lengths(lengths):
            x = self._signal(mixtures[rows, :length], shortest)
            estimates[rows, :length] = self._network.extract(x, vectors[rows])[:, :length].cpu().numpy()
        return estimates

    def _vectors(self, queries: Sequence[Query]) -> Tensor:
        """One vector per query, (B, size)."""
        heard = [np.concatenate([np.zeros(0, np.float32), *query.enrolment]) for query in queries]
        vectors = torch.zeros(len(queries), self._network.config.encoder.vector, device=self._device)
        for _, rows in equal_lengths([len(x) for x in heard]):
            signals = self._signal(np.stack([heard[row] for row in rows]), SHORTEST_ENROLMENT)
            vectors[rows] = self._network.embed(features(signals, self.frontend, self._network.config.encoder.bins))
        return vectors

    def _signal(self, x: Audio, shortest: int) -> Tensor:
        """On the device, and no shorter than that."""
        return F.pad(on_device(x, self._device), (0, max(0, shortest - x.shape[-1])))


def features(enrolments: Tensor, frontend: Literal["recipe", "cli"], bins: int) -> Tensor:
    """Log energies (B, frames, bins) of enrolments (B, S), their mean over the frames removed."""
    if frontend == "recipe":
        found = fbank(enrolments * SIXTEEN_BITS, model.RATE, "hamming", bins)
    else:
        found = fbank(enrolments, model.RATE, "povey", bins)
    return found - found.mean(dim=1, keepdim=True)
