"""gen-tse under the System contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.system import System
from tspbench.systems import weights as published
from tspbench.systems.gen_tse import checkpoint as ckpt
from tspbench.systems.gen_tse import features, model, speaker
from tspbench.systems.gen_tse.config import CAMPPLUS, Config, reduced
from tspbench.systems.gen_tse.text import letters
from tspbench.systems.seeded import randomise
from tspbench.systems.vocoders import hifigan
from tspbench.systems.whisper import decode
from tspbench.systems.whisper.model import Dims
from tspbench.systems.whisper.model import build as build_whisper
from tspbench.systems.whisper.model import randomise as randomise_whisper
from tspbench.systems.whisper.vocabulary import FILES, Marks, Vocabulary, vocabulary_file
from tspbench.types import Audio, Query, QueryKind

RandomSize = Literal["reduced", "tiny", "base", "small", "medium", "large-v2"]
SEED = 0
NAME = "gen-tse"
LANGUAGE = "en"
"""The paper prompts its decoder with English."""


class GenTse(System):
    """Speaks again, and writes down, what the enrolled speaker says in a mixture.

    Beyond 30 s: stretches of 30 s, side by side. Several enrolments are heard
    one after the other. A stretch of silence stays silence.

    Parameters
    ----------
    checkpoint
        Of a training here; none is public. None looks below ``TSPBENCH_WEIGHTS``.
    vocoder, speaker_encoder, tokenizer
        The frozen parts: HiFi-GAN at 22.05 kHz, CAM++, Whisper's vocabulary;
        None looks below ``TSPBENCH_WEIGHTS``. Those that the checkpoint does
        not use are not asked for.
    weights
        ``random`` draws them from a seed: for profiling only.
    size
        Of the Whisper with random weights; ``reduced`` makes every part little,
        for checks, and the others are beside a flow and a vocoder of full size.
    steps
        Of Euler's method; None takes what the checkpoint says, which is 10 by default.
    seed
        Of the noise that the flow starts from, the same for every mixture.
    max_tokens
        Of each stretch's transcript.
    trust_pickle
        Read a vocoder's file that holds more than tensors; such a file can run code.
    """

    sample_rate = features.RATE
    queries = frozenset({QueryKind.ENROLMENT})
    aligned = False

    def __init__(
        self,
        checkpoint: Path | None = None,
        vocoder: Path | None = None,
        speaker_encoder: Path | None = None,
        tokenizer: Path | None = None,
        weights: Literal["trained", "random"] = "trained",
        size: RandomSize = "reduced",
        steps: int | None = None,
        seed: int = 0,
        max_tokens: int = decode.MOST,
        trust_pickle: bool = False,
    ) -> None:
        if steps is not None and steps < 1:
            raise UsageError(f"steps={steps}: Euler's method takes at least one.")
        if not 1 <= max_tokens <= decode.MOST:
            raise UsageError(f"max_tokens={max_tokens}: between 1 and {decode.MOST}.")
        self.paths = {"vocoder": vocoder, "speaker_encoder": speaker_encoder, "tokenizer": tokenizer}
        self.checkpoint, self.trust_pickle = checkpoint, trust_pickle
        self.random_weights = SEED if weights == "random" else None
        self.size, self.steps, self.seed, self.max_tokens = size, steps, seed, max_tokens

    # -- weights ---------------------------------------------------------------------------------

    def weight_files(self) -> Sequence[Path]:
        if self.random_weights is not None:
            return ()
        path = ckpt.find(published.card_of(NAME), self.checkpoint)
        frozen = self._frozen(ckpt.read(path)[0])
        return [path, *frozen.values()]

    def _frozen(self, config: Config) -> dict[str, Path]:
        """The files of the parts that a checkpoint uses and does not hold, by option."""
        used = {
            "vocoder": True,
            "speaker_encoder": config.prompt.speaker_encoder == CAMPPLUS,
            "tokenizer": config.text_branch and not config.letters,
        }
        card = published.card_of(NAME)
        found = {name: published.find(card, name, self.paths[name]) for name, needed in used.items() if needed}
        if "tokenizer" in found:
            file = vocabulary_file(found["tokenizer"])
            if file is None:
                raise UsageError(f"{found['tokenizer']}: no vocabulary of Whisper there; one of {', '.join(FILES)}.")
            found["tokenizer"] = file
        return found

    def load(self, device: str) -> None:
        torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
        self._device = torch.device(device)
        if self.random_weights is not None:
            self._load_random(self.random_weights)
        else:
            self._load_trained()
        config = self._network.config
        self._marks = self._vocabulary.marks
        if self._vocoder.config.bands != config.mel.bands or self._vocoder.hop != config.mel.hop:
            raise UsageError(
                f"The vocoder takes {self._vocoder.config.bands} bands and steps of {self._vocoder.hop} samples, "
                f"this gen-tse makes {config.mel.bands} and {config.mel.hop}."
            )
        self._network = self._network.to(self._device).eval().requires_grad_(False)
        self._vocoder = self._vocoder.to(self._device).eval()

    def _load_random(self, seed: int) -> None:
        little = reduced()
        config = replace(little, prompt=replace(little.prompt, speaker_encoder=CAMPPLUS, speaker_size=192))
        if self.size != "reduced":
            config = Config(whisper=Dims.named(self.size))
        whisper = randomise_whisper(build_whisper(config.whisper), seed)
        self._network = model.build(config, whisper)
        model.randomise(self._network, seed)
        self._vocabulary: Any = Vocabulary.numbers(Marks.of(config.whisper.tokens))
        self._vocoder = randomise(hifigan.build(hifigan.V2 if self.size == "reduced" else hifigan.V1), seed)
        self._speakers = speaker.encoder(config.prompt, None, self._device, seed)

    def _load_trained(self) -> None:
        path = ckpt.find(published.card_of(NAME), self.checkpoint)
        self._network = ckpt.load(path)
        config = self._network.config
        files, marks = self._frozen(config), Marks.of(config.whisper.tokens)
        self._vocabulary = Vocabulary.read(files["tokenizer"], marks) if "tokenizer" in files else letters(marks)
        self._vocoder = hifigan.load(hifigan.read(files["vocoder"], self.trust_pickle), files["vocoder"])
        self._speakers = speaker.encoder(config.prompt, files.get("speaker_encoder"), self._device)

    # -- what it does ----------------------------------------------------------------------------

    @torch.inference_mode()
    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        estimates = np.zeros_like(mixtures)
        for row, (mixture, length, query) in enumerate(zip(mixtures, lengths, queries, strict=True)):
            told = self._told(query)
            gain = features.gain(mixture[:length], self._network.config.level)
            for start, stretch in self._stretches(mixture[:length]):
                spoken = self._spoken(np.float32(gain) * stretch, *told)
                estimates[row, start : start + len(stretch)] = spoken / np.float32(gain)
        return estimates

    @torch.inference_mode()
    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        """The words of each; stretches joined by spaces.

        Raises
        ------
        UsageError
            The checkpoint was trained without the text branch.
        """
        if not self._network.config.text_branch:
            raise UsageError("This gen-tse was trained without its text branch, so it cannot transcribe.")
        texts = []
        for mixture, length, query in zip(mixtures, lengths, queries, strict=True):
            told = self._told(query)
            gain = np.float32(features.gain(mixture[:length], self._network.config.level))
            said = [self._written(gain * stretch, *told) for _, stretch in self._stretches(mixture[:length])]
            texts.append(" ".join(filter(None, said)))
        return texts

    def _told(self, query: Query) -> tuple[Tensor, Tensor]:
        """Enrolment spectrum (1, mels, N) and speaker vector (1, size)."""
        config = self._network.config
        enrolment = np.concatenate([np.zeros(0, np.float32), *query.enrolment])
        vector = speaker.vector(self._speakers, enrolment, config.prompt.speaker_size)
        mel = features.enrolment_mel(enrolment, config, self._device)
        return mel[None], torch.from_numpy(vector)[None].to(self._device)

    def _stretches(self, mixture: Audio) -> Iterator[tuple[int, Audio]]:
        """What is heard at once, and where it begins; without silent ones."""
        window = self._network.config.window
        for start in range(0, len(mixture), window):
            stretch = mixture[start : start + window]
            if stretch.any():
                yield start, stretch

    def _tokens(self, stretch: Audio, enrolment: Tensor, vector: Tensor) -> Tensor:
        config = self._network.config
        mel = features.heard(stretch, config.window, config.whisper.mels, self._device)
        return self._network(mel[None], enrolment, vector)

    def _spoken(self, stretch: Audio, enrolment: Tensor, vector: Tensor) -> Audio:
        config = self._network.config
        count, frames = features.frames(len(stretch), config)
        tokens = self._tokens(stretch, enrolment, vector)[:, config.prompt.length :][:, :count]
        # By rows, so that the beginning does not depend on how long the whole is.
        noise = np.random.default_rng(self.seed).standard_normal((1, frames, config.mel.bands), dtype=np.float32)
        start = torch.from_numpy(noise).to(self._device)
        mel = self._network.speak(tokens, vector, start, self.steps or config.flow.steps)
        samples = self._vocoder(mel)[0].cpu().numpy()
        return audio.fit(audio.resample(samples, config.mel.rate, features.RATE), len(stretch))

    def _written(self, stretch: Audio, enrolment: Tensor, vector: Tensor) -> str:
        network, marks = self._network, self._marks
        heard = network.for_decoder(self._tokens(stretch, enrolment, vector))
        prefix = torch.tensor([text_prefix(marks)], device=self._device)
        (tokens,) = decode.write_down(network.whisper, marks, heard, prefix, most=self.max_tokens)
        return str(self._vocabulary.text(tokens))


def text_prefix(marks: Marks) -> list[int]:
    """What stands in front of every text: start of transcript, English, transcribe, no timestamps."""
    return marks.prefix(marks.language(LANGUAGE) if marks.multilingual else None, timestamps=False)
