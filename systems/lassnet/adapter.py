"""LASS-Net under the System contract."""

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
from tspbench.systems.clap.cache import EmbeddingCache
from tspbench.systems.clap.tokens import Bytes
from tspbench.systems.lassnet import checkpoint as ckpt
from tspbench.systems.lassnet import model
from tspbench.systems.lassnet.captions import Captions, tokenizer_files
from tspbench.systems.seeded import randomise
from tspbench.types import Audio, Query, QueryKind

SEED = 0


class LASSNet(System):
    """A sound described by a caption.

    The authors' script writes estimates at full scale; here they keep the level that the network gives them.

    Parameters
    ----------
    checkpoint, tokenizer
        The published files; None looks below ``TSPBENCH_WEIGHTS``.
    weights
        ``random`` draws them from a seed: for profiling only.
    precision
        ``bfloat16`` computes under autocast, the spectra excepted.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = model.RATE
    queries = frozenset({QueryKind.TEXT})

    def __init__(
        self,
        checkpoint: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["published", "random"] = "published",
        precision: Literal["float32", "bfloat16"] = "float32",
        trust_pickle: bool = False,
    ) -> None:
        self.checkpoint, self.tokenizer = checkpoint, tokenizer
        self.random_weights = SEED if weights == "random" else None
        self.precision, self.trust_pickle = precision, trust_pickle

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        checkpoint, tokenizer = self._located()
        published.refuse_other_files(checkpoint)
        return [checkpoint, *tokenizer_files(tokenizer)]

    def _located(self) -> tuple[Path, Path]:
        card = published.card_of("lassnet")
        found = [published.find(card, name, getattr(self, name)) for name in ("checkpoint", "tokenizer")]
        return found[0], found[1]

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        self._tokens: Bytes | Captions
        if self.random_weights is not None:
            network = randomise(model.build(), self.random_weights)
            self._tokens = Bytes(model.BERT_MINI["vocab_size"])
        else:
            checkpoint, tokenizer = self._located()
            network = ckpt.load(checkpoint, self.trust_pickle)
            most = network.text_embedder.bert_layer.config.max_position_embeddings
            self._tokens = Captions(tokenizer, most)
        self._network = network.to(self._device).eval()
        self._cache = EmbeddingCache()

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        captions = [query.text or "" for query in queries]
        conditions = torch.from_numpy(self._cache.of(captions, str.encode, self._embed)).to(self._device)
        estimates = np.zeros_like(mixtures)
        for length, rows in equal_lengths([model.padded(int(each)) for each in lengths]):
            x = np.zeros((len(rows), length), dtype=np.float32)
            for own, row in zip(x, rows, strict=True):
                own[: lengths[row]] = mixtures[row, : lengths[row]]
            found = self._separate(on_device(x, self._device), conditions[rows])
            estimates[rows] = F.pad(found, (0, mixtures.shape[1] - length)).cpu().numpy()
        return estimates

    def _separate(self, x: Tensor, conditions: Tensor) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            found: Tensor = self._network(x, conditions).float()
            return found

    def _embed(self, captions: Sequence[str]) -> Audio:
        """Conditions (n, size) of some captions."""
        ids, mask = (each.to(self._device) for each in self._tokens(captions))
        found: Audio = self._network.text_embedder(ids, mask).float().cpu().numpy()
        return found
