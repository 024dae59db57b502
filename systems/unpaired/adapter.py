"""The unpaired method's separator under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems import weights as published
from tspbench.systems.clap.encoder import HTSAT_BASE, Clap, random_clap
from tspbench.systems.clap.files import COMPUTED, ClapFiles, load_clap
from tspbench.systems.clap.tokens import Bytes, Roberta
from tspbench.systems.clapsep.chunks import Chunks
from tspbench.systems.seeded import randomise
from tspbench.systems.unpaired import model
from tspbench.systems.unpaired.small import SmallClap
from tspbench.types import Audio, Query, QueryKind

RATE = 32_000
CHUNK = 10 * RATE
"""Samples at a time: what the large network is trained on. The small one takes any length at once."""
AT_ONCE = 8
"""Chunks in one pass of the network."""
SEED = 0


class Unpaired(System):
    """A sound described by a caption, by a separator that never saw one in training.

    Parameters
    ----------
    checkpoint
        ``last.pt`` or ``best.pt`` of a training.
    clap, tokenizer
        The CLAP it was trained with; None looks below ``TSPBENCH_WEIGHTS``. A
        small network brings its own encoder and needs neither.
    weights
        ``random`` draws them from a seed: for profiling only.
    overlap_s
        Of the ten-second chunks of a longer mixture, which fade into one another.
    precision
        ``bfloat16`` computes under autocast, the spectra excepted.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = RATE
    queries = frozenset({QueryKind.TEXT})

    def __init__(
        self,
        checkpoint: Path | None = None,
        clap: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["published", "random"] = "published",
        overlap_s: float = 1.0,
        precision: Literal["float32", "bfloat16"] = "float32",
        trust_pickle: bool = False,
    ) -> None:
        if not 0 < overlap_s <= 5:
            raise UsageError(f"overlap_s={overlap_s:g}: more than 0 and at most 5 seconds.")
        self.checkpoint, self.clap, self.tokenizer = checkpoint, clap, tokenizer
        self.random_weights = SEED if weights == "random" else None
        self.overlap, self.precision, self.trust_pickle = round(overlap_s * RATE), precision, trust_pickle

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        path = self._located()
        if _is_small(read(path, self.trust_pickle)):
            return [path]
        return [path, *self._clap_files().files()]

    def _located(self) -> Path:
        return published.find(published.card_of("unpaired"), "checkpoint", self.checkpoint)

    def _clap_files(self) -> ClapFiles:
        return ClapFiles.locate(published.card_of("unpaired"), self.clap, self.tokenizer)

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        network = self._network_from_disk() if self.random_weights is None else randomise(model.build(), SEED)
        self._network = network.to(self._device).eval()
        self._query = self._network.query or self._large_query()

    def _network_from_disk(self) -> model.Network:
        path = self._located()
        state = read(path, self.trust_pickle)
        try:
            network = model.build(model.config(state))
        except KeyError as error:
            raise UsageError(f"{path} lacks {error.args[0]}, and perhaps more.") from error
        published.load(network, model.convert(state), path, COMPUTED)
        return network

    def _large_query(self) -> Clap:
        if self.random_weights is not None:
            clap = random_clap(HTSAT_BASE, self.random_weights)
            tokens: Bytes | Roberta = Bytes(clap.config.text_config.vocab_size)
        else:
            files = self._clap_files()
            clap, tokens = load_clap(files, files.read(self.trust_pickle)), Roberta(files.tokenizer)
            self._refuse_another_clap(clap.config.projection_dim, files.weights)
        return Clap(clap.to(self._device), tokens)

    def _refuse_another_clap(self, size: int, path: Path) -> None:
        wanted = self._network.separator.decoder.film.skip_conv.gamma.in_features
        if size != wanted:
            raise UsageError(
                f"{self._located()} was trained with vectors of {wanted}; those of {path} have {size}. "
                "Name the CLAP that it was trained with: --option clap=…"
            )

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        conditions = torch.cat([self._query.text([query.text or ""]) for query in queries])
        inside = [mixture[:length] for mixture, length in zip(mixtures, lengths, strict=True)]
        whole = isinstance(self._query, SmallClap)
        found = self._one_by_one(inside, conditions) if whole else self._in_chunks(inside, conditions)
        estimates = np.zeros_like(mixtures)
        for estimate, each in zip(estimates, found, strict=True):
            estimate[: len(each)] = each
        return estimates

    def _one_by_one(self, mixtures: Sequence[Audio], conditions: Tensor) -> list[Audio]:
        """The small network sees where a mixture ends, so none is padded to the length of another."""
        return [
            self._separate(mixture[None], condition[None])[0] if len(mixture) else mixture
            for mixture, condition in zip(mixtures, conditions, strict=True)
        ]

    def _in_chunks(self, mixtures: Sequence[Audio], conditions: Tensor) -> list[Audio]:
        plans = [Chunks(len(mixture), CHUNK, self.overlap) for mixture in mixtures]
        pieces = [plan.cut(mixture) for plan, mixture in zip(plans, mixtures, strict=True)]
        owners = np.repeat(np.arange(len(plans)), [len(piece) for piece in pieces])
        chunks, told = np.concatenate(pieces), conditions[torch.from_numpy(owners).to(self._device)]
        parts = [slice(start, start + AT_ONCE) for start in range(0, len(chunks), AT_ONCE)]
        found = np.concatenate([self._separate(chunks[part], told[part]) for part in parts])
        return [plan.join(found[owners == row]) for row, plan in enumerate(plans)]

    def _separate(self, samples: Audio, conditions: Tensor) -> Audio:
        """Estimates (n, T) of samples (n, T) under conditions (n, size)."""
        x = torch.from_numpy(samples).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            found: Audio = self._network(x, conditions).float().cpu().numpy()
        return found


def read(path: Path, trust_pickle: bool = False) -> published.State:
    """The tensors of a checkpoint of the trainer.

    Raises
    ------
    UsageError
        The file is something else, and what.
    """
    state = published.read(path, trust_pickle)
    if not any(key.startswith(model.SEPARATOR) for key in state):
        raise UsageError(
            f"{path} is not a checkpoint of this method's training (no {model.SEPARATOR}*) "
            f"but {published.what_is(state)}."
        )
    return state


def _is_small(state: published.State) -> bool:
    return any(key.startswith(model.QUERY) for key in state)
