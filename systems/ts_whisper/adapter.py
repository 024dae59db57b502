"""TS-Whisper and its baselines under the System contract."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tspbench.errors import UsageError
from tspbench.systems import weights as published
from tspbench.systems.seeded import randomise, seeded
from tspbench.systems.ts_whisper import lora, prompts
from tspbench.systems.ts_whisper.speaker import HINT, Vectors
from tspbench.systems.whisper import decode, model
from tspbench.systems.whisper.adapter import SEED, Setup, Size, WhisperSystem
from tspbench.systems.whisper.text import letters
from tspbench.types import Query, QueryKind

DETECT = "evaluation_pt"
"""The language as the published script has it: what the network takes each mixture for."""
LENGTH = 16
"""Of random prompts; the published command line's."""


class TargetWhisper(WhisperSystem):
    """A Whisper that is told a speaker vector. Options as for :class:`TSWhisper`."""

    queries = frozenset({QueryKind.SPEAKER_VECTOR})
    hint = HINT
    option = "whisper"

    def __init__(
        self,
        checkpoint: Path | None = None,
        whisper: Path | None = None,
        tokenizer: Path | None = None,
        encoder: str = "",
        weights: Literal["published", "random"] = "published",
        size: Size = "tiny",
        language: str = "en",
        timestamps: bool = False,
        max_tokens: int = decode.MOST,
        trust_pickle: bool = False,
    ) -> None:
        told = None if language == DETECT else language
        super().__init__(Setup(whisper, tokenizer, weights, size, told, timestamps, max_tokens, trust_pickle))
        self.checkpoint = checkpoint
        self.vectors = Vectors(encoder)
        self.queries = self.vectors.queries

    @property
    def drawn(self) -> bool:
        """Is what was trained random, too? Otherwise it was trained on random weights, to try the trainer."""
        return self.random_weights is not None and self.checkpoint is None

    def weight_files(self) -> Sequence[Path]:
        trial = self.random_weights is not None and not self.drawn
        return self._own_files() if trial else super().weight_files()

    def _find(self, option: str, given: Path | None) -> Path:
        path = published.find(published.card_of(self.name), option, given)
        published.refuse_other_files(path)
        return path

    def _own_files(self) -> Sequence[Path]:
        return [self._find("checkpoint", self.checkpoint), *self.vectors.files()]

    def _tuned(self, option: str, given: Path | None) -> tuple[Path, published.State]:
        path = self._find(option, given)
        state = published.read(path, self.setup.trust_pickle)
        model.refuse_random(state, path, self.random_weights)
        return path, {name: tensor for name, tensor in state.items() if name != model.MARK}

    def _condition(self) -> None:
        model.refuse_unpromptable(model.Dims.of(self._network.state_dict()))
        if self.vectors.encoder:
            print(f"speaker vectors: {self.vectors.encoder}, {self.vectors.load()}")
        if self.random_weights is not None and not self.drawn:
            self._vocabulary = letters(self._marks)
        self._tune()

    def _tune(self) -> None:
        """Load what was trained beside Whisper, or into it."""
        raise NotImplementedError

    def _speakers(self, queries: Sequence[Query]) -> Tensor:
        return self.vectors.of(queries).to(self._device)


class TSWhisper(TargetWhisper):
    """Whisper, frozen, and prompts that turn it towards the speaker of a vector.

    Parameters
    ----------
    checkpoint
        The prompts, as the published script saves them: of training (with the
        MLPs, which are folded in), or deployed.
    whisper, tokenizer
        The Whisper they were trained on: a folder as transformers writes it, a
        hub id, or OpenAI's ``.pt`` beside its vocabulary. None looks below
        ``TSPBENCH_WEIGHTS``.
    encoder
        A speaker encoder of 512 numbers for trials that come with an enrolment
        instead of a vector: ``wavlm-sv=MODEL``. The published vectors are
        x-vectors; others need prompts that were trained with them.
    weights
        ``random`` draws them from a seed: for profiling only. With
        ``checkpoint``, Whisper's alone: for what the trainer made of such a
        Whisper.
    size
        Of random weights; ``mini`` is not published.
    language
        A code, or ``evaluation_pt``: as in the published script of that name,
        what the network takes each mixture for.
    timestamps
        Decode with them; they are written as ``<|1.20|>``, which Whisper's
        normaliser takes out again.
    max_tokens
        Of each window.
    trust_pickle
        Read files that hold more than tensors; such a file can run code.
    """

    name = "ts-whisper"

    def _tune(self) -> None:
        config = self._network.config
        if self.drawn:
            shape = prompts.Shape(config.d_model, LENGTH, config.encoder_layers)
            module = randomise(prompts.build(shape), SEED)
        else:
            module = self._prompts(*self._tuned("checkpoint", self.checkpoint))
        self._prompts_module = module.to(self._device)
        length = module.soft_prompt_extra_encoder.shape[1]
        self.blank = 2 * (length + 1)
        self.previous = (self._marks.placeholder,) * length

    def _prompts(self, path: Path, state: published.State) -> prompts.Prompts:
        try:
            deployed = prompts.convert(state)
        except UsageError as error:
            raise UsageError(f"{path} is {error} It looks like {published.what_is(state)}.") from error
        shape = prompts.Shape.of(deployed)
        prompts.refuse_other_backbones(shape, self._network.config)
        module = prompts.build(shape)
        odd = {key: tensor for key, tensor in state.items() if not key.startswith(prompts.MLPS)}
        published.load(module, odd | deployed, path)
        return module

    def _told(self, queries: Sequence[Query]) -> AbstractContextManager[Any]:
        return prompts.inserted(self._network, self._prompts_module(self._speakers(queries)))


