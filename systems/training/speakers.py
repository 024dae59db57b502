"""Dynamic mixing of speech: two speakers, and another utterance of the first as enrolment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tspbench import audio
from tspbench.corpus import Progress, Recording, read_corpus
from tspbench.errors import UsageError
from tspbench.systems.training.mixing import TRIES, Clips, Mixer
from tspbench.types import Audio, TaskKind

VALIDATION_SEED = 1_000_003
"""Apart from the seeds of trainings."""


@dataclass(frozen=True)
class Speech:
    """Recordings, their speakers and transcripts (None where there is none), in one order."""

    paths: tuple[Path, ...]
    speakers: tuple[str, ...]
    texts: tuple[str | None, ...]

    @classmethod
    def read(cls, csv: Path, progress: Progress | None = None) -> Speech:
        """A CSV with the columns file and speaker, and text if there is any, or a folder of folders.

        Raises
        ------
        UsageError
            It is neither, or something in it is missing.
        """
        corpus = read_corpus(csv, TaskKind.TSE, progress)
        return cls.of(corpus.root, corpus.recordings)

    @classmethod
    def of(cls, root: Path, recordings: tuple[Recording, ...]) -> Speech:
        return cls(
            tuple(root / each.path for each in recordings),
            tuple(each.group for each in recordings),
            tuple(each.transcript or None for each in recordings),
        )

    def split(self, held_back: int) -> tuple[Speech, Speech]:
        """All but the last ``held_back`` utterances of every speaker, and those.

        Raises
        ------
        UsageError
            A speaker would keep fewer than two utterances.
        """
        places = {name: [i for i, each in enumerate(self.speakers) if each == name] for name in set(self.speakers)}
        few = sorted(name for name, found in places.items() if len(found) < held_back + 2)
        if few:
            raise UsageError(
                f"Speaker {few[0]} has {len(places[few[0]])} utterances. {held_back} held back for validation, one to "
                f"extract and one to enrol: {held_back + 2} are needed."
            )
        last = {place for found in places.values() for place in found[len(found) - held_back :]}
        return self.only(set(range(len(self.paths))) - last), self.only(last)

    def only(self, places: set[int]) -> Speech:
        """The utterances at some places."""
        order = sorted(places)
        return Speech(
            tuple(self.paths[place] for place in order),
            tuple(self.speakers[place] for place in order),
            tuple(self.texts[place] for place in order),
        )


def five_decibels(target: Audio, interferer: Audio, rng: np.random.Generator) -> tuple[Audio, Audio]:
    """The target -5 to 5 dB above the interferer, as WSJ0-2mix and Libri2Mix roughly are; a peak above 1 to 0.9."""
    ratio = float(np.sqrt(np.mean(np.square(target)) / np.mean(np.square(interferer))))
    mixture = target + np.float32(ratio * 10 ** (-rng.uniform(-5, 5) / 20)) * interferer
    peak = np.abs(mixture).max()
    scale = np.float32(0.9 / peak if peak > 1 else 1)
    return scale * target, scale * mixture


@dataclass(frozen=True)
class Told:
    """Mixtures and targets (B, T), enrolments (B, S), and which clips the targets are from, (B,)."""

    mixture: Tensor
    target: Tensor
    enrolment: Tensor
    clips: Tensor


@dataclass(frozen=True)
class SpeakerMixer:
    """A mixer of speech that also draws the enrolments. Called with a step, it gives that step's batch.

    Parameters
    ----------
    mixer
        Its groups are the speakers.
    seconds
        Of enrolment; a short one is followed by silence.
    """

    mixer: Mixer
    seconds: float

    def __post_init__(self) -> None:
        speakers = self.mixer.groups
        if speakers is None:
            raise UsageError("Enrolments need to know who speaks in which clip.")
        alone = sorted(name for name in set(speakers) if speakers.count(name) < 2)
        if alone:
            raise UsageError(f"Speaker {alone[0]} has one utterance; one to extract and one to enrol are needed.")

    def __call__(self, step: int) -> Told:
        batch = self.mixer(step)
        rng = np.random.default_rng([self.mixer.seed, 2, step])
        enrolments = np.stack([self._enrolment(int(clip), rng) for clip in batch.clips])
        return Told(batch.mixture, batch.target, torch.from_numpy(enrolments), batch.clips)

    def _enrolment(self, target: int, rng: np.random.Generator) -> Audio:
        speakers, clips = self.mixer.groups, self.mixer.clips
        assert speakers is not None
        others = [place for place, name in enumerate(speakers) if name == speakers[target] and place != target]
        return heard(clips, others, round(self.seconds * clips.rate), rng)


def heard(clips: Clips, places: list[int], length: int, rng: np.random.Generator) -> Audio:
    """A stretch (length,) of any of some clips that is not silent there; a short clip is followed by silence."""
    for _ in range(TRIES):
        samples = clips[int(rng.choice(places))]
        start = int(rng.integers(max(1, len(samples) - length + 1)))
        stretch = samples[start : start + length]
        if stretch.any():
            return audio.fit(stretch, length)
    raise UsageError(f"{clips.paths[places[0]]} and what else that speaker says are silent. Remove them.")


def speaker_mixer(speech: Speech, rate: int, seconds: float, enrolment: float, batch: int, seed: int) -> SpeakerMixer:
    """A mixer of some speech at a rate in Hz, within 5 dB."""
    clips = Clips(speech.paths, rate)
    mixer = Mixer(clips, seconds, batch, level=five_decibels, seed=seed, groups=speech.speakers)
    return SpeakerMixer(mixer, enrolment)


def held_back_trials(held_back: Speech, enrolments: Speech, rate: int, seconds: float, enrolment: float) -> Told:
    """Fixed trials of seen speakers: held-back utterances mixed, each a target twice, told by one trained on."""
    clips, told = Clips(held_back.paths, rate), Clips(enrolments.paths, rate)
    count = 2 * len(held_back.paths)
    batch = Mixer(clips, seconds, count, five_decibels, VALIDATION_SEED, held_back.speakers)(0)
    rng = np.random.default_rng(VALIDATION_SEED)
    chosen = []
    for clip in batch.clips.tolist():
        same = [place for place, name in enumerate(enrolments.speakers) if name == held_back.speakers[clip]]
        chosen.append(heard(told, same, round(enrolment * rate), rng))
    return Told(batch.mixture, batch.target, torch.from_numpy(np.stack(chosen)), batch.clips)
