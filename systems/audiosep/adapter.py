"""AudioSep under the System contract."""

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
from tspbench.systems.audiosep import checkpoint as ckpt
from tspbench.systems.audiosep import model
from tspbench.systems.audiosep.captions import Captions
from tspbench.systems.batches import equal_lengths, on_device
from tspbench.systems.clap.encoder import HTSAT_BASE, Clap, random_clap
from tspbench.systems.clap.files import ClapFiles, load_clap
from tspbench.systems.clap.frontend import resample
from tspbench.systems.clap.tokens import Bytes
from tspbench.systems.seeded import randomise
from tspbench.types import Audio, Query, QueryKind

SEED = 0
MOST_AT_ONCE = 30 * model.RATE
"""Samples that ``chunks=auto`` separates at once: 100 MB of memory a second."""


class AudioSep(System):
    """A sound described by a caption, or by examples of it.

    Parameters
    ----------
    checkpoint, tokenizer
        The published files; None looks below ``TSPBENCH_WEIGHTS``.
    clap
        A CLAP instead of the one inside the checkpoint: LAION's file, or a folder
        or a hub repository as transformers writes them.
    weights
        ``random`` draws them from a seed: for profiling only.
    prefer
        What counts where a trial offers both; the published weights were trained on captions alone.
    chunks
        ``whole`` separates a mixture at once, as the scripts behind the published
        numbers do (on ten seconds and less); ``chunk_inference`` five seconds at a
        time, as the published function of that name: less memory, another output.
        ``auto`` does the former up to thirty seconds, and the latter beyond.
    precision
        ``bfloat16`` computes under autocast, the spectra excepted.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = model.RATE
    queries = frozenset({QueryKind.TEXT, QueryKind.AUDIO})

    def __init__(
        self,
        checkpoint: Path | None = None,
        clap: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["published", "random"] = "published",
        prefer: Literal["text", "audio"] = "text",
        chunks: Literal["auto", "whole", "chunk_inference"] = "auto",
        precision: Literal["float32", "bfloat16"] = "float32",
        trust_pickle: bool = False,
    ) -> None:
        self.checkpoint, self.clap, self.tokenizer = checkpoint, clap, tokenizer
        self.random_weights = SEED if weights == "random" else None
        self.prefer, self.chunks, self.precision, self.trust_pickle = prefer, chunks, precision, trust_pickle

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        checkpoint, files = self._located()
        published.refuse_other_files(checkpoint)
        return list(dict.fromkeys([checkpoint, *files.files()]))

    def _located(self) -> tuple[Path, ClapFiles]:
        """The checkpoint, and where CLAP and its tokenizer are: by default CLAP is in the checkpoint."""
        card = published.card_of("audiosep")
        checkpoint = published.find(card, "checkpoint", self.checkpoint)
        return checkpoint, ClapFiles.locate(card, self.clap or checkpoint, self.tokenizer)

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        network, self._clap = self._drawn() if self.random_weights is not None else self._read()
        self._network = network.to(self._device).eval()

    def _drawn(self) -> tuple[model.Separator, Clap]:
        clap = random_clap(HTSAT_BASE, SEED).to(self._device)
        return randomise(model.build(), SEED), Clap(clap, Bytes(clap.config.text_config.vocab_size))

    def _read(self) -> tuple[model.Separator, Clap]:
        checkpoint, files = self._located()
        separator, inside = ckpt.read(checkpoint, self.trust_pickle)
        if self.clap is None and not inside:
            raise UsageError(f"{checkpoint} holds a separator without its CLAP ({ckpt.CLAP}*); say --option clap=PATH.")
        clap = load_clap(files, inside if self.clap is None else files.read(self.trust_pickle))
        network = ckpt.load(separator, checkpoint, clap.config.projection_dim)
        most = clap.config.text_config.max_position_embeddings - 2  # RoBERTa counts positions from 2
        return network, Clap(clap.to(self._device), Captions(files.tokenizer, most))

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        conditions = torch.stack([self._condition(query) for query in queries])
        estimates = np.zeros_like(mixtures)
        for length, rows in equal_lengths(lengths):
            x = on_device(mixtures[rows, :length], self._device)
            x = F.pad(x, (0, max(0, model.SHORTEST - length)))
            estimates[rows, :length] = self._separate(x, conditions[rows])[:, :length].cpu().numpy()
        return estimates

    def _separate(self, x: Tensor, conditions: Tensor) -> Tensor:
        """Estimates (n, T) of mixtures of one length."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            if self.chunks == "chunk_inference" or (self.chunks == "auto" and x.shape[1] > MOST_AT_ONCE):
                return model.in_chunks(self._network, x, conditions).float()
            found: Tensor = self._network(x, conditions).float()
            return found

    def _condition(self, query: Query) -> Tensor:
        """CLAP's vector of the caption, or the mean direction of those of the examples; zeros for neither."""
        examples = [clip for clip in query.audio if len(clip)]
        if query.text is not None and (self.prefer == "text" or not examples):
            return self._clap.text([query.text])[0]
        if not examples:
            return torch.zeros(self._clap.model.config.projection_dim, device=self._device)
        heard = [resample(torch.from_numpy(x)[None], query.sample_rate, self._clap.sample_rate)[0] for x in examples]
        # Unlike LAION's, the published code does not round what it hears to sixteen bits.
        found = self._clap.audio([x.numpy() for x in heard], sixteen_bit=False)
        return F.normalize(found.mean(dim=0), dim=0)
