"""TD-SpeakerBeam under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems import weights as published
from tspbench.systems.batches import equal_lengths
from tspbench.systems.seeded import randomise
from tspbench.systems.td_speakerbeam import checkpoint as ckpt
from tspbench.systems.td_speakerbeam import model
from tspbench.types import Audio, Query, QueryKind

SEED = 0


class TDSpeakerBeam(System):
    """The voice of an enrolment, at 16 kHz; several enrolments are heard one after the other.

    Parameters
    ----------
    checkpoint
        The published file, in Asteroid's layout or ESPnet's; None looks below ``TSPBENCH_WEIGHTS``.
    weights
        ``random`` draws them from a seed: for profiling only.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = 16000
    queries = frozenset({QueryKind.ENROLMENT})
    card = "td-speakerbeam"
    config = model.ESPNET_LIBRIMIX_16K
    """The architecture that random weights are drawn for; a checkpoint says which its own is."""

    def __init__(
        self,
        checkpoint: Path | None = None,
        weights: Literal["published", "random"] = "published",
        trust_pickle: bool = False,
    ) -> None:
        self.checkpoint, self.trust_pickle = checkpoint, trust_pickle
        self.random_weights = SEED if weights == "random" else None

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        path = published.find(published.card_of(self.card), "checkpoint", self.checkpoint)
        published.refuse_other_files(path)
        return [path]

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        if self.random_weights is not None:
            network = randomise(model.build(self.config), self.random_weights)
        else:
            (path,) = self.weight_files()
            network = ckpt.load(ckpt.read(path, self.trust_pickle), path)
            kernel = network.config.kernel
            print(f"{path.name}: filters of {kernel} samples, {1000 * kernel / self.sample_rate:g} ms at its rate")
        self._network = network.to(self._device).eval()

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        vectors = self._vectors(queries)
        estimates = np.zeros_like(mixtures)
        for length, rows in equal_lengths(lengths):
            x = self._signal(mixtures[rows, :length])
            estimates[rows, :length] = self._separated(x, vectors[rows])[:, :length].cpu().numpy()
        return estimates

    def _separated(self, mixtures: Tensor, vectors: Tensor) -> Tensor:
        estimates: Tensor = self._network.extract(mixtures, vectors)
        return estimates

    def _vectors(self, queries: Sequence[Query]) -> Tensor:
        """One vector per query, (B, size)."""
        heard = [np.concatenate([np.zeros(0, np.float32), *query.enrolment]) for query in queries]
        vectors = torch.zeros(len(queries), self._network.config.vector, device=self._device)
        for _, rows in equal_lengths([len(x) for x in heard]):
            vectors[rows] = self._network.embed(self._signal(np.stack([heard[row] for row in rows])))
        return vectors

    def _signal(self, x: Audio) -> Tensor:
        """On the device, and no shorter than one filter."""
        signal = torch.from_numpy(x).to(self._device)
        return F.pad(signal, (0, max(0, self._network.config.kernel - x.shape[-1])))


class TDSpeakerBeam8k(TDSpeakerBeam):
    """The voice of an enrolment, at 8 kHz."""

    sample_rate = 8000
    card = "td-speakerbeam-8k"
    config = model.LIBRI2MIX_8K


class TDSpeakerBeamMini(TDSpeakerBeam):
    """The voice of an enrolment, if it is one of the demo tasks' synthetic ones; the weights come with tspbench.

    Parameters
    ----------
    shifts
        Estimates are means over as many delays of the mixture, spread evenly over one stride of the filters (as in
        Demucs, Defossez et al. 2019, arXiv 1911.13254): the longer the filters, the more it helps.
    """

    card = "td-speakerbeam-mini"
    config = model.MINI_16K

    def __init__(
        self,
        checkpoint: Path | None = None,
        weights: Literal["published", "random"] = "published",
        trust_pickle: bool = False,
        shifts: int = 4,
    ) -> None:
        if shifts < 1:
            raise UsageError(f"--option shifts={shifts}: must be 1 or more.")
        super().__init__(checkpoint, weights, trust_pickle)
        self.shifts = shifts

    def _separated(self, mixtures: Tensor, vectors: Tensor) -> Tensor:
        delays = [self._network.config.stride * shift // self.shifts for shift in range(self.shifts)]
        moved = [self._network.extract(F.pad(mixtures, (delay, 0)), vectors)[:, delay:] for delay in delays]
        return torch.stack(moved).mean(dim=0)
