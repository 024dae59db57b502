"""CLAPSep under the System contract."""

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
from tspbench.systems.batches import on_device
from tspbench.systems.clap.encoder import HTSAT_BASE, Clap, random_clap
from tspbench.systems.clap.files import ClapFiles, load_clap
from tspbench.systems.clap.frontend import resample
from tspbench.systems.clap.tokens import Bytes, Roberta
from tspbench.systems.clapsep import checkpoint as ckpt
from tspbench.systems.clapsep import model
from tspbench.systems.clapsep.chunks import Chunks
from tspbench.systems.seeded import randomise
from tspbench.types import Audio, Query, QueryKind

CHUNK = 10 * model.RATE
"""Samples: what it was trained on. The network itself ends at 10.23 s."""
AT_ONCE = 8
"""Chunks in one pass of the network; bounds the memory that a long mixture takes."""
SEED = 0


class CLAPSep(System):
    """A sound described by captions, by examples, or by both; and what is not wanted, likewise.

    Each side of the condition is the sum of CLAP's vector of the caption and
    the mean vector of the examples; what is not given counts as zero.

    Parameters
    ----------
    checkpoint, clap, tokenizer
        The published files; None looks below ``TSPBENCH_WEIGHTS``. ``clap`` may
        also be a folder or a hub repository as transformers writes them.
    weights
        ``random`` draws them from a seed: for profiling only.
    condition
        ``app`` divides it by its norm, as the authors' demo application and
        their training do; ``test_script`` does not, as the script behind their
        published numbers.
    chunks
        For more than ten seconds. ``overlap_add`` lets chunks overlap by
        ``overlap_s`` and fades them into one another; ``app`` puts chunks side
        by side, as the demo application does.
    precision
        ``bfloat16`` computes under autocast, the spectra excepted.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    sample_rate = model.RATE
    queries = frozenset({QueryKind.TEXT, QueryKind.NEGATIVE_TEXT, QueryKind.AUDIO, QueryKind.NEGATIVE_AUDIO})

    def __init__(
        self,
        checkpoint: Path | None = None,
        clap: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["published", "random"] = "published",
        condition: Literal["app", "test_script"] = "app",
        chunks: Literal["overlap_add", "app"] = "overlap_add",
        overlap_s: float = 1.0,
        precision: Literal["float32", "bfloat16"] = "float32",
        trust_pickle: bool = False,
    ) -> None:
        if not 0 < overlap_s <= 5:
            raise UsageError(f"overlap_s={overlap_s:g}: more than 0 and at most 5 seconds. No overlap: chunks=app.")
        self.checkpoint, self.clap, self.tokenizer = checkpoint, clap, tokenizer
        self.random_weights = SEED if weights == "random" else None
        self.condition, self.precision, self.trust_pickle = condition, precision, trust_pickle
        self.overlap = round(overlap_s * model.RATE) if chunks == "overlap_add" else 0

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        checkpoint, files = self._located()
        published.refuse_other_files(checkpoint)
        return [checkpoint, *files.files()]

    def _located(self) -> tuple[Path, ClapFiles]:
        card = published.card_of("clapsep")
        return published.find(card, "checkpoint", self.checkpoint), ClapFiles.locate(card, self.clap, self.tokenizer)

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        if self.random_weights is not None:
            network = randomise(model.build(), self.random_weights)
            clap = random_clap(HTSAT_BASE, self.random_weights)
            tokens: Bytes | Roberta = Bytes(clap.config.text_config.vocab_size)
        else:
            checkpoint, files = self._located()
            base = files.read(self.trust_pickle)
            network = ckpt.load(ckpt.read(checkpoint, self.trust_pickle), base, checkpoint)
            clap, tokens = load_clap(files, base), Roberta(files.tokenizer)
        self._network = network.to(self._device).eval()
        self._clap = Clap(clap.to(self._device), tokens)

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        conditions = torch.stack([self._condition(query) for query in queries])
        plans = [Chunks(int(length), CHUNK, self.overlap) for length in lengths]
        gains = [_headroom(mixture[:length]) for mixture, length in zip(mixtures, lengths, strict=True)]
        pieces = [
            plan.cut(mixture[: plan.length] * gain) for plan, mixture, gain in zip(plans, mixtures, gains, strict=True)
        ]
        owners = np.repeat(np.arange(len(plans)), [len(piece) for piece in pieces])
        found = self._separate(np.concatenate(pieces), conditions[torch.from_numpy(owners).to(self._device)])
        estimates = np.zeros_like(mixtures)
        for row, (plan, gain) in enumerate(zip(plans, gains, strict=True)):
            estimates[row, : plan.length] = plan.join(found[owners == row]) / gain
        return estimates

    def _separate(self, chunks: Audio, conditions: Tensor) -> Audio:
        """Estimates (n, CHUNK) for chunks and their conditions (n, size)."""
        found = []
        for start in range(0, len(chunks), AT_ONCE):
            x = on_device(chunks[start : start + AT_ONCE], self._device)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                found.append(self._network(x, conditions[start : start + AT_ONCE]).float().cpu().numpy())
        return np.concatenate(found)

    def _condition(self, query: Query) -> Tensor:
        sides = [
            self._side(query.text, query.audio, query.sample_rate),
            self._side(query.negative_text, query.negative_audio, query.sample_rate),
        ]
        whole = torch.cat(sides)
        return F.normalize(whole, dim=0) if self.condition == "app" else whole

    def _side(self, text: str | None, examples: Sequence[Audio], rate: int) -> Tensor:
        size: int = self._clap.model.config.projection_dim
        found = torch.zeros(size, device=self._device)
        if text and text.strip():
            found = found + self._clap.text([text])[0]
        heard = [
            resample(torch.from_numpy(x)[None], rate, self._clap.sample_rate)[0].numpy() for x in examples if len(x)
        ]
        if heard:
            found = found + F.normalize(self._clap.audio(heard).mean(dim=0), dim=0)
        return found


def _headroom(mixture: Audio) -> np.float32:
    """The gain that the demo application applies to what is louder than full scale; undone in the estimate."""
    peak = np.abs(mixture).max(initial=0)
    return np.float32(0.9) / peak if peak > 1 else np.float32(1)