class TSWhisperFull(TargetWhisper):
    """A Whisper that was tuned as a whole; the speaker takes the place of its first frame.

    Parameters
    ----------
    checkpoint
        The speaker's projection (``spk_embedding1``). One file may hold it and
        the tuned Whisper: name it twice.
    whisper, tokenizer
        The tuned Whisper, in any layout that :class:`TSWhisper` takes.
    encoder, weights, size, language, timestamps, max_tokens, trust_pickle
        As for :class:`TSWhisper`.
    """

    name = "ts-whisper-full"
    blank = 2

    def _own_files(self) -> Sequence[Path]:
        whisper = self.setup.whisper
        trial = self.random_weights is not None and whisper is not None
        return [*super()._own_files(), *([self._find("whisper", whisper)] if trial else [])]

    def _tune(self) -> None:
        if self.random_weights is not None and self.setup.whisper is not None:  # it was random before it was tuned
            path, state = self._tuned("whisper", self.setup.whisper)
            published.load(self._network, model.convert(state), path, model.COMPUTED)
        self._load_speaker("checkpoint", self.checkpoint)

    def _load_speaker(self, option: str, given: Path | None) -> None:
        self._speaker = nn.Linear(prompts.VECTOR, self._network.config.d_model).eval()
        if self.drawn:
            randomise(self._speaker, SEED, lambda name: f"{lora.SPEAKER}.{name}")
        else:
            path, state = self._tuned(option, given)
            found = {key.rpartition(".")[2]: tensor for key, tensor in state.items() if f"{lora.SPEAKER}." in key}
            if len(found) < 2:
                raise UsageError(f"{path} holds no {lora.SPEAKER}.weight and .bias but {published.what_is(state)}.")
            published.load(self._speaker, found, path)
        self._speaker.to(self._device)

    def _told(self, queries: Sequence[Query]) -> AbstractContextManager[Any]:
        return lora.speaker_in_front(self._network, self._speaker(self._speakers(queries)))


class TSWhisperLoRA(TSWhisperFull):
    """Whisper with low-rank updates of its queries and values, folded in; the speaker as its first frame.

    Parameters
    ----------
    checkpoint
        The updates, as the published script saves them (``lora_…``).
    speaker
        The speaker's projection (``spk_adapt_…``).
    whisper, tokenizer, encoder, weights, size, language, timestamps, max_tokens, trust_pickle
        As for :class:`TSWhisper`.
    """

    name = "ts-whisper-lora"

    def __init__(
        self,
        checkpoint: Path | None = None,
        speaker: Path | None = None,
        whisper: Path | None = None,
        tokenizer: Path | None = None,
        encoder: str = "",
        weights: Literal["published", "random"] = "published",
        size: Size = "tiny",
        language: str = "en",
        timestamps: bool = False,
        max_tokens: int = decode.MOST,
        trust_pickle: bool = False,
    ) -> None:
        super().__init__(
            checkpoint, whisper, tokenizer, encoder, weights, size, language, timestamps, max_tokens, trust_pickle
        )
        self.speaker = speaker

    def _own_files(self) -> Sequence[Path]:
        return [*super()._own_files(), self._find("speaker", self.speaker)]

    def _tune(self) -> None:
        self._load_speaker("speaker", self.speaker)
        if self.drawn:
            width = self._network.config.d_model
            shapes = dict.fromkeys(lora.expected(self._network), (lora.RANK, width))
            shapes |= {place: (width, lora.RANK) for place in shapes if place.endswith("lora_B")}
            updates = {place: torch.from_numpy(seeded(place, shape, SEED)) for place, shape in shapes.items()}
            lora.fold(self._network, updates)
            return
        path, state = self._tuned("checkpoint", self.checkpoint)
        if not any("lora_" in key for key in state):
            raise UsageError(f"{path} holds no lora_A and lora_B but {published.what_is(state)}.")
        try:
            lora.fold(self._network, state)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
