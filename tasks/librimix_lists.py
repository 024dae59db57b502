"""Trials made from LibriMix's CSV: its mixtures as its own script makes them, or from a tree that script has written.

Rules: ``create_librimix_from_metadata.py``, github.com/JorisCos/LibriMix at b898ca3.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from tspbench.prepared.material import ListError, Material
from tspbench.tasks import librispeech
from tspbench.tasks.lass_lists import read_csv
from tspbench.tasks.plain_lists import refuse
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, Trial

SPEECH = tuple(f"source_{k}_{what}" for k in (1, 2) for what in ("path", "gain"))
NOISE = ("noise_path", "noise_gain")
SIDES = (0, 1)
"""Which voice of a mixture is the target."""


@dataclass(frozen=True)
class Voice:
    """One speaker's utterance in a mixture; ``path`` is relative to LibriSpeech (or WHAM, for noise)."""

    path: str
    gain: float

    @cached_property
    def utterance(self) -> str:
        return PurePosixPath(self.path).stem

    @cached_property
    def speaker(self) -> str:
        return librispeech.speaker_of(self.utterance)

    @cached_property
    def chapter(self) -> str:
        return librispeech.chapter_of(self.utterance)

    @property
    def clip(self) -> str:
        return f"librispeech/{self.path}"


@dataclass(frozen=True)
class Mixture:
    """A row of the CSV."""

    name: str
    voices: tuple[Voice, Voice]
    noise: Voice | None

    @property
    def subset(self) -> str:
        """The folder that LibriMix's script writes it to."""
        return PurePosixPath(self.voices[0].path).parts[0].replace("-clean", "")


@dataclass(frozen=True, slots=True)
class Setting:
    """The options that every task of LibriMix has."""

    rate: str
    mode: Literal["min", "max"]
    mix: str
    source: str

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Setting:
        mode = cast(Literal["min", "max"], options["mode"])
        return cls(options["rate"], mode, options["mix"], options.get("source", "librispeech"))

    @property
    def sides(self) -> tuple[int, ...]:
        """mix_single holds the first voice alone."""
        return SIDES[:1] if self.mix == "single" else SIDES

    @property
    def rule(self) -> Mix:
        """How the script mixes; files of a tree are of one length and ready."""
        if self.source == "tree":
            return Mix(length="max", clip="none")
        return Mix(length=self.mode, clip="none", rounding="pcm16", resample="polyphase", precision="float32")

    def file(self, mixture: Mixture, folder: str) -> str:
        """A file of the tree."""
        return f"librimix/wav{self.rate}/{self.mode}/{mixture.subset}/{folder}/{mixture.name}.wav"


Enrol = Callable[[Mixture, int], tuple[Clip, ...]]
"""The enrolment of a voice of a mixture."""
Words = Mapping[str, str]
"""Transcripts by utterance."""
Sided = tuple[Mixture, int]


def read_mixtures(path: Path, setting: Setting) -> dict[str, Mixture]:
    """The rows of a LibriMix CSV by mixture, in order.

    Raises
    ------
    ListError
        A column, a cell or a number is missing, or a mixture comes twice.
    """
    noisy = setting.mix != "clean" and setting.source != "tree"
    rows = read_csv(path, ("mixture_ID", *SPEECH, *(NOISE if noisy else ())))
    mixtures: dict[str, Mixture] = {}
    wrong = []
    for line, (name, *cells) in rows:
        try:
            voices = [Voice(where, _gain(gain)) for where, gain in zip(cells[::2], cells[1::2], strict=True)]
        except ValueError:
            wrong.append(f"line {line}")
            continue
        if name in mixtures:
            raise ListError(f"{path.name}, line {line}: the mixture {name} was already there.")
        mixtures[name] = Mixture(name, (voices[0], voices[1]), voices[2] if noisy else None)
    refuse(path, wrong, "row(s) with a gain that is no positive number")
    odd = [v.path for m in mixtures.values() for v in m.voices if v.utterance.count("-") != 2]
    refuse(path, odd, "source path(s) not named SPEAKER-CHAPTER-NUMBER as LibriSpeech's are")
    return mixtures


