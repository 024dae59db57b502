"""Whisper under the System contract, and what every system on top of it does alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems import weights as published
from tspbench.systems.whisper import decode, mel, model
from tspbench.systems.whisper.files import WhisperFiles
from tspbench.systems.whisper.vocabulary import Marks, Vocabulary
from tspbench.types import Audio, Query

Size = Literal["mini", "tiny", "base", "small", "medium", "large-v2"]
AT_ONCE = 16
"""Windows in one pass of the network; bounds the memory that a long mixture takes."""
SEED = 0


@dataclass(frozen=True)
class Setup:
    """The options that all these systems share.

    Attributes
    ----------
    whisper, tokenizer
        A folder, a hub id or OpenAI's file; and the vocabulary where it does
        not lie beside. None looks below ``TSPBENCH_WEIGHTS``.
    size
        Of random weights; ``mini`` is not published.
    language
        A code; None asks the network, item by item.
    most
        Tokens of text at most, per window.
    """

    whisper: Path | None
    tokenizer: Path | None
    weights: Literal["published", "random"]
    size: Size
    language: str | None
    timestamps: bool
    most: int
    trust_pickle: bool

    def __post_init__(self) -> None:
        if not 1 <= self.most <= decode.MOST:
            raise UsageError(f"max_tokens={self.most}: between 1 and {decode.MOST}.")


class WhisperSystem(System):
    """A Whisper that is told something, or nothing, beside the mixture.

    Subclasses say what they put in front of the sound (``blank``) and of the
    text (``previous``), and what they do to the network while it hears some
    mixtures (:meth:`_told`).
    """

    sample_rate = mel.RATE
    name = "whisper"
    option = "checkpoint"
    """The option, and the entry of the card, that names Whisper itself."""
    blank: int | None = None
    """Zero frames in front; None: none, and the waveform, not its spectrum, is filled up to 30 s."""
    previous: tuple[int, ...] = ()

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.random_weights = SEED if setup.weights == "random" else None

    # -- weights ---------------------------------------------------------------------------------

    def weight_files(self) -> Sequence[Path]:
        return () if self.random_weights is not None else [*self._located().files(), *self._own_files()]

    def _own_files(self) -> Sequence[Path]:
        """Weight files beside Whisper's own."""
        return ()

    def _located(self) -> WhisperFiles:
        card = published.card_of(self.name)
        return WhisperFiles.locate(card, self.option, self.setup.whisper, self.setup.tokenizer)

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        if self.random_weights is not None:
            dims = model.Dims.named(self.setup.size)
            network, marks = model.randomise(model.build(dims), self.random_weights), Marks.of(dims.tokens)
            vocabulary = Vocabulary.numbers(marks)
        else:
            files = self._located()
            network = self._read(files)
            marks = Marks.of(network.config.vocab_size)
            vocabulary = Vocabulary.read(files.vocabulary, marks)
        self._network, self._marks, self._vocabulary = network, marks, vocabulary
        self._language = None
        if marks.multilingual and self.setup.language is not None:
            self._language = marks.language(self.setup.language)
        self._condition()
        self._network = self._network.to(self._device).eval().requires_grad_(False)

    def _read(self, files: WhisperFiles) -> Any:
        state = files.read(self.setup.trust_pickle)
        model.refuse_random(state, files.weights)
        return read_network(state, files.weights, files.heads())

    def _condition(self) -> None:
        """Load what is told to Whisper, once Whisper itself is there."""

    # -- transcribing ----------------------------------------------------------------------------

    @torch.inference_mode()
    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        """The words. Longer than what is heard at once: window by window, joined by spaces. Silence has none."""
        cut = [list(self._windows(row[:length])) for row, length in zip(mixtures, lengths, strict=True)]
        owners = [row for row, windows in enumerate(cut) for _ in windows]
        features = [window for windows in cut for window in windows]
        texts: list[list[str]] = [[] for _ in queries]
        for start in range(0, len(owners), AT_ONCE):
            some = owners[start : start + AT_ONCE]
            heard = torch.stack([self._features(window) for window in features[start : start + AT_ONCE]])
            for owner, tokens in zip(some, self._hear(heard, [queries[owner] for owner in some]), strict=True):
                texts[owner].append(self._vocabulary.text(tokens))
        return [" ".join(filter(None, said)) for said in texts]

    def _windows(self, samples: Audio) -> Iterator[Audio]:
        frames = mel.FRAMES - (self.blank or 0)
        for start in range(0, len(samples), frames * mel.HOP):
            window = samples[start : start + frames * mel.HOP]
            if window.any():
                yield window

    def _features(self, samples: Audio) -> Tensor:
        bands = self._network.config.num_mel_bins
        if self.blank is None:
            return mel.heard_in_full(samples, bands, self._device)
        return mel.after_blank(samples, bands, self._device, self.blank)

    def _hear(self, features: Tensor, queries: Sequence[Query]) -> list[list[int]]:
        """Tokens of text for features (B, bands, 3000)."""
        with self._told(queries):
            heard = self._network.model.encoder(features).last_hidden_state
            prefix = self._prefix(heard)
            return decode.write_down(self._network, self._marks, heard, prefix, self.setup.timestamps, self.setup.most)

    def _told(self, queries: Sequence[Query]) -> AbstractContextManager[Any]:
        """While this lasts, the network hears mixtures (B,) as told by their queries."""
        return nullcontext()

    def _prefix(self, heard: Tensor) -> Tensor:
        marks, count = self._marks, len(heard)
        languages: list[int | None] = [self._language] * count
        if marks.multilingual and self._language is None:
            languages = list(decode.detect_languages(self._network, marks, heard).tolist())
        rows = [marks.prefix(language, self.setup.timestamps, self.previous) for language in languages]
        return torch.tensor(rows, device=self._device)


def read_network(state: published.State, path: Path, heads: int | None = None) -> Any:
    """Whisper from tensors under either published layout's names.

    Raises
    ------
    UsageError
        It is another model, or something is missing.
    """
    converted = model.convert(state)
    try:
        dims = model.Dims.of(converted, heads)
    except KeyError as error:
        raise UsageError(f"{path} is not Whisper (no {error.args[0]}) but {published.what_is(state)}.") from error
    network = model.build(dims)
    published.load(network, converted, path, model.COMPUTED)
    return network


class Whisper(WhisperSystem):
    """Whisper on the mixture: what it writes down when nobody tells it whom to listen to.

    Greedy, no fallback temperatures, no words carried over from one window of 30 s to the next.

    Parameters
    ----------
    checkpoint
        A folder as transformers writes it, a hub id such as
        ``openai/whisper-large-v2``, or OpenAI's own ``.pt`` file; of any size.
        None looks below ``TSPBENCH_WEIGHTS``.
    tokenizer
        The vocabulary, where it does not lie beside the weights: a folder, or
        a file such as ``multilingual.tiktoken``.
    weights
        ``random`` draws them from a seed: for profiling only.
    size
        Of random weights.
    language
        A code, or ``auto``: what the network takes each mixture for.
    timestamps
        Decode with them; they are written as ``<|1.20|>``, which Whisper's
        normaliser takes out again.
    max_tokens
        Of each window of 30 s.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    def __init__(
        self,
        checkpoint: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["published", "random"] = "published",
        size: Size = "tiny",
        language: str = "en",
        timestamps: bool = False,
        max_tokens: int = decode.MOST,
        trust_pickle: bool = False,
    ) -> None:
        told = None if language == "auto" else language
        super().__init__(Setup(checkpoint, tokenizer, weights, size, told, timestamps, max_tokens, trust_pickle))
