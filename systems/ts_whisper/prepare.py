"""Mixtures and transcripts to what a training takes, as in the published loader (``data_utils/dataloader.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.systems.training.losses import IGNORED
from tspbench.systems.training.speakers import Speech
from tspbench.systems.training.utterances import Mixed
from tspbench.systems.ts_whisper.speaker import Vectors
from tspbench.systems.ts_whisper.tuning import Tuning
from tspbench.systems.whisper import mel
from tspbench.systems.whisper.text import Encoder
from tspbench.systems.whisper.vocabulary import Vocabulary
from tspbench.types import Query

LANGUAGE = "en"


@dataclass(frozen=True)
class Batch:
    """Features (B, bands, 3000), vectors (B, 512), tokens to feed and tokens to be said, (B, n)."""

    features: Tensor
    vectors: Tensor
    fed: Tensor
    wanted: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(each.to(device) for each in (self.features, self.vectors, self.fed, self.wanted)))


class Told:
    """Where the vectors of speakers come from: a folder of ``SPEAKER.npy``, or an encoder, of another utterance."""

    def __init__(self, folder: Path | None, encoder: str = "") -> None:
        if (folder is None) == (not encoder):
            raise UsageError(
                "Name where the speakers' vectors come from: --vectors FOLDER, with a SPEAKER.npy of 512 numbers for "
                "each speaker, or --encoder, such as wavlm-sv=MODEL; one of the two."
            )
        self._folder, self._vectors = folder, Vectors(encoder)
        self._vectors.load()
        self._of = lru_cache(maxsize=None)(self._read)

    def of(self, speaker: str, path: Path) -> Tensor:
        """Shape (512,), of a speaker who is also heard in a file.

        Raises
        ------
        UsageError
            There is none, or it is of another size.
        """
        return self._of(speaker, path if self._folder is None else Path())

    def _read(self, speaker: str, path: Path) -> Tensor:
        if self._folder is None:
            samples, rate = audio.read(path)
            query = Query(rate, enrolment=(samples,))
        else:
            file = self._folder / f"{speaker}.npy"
            if not file.is_file():
                raise UsageError(f"--vectors {self._folder}: there is no {file.name} for the speaker {speaker}.")
            query = Query(mel.RATE, speaker_vector=audio.read_vector(file))
        return self._vectors.of([query])[0]


class Prepare:
    """Mixtures to batches, for a Whisper that is tuned in some way."""

    def __init__(self, vocabulary: Vocabulary, tuned: Tuning, told: Told) -> None:
        marks, config = vocabulary.marks, tuned.network.config
        self._encode, self._told, self._end = Encoder(vocabulary), told, marks.end
        self._blank, self._bands = tuned.blank, config.num_mel_bins
        previous = (marks.placeholder,) * tuned.length
        self._prefix = marks.prefix(marks.language(LANGUAGE), timestamps=False, previous=previous)
        self._ignored = len(previous)
        self._most = config.max_target_positions - len(self._prefix)
        self.longest_s = (mel.FRAMES - self._blank) * mel.HOP / mel.RATE

    def usable(self, speech: Speech) -> Speech:
        """The utterances with words, short enough for the encoder and for the decoder."""
        return speech.only({place for place, path in enumerate(speech.paths) if self._fits(path, speech.texts[place])})

    def _fits(self, path: Path, text: str | None) -> bool:
        return bool(text) and len(self._tokens(text or "")) <= self._most and audio.probe(path)[0] <= self.longest_s

    def _tokens(self, text: str) -> list[int]:
        return self._encode(text.lower())

    def __call__(self, mixed: Sequence[Mixed], speech: Speech) -> Batch:
        """A batch; ``speech`` is what the mixtures' places are of."""
        cpu = torch.device("cpu")
        rows = [self._tokens(speech.texts[each.target] or "") for each in mixed]
        fed = [torch.tensor([*self._prefix, *row]) for row in rows]
        wanted = [torch.tensor([*self._prefix[1:], *row, self._end]) for row in rows]
        for row in wanted:
            row[: self._ignored] = IGNORED
        vectors = [self._told.of(speech.speakers[each.target], speech.paths[each.enrolment]) for each in mixed]
        return Batch(
            torch.stack([mel.after_blank(each.mixture, self._bands, cpu, self._blank) for each in mixed]),
            torch.stack(vectors),
            pad_sequence(fed, batch_first=True),
            pad_sequence(wanted, batch_first=True, padding_value=IGNORED),
        )