def _gain(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def drawn_enrolments(mixtures: Iterable[Mixture]) -> dict[tuple[str, int], Voice]:
    """An enrolment for both voices of every mixture: the rule of the protocol ``disjoint``.

    The candidates for a target are all utterances of its speaker in the list
    but the target itself (the other voice of the mixture is another
    speaker's). Those of other chapters come first: where there is one,
    only they count. Of n candidates in alphabetical order the one at place
    h mod n is taken, h being the first 8 bytes (big-endian) of the sha256 of
    ``<mixture> <target utterance>``.

    Raises
    ------
    ListError
        A speaker has one utterance only.
    """
    mixtures = list(mixtures)
    spoken: dict[str, dict[str, Voice]] = defaultdict(dict)
    for mixture in mixtures:
        for voice in mixture.voices:
            spoken[voice.speaker].setdefault(voice.utterance, voice)
    ordered = {speaker: [own[name] for name in sorted(own)] for speaker, own in spoken.items()}
    lonely = sorted(speaker for speaker, own in ordered.items() if len(own) < 2)
    if lonely:
        shown = ", ".join(lonely[:3])
        raise ListError(f"{len(lonely)} speaker(s) have one utterance only, so none is left to enrol with: {shown}.")
    elsewhere = {
        voice.chapter: [other for other in own if other.chapter != voice.chapter]
        for own in ordered.values()
        for voice in own
    }
    return {
        (mixture.name, side): _drawn(mixture.name, voice, elsewhere[voice.chapter] or ordered[voice.speaker])
        for mixture in mixtures
        for side, voice in enumerate(mixture.voices)
    }


def _drawn(name: str, target: Voice, pool: list[Voice]) -> Voice:
    if pool[0].chapter == target.chapter:
        pool = [voice for voice in pool if voice.utterance != target.utterance]
    number = int.from_bytes(hashlib.sha256(f"{name} {target.utterance}".encode()).digest()[:8])
    return pool[number % len(pool)]


def both_sides(mixtures: Iterable[Mixture], setting: Setting) -> Iterator[Sided]:
    """Mixture by mixture, the first voice first."""
    return ((mixture, side) for mixture in mixtures for side in setting.sides)


@dataclass(frozen=True)
class TrialMaker:
    """Makes the trials of one cell."""

    setting: Setting
    material: Material
    words: Words | None = None

    @cached_property
    def sexes(self) -> Mapping[str, str]:
        return librispeech.sexes(self.material.roots.get("librispeech"))

    def trial(self, mixture: Mixture, side: int, query: QueryRecipe, conditions: Mapping[str, Condition]) -> Trial:
        """The trial that asks for a voice of a mixture."""
        target = mixture.voices[side]
        tree = self.setting.source == "tree"
        return Trial(
            f"{mixture.name}_s{side + 1}",
            tuple(self._recorded(mixture, side) if tree else self._mixed(mixture, side)),
            self.setting.rule,
            query,
            transcript=self.words.get(target.utterance) if self.words is not None else None,
            mixture=Clip(self.setting.file(mixture, f"mix_{self.setting.mix}")) if tree else None,
            conditions=self._conditions(mixture, side) | conditions,
            clusters={"speaker": target.speaker, "utterance": target.utterance, "mixture": mixture.name},
        )

    def _mixed(self, mixture: Mixture, side: int) -> Iterator[Source]:
        single = self.setting.mix == "single"
        for k, voice in enumerate(mixture.voices[: 1 if single else 2]):
            partner = mixture.voices[1].clip if single else None
            yield self._voice(voice, voice.clip, k == side, voice.gain, partner)
        if mixture.noise is not None:
            noise = mixture.noise
            yield Source(f"wham/{noise.path}", gain=noise.gain, channel=0, role=Role.NOISE, extend="crossfade")

    def _recorded(self, mixture: Mixture, side: int) -> Iterator[Source]:
        for k in self.setting.sides:
            yield self._voice(mixture.voices[k], self.setting.file(mixture, f"s{k + 1}"), k == side)
        if self.setting.mix != "clean":
            yield Source(self.setting.file(mixture, "noise"), role=Role.NOISE)

    def _voice(self, voice: Voice, path: str, is_target: bool, gain: float = 1.0, partner: str | None = None) -> Source:
        role = Role.TARGET if is_target else Role.INTERFERER
        words = self.words.get(voice.utterance) if self.words is not None else None
        return Source(path, speaker=voice.speaker, gain=gain, partner=partner, role=role, transcript=words)

    def _conditions(self, mixture: Mixture, side: int) -> dict[str, Condition]:
        target, other = mixture.voices[side], mixture.voices[1 - side]
        spans = [self.material.seconds(voice.clip) for voice in mixture.voices]
        pair = self.sexes.get(target.speaker, "?") + self.sexes.get(other.speaker, "?")
        single = self.setting.mix == "single"
        found: dict[str, Condition] = {
            "speaker": target.speaker,
            "interferer_speaker": None if single else other.speaker,
            "gender_pair": None if single or "?" in pair else pair,
        }
        if spans[0] is not None and spans[1] is not None:
            short, long = sorted((spans[0], spans[1]))
            cut = self.setting.mode == "min"
            found["mixture_s"] = round(short if cut else long, 3)
            found["overlap"] = None if single else 1.0 if cut else round(short / long, 3)
        return found
