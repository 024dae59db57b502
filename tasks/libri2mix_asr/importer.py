"""Libri2Mix for target-speaker speech recognition: both voices of every mixture, in max mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from tspbench.prepared.material import Material
from tspbench.tasks import librispeech
from tspbench.tasks.librimix_lists import (
    Mixture,
    Setting,
    Sided,
    TrialMaker,
    Voice,
    both_sides,
    drawn_enrolments,
    read_mixtures,
)
from tspbench.tasks.plain_lists import read_json_lines, refuse
from tspbench.types import Clip, Condition, QueryRecipe, Trial


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    setting = Setting.of(dict(material.options) | {"rate": "16k", "mode": "max"})
    mixtures = read_mixtures(material.lists["mixtures"], setting)
    asked: Iterable[Sided] = both_sides(mixtures.values(), setting)
    words: Mapping[str, str]
    if material.protocol == "ts-whisper":
        asked, words = read_list(_list_of(material, setting), mixtures)
    else:
        words = _transcripts(material, mixtures)
    enrolments = drawn_enrolments(mixtures.values())
    maker = TrialMaker(setting, material, words)
    for mixture, side in asked:
        voice = enrolments[mixture.name, side]
        query, conditions = _query(material, mixture.voices[side], voice)
        yield maker.trial(mixture, side, query, conditions)


def read_list(path: Path, mixtures: Mapping[str, Mixture]) -> tuple[list[Sided], dict[str, str]]:
    """The trials of a TS-Whisper list in its order, and the words of every utterance.

    Raises
    ------
    ListError
        The list and the CSV are not of one set, or a speaker is not in the mixture.
    """
    rows = [texts for _, texts in read_json_lines(path, ("audio_path", "text", "prompt"))]
    named = [(PurePosixPath(audio).stem, text, speaker) for audio, text, speaker in rows]
    unknown = [name for name in dict.fromkeys(name for name, _, _ in named) if name not in mixtures]
    refuse(path, unknown, "mixture(s) that are not in the CSV")
    asked, words, wrong = [], {}, []
    for name, text, speaker in named:
        sides = [side for side, voice in enumerate(mixtures[name].voices) if voice.speaker == speaker]
        if not sides:
            wrong.append(f"{speaker} in {name}")
            continue
        asked.append((mixtures[name], sides[0]))
        words[mixtures[name].voices[sides[0]].utterance] = text
    refuse(path, wrong, "speaker(s) who are not in their mixture")
    return asked, words


def _list_of(material: Material, setting: Setting) -> Path:
    """Both lists hold the same trials; the noisy one counts where it was given and noise is asked."""
    noisy = material.lists.get("noisy")
    return noisy if noisy is not None and setting.mix == "both" else material.lists["trials"]


def _transcripts(material: Material, mixtures: Mapping[str, Mixture]) -> Mapping[str, str]:
    """From TS-Whisper's list where it was given, else from LibriSpeech."""
    given = material.lists.get("transcripts")
    if given is not None:
        return read_list(given, mixtures)[1]
    utterances = {voice.utterance for mixture in mixtures.values() for voice in mixture.voices}
    return librispeech.transcripts(material.roots.get("librispeech"), utterances)


def _query(material: Material, target: Voice, voice: Voice) -> tuple[QueryRecipe, dict[str, Condition]]:
    """What the option ``cue`` tells of the target, and what is known of it."""
    cue = material.options["cue"]
    vector = Clip(f"vectors/{target.speaker}.npy", speaker=target.speaker) if cue in ("vector", "both") else None
    if cue == "vector":
        return QueryRecipe(speaker_vector=vector), {}
    conditions: dict[str, Condition] = {"same_chapter": target.chapter == voice.chapter}
    if (seconds := material.seconds(voice.clip)) is not None:
        conditions["enrolment_s"] = round(seconds, 3)
    return QueryRecipe(enrolment=(Clip(voice.clip, speaker=voice.speaker),), speaker_vector=vector), conditions
