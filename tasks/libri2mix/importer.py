"""Libri2Mix for target speaker extraction, under three ways of choosing the enrolment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tspbench.prepared.material import Material
from tspbench.tasks.librimix_lists import (
    Mixture,
    Setting,
    TrialMaker,
    Voice,
    both_sides,
    drawn_enrolments,
    read_mixtures,
)
from tspbench.tasks.plain_lists import read_fields, refuse
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, Trial

MAP_LINE = "4077-13754-0001_5142-33396-0065 4077-13754-0001 s1/4077-13754-0004_5142-36377-0020"
Enrolments = Mapping[tuple[str, int], tuple[Mixture, int]]
"""Mixture and side to the mixture and side whose voice enrols."""


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    return {"disjoint": _disjoint, "speakerbeam": _speakerbeam, "tselm": _tselm}[material.protocol](material)


def _disjoint(material: Material) -> Iterator[Trial]:
    setting = Setting.of(material.options)
    mixtures = read_mixtures(material.lists["mixtures"], setting)
    enrolments = drawn_enrolments(mixtures.values())
    maker = TrialMaker(setting, material)
    for mixture, side in both_sides(mixtures.values(), setting):
        voice = enrolments[mixture.name, side]
        query = QueryRecipe(enrolment=(Clip(voice.clip, speaker=voice.speaker),))
        seconds = material.seconds(voice.clip)
        yield maker.trial(mixture, side, query, _about(mixture.voices[side], voice, seconds))


def _speakerbeam(material: Material) -> Iterator[Trial]:
    setting = Setting.of(material.options)
    mixtures = read_mixtures(material.lists["mixtures"], setting)
    enrolments = read_map(material.lists["enrolment"], mixtures)
    maker = TrialMaker(setting, material)
    for mixture, side in both_sides(mixtures.values(), setting):
        other, place = enrolments[mixture.name, side]
        voice = other.voices[place]
        conditions = _about(mixture.voices[side], voice, _seconds(material, setting, other, place))
        conditions["enrolment_leak"] = _leak(mixture, side, other, place)
        query = QueryRecipe(enrolment=(_stem(setting, other, place),))
        yield maker.trial(mixture, side, query, conditions)


def _tselm(material: Material) -> Iterator[Trial]:
    """Everything is a file of the publication's own archive, named after the mixture."""
    setting = Setting(rate="16k", mode="min", mix="clean", source="tree")
    for mixture in read_mixtures(material.lists["mixtures"], setting).values():
        target = mixture.voices[0]
        mixed, s1, aux = (f"tselm/{folder}/{mixture.name}.wav" for folder in ("mix_clean", "s1", "aux_s1"))
        conditions: dict[str, Condition] = {"speaker": target.speaker, "interferer_speaker": mixture.voices[1].speaker}
        for name, path in (("mixture_s", mixed), ("enrolment_s", aux)):
            if (seconds := material.seconds(path)) is not None:
                conditions[name] = round(seconds, 3)
        yield Trial(
            f"{mixture.name}_s1",
            (Source(s1, speaker=target.speaker, role=Role.TARGET),),
            Mix(length="max", clip="none"),
            QueryRecipe(enrolment=(Clip(aux, speaker=target.speaker),)),
            mixture=Clip(mixed),
            conditions=conditions,
            clusters={"speaker": target.speaker, "utterance": target.utterance, "mixture": mixture.name},
        )


def read_map(path: Path, mixtures: Mapping[str, Mixture]) -> Enrolments:
    """SpeakerBeam's map: mixture, target utterance, and ``s1/`` or ``s2/`` with the mixture that enrols.

    Raises
    ------
    ListError
        The map and the CSV are not of one set: how many rows, and the first three.
    """
    rows = [fields for _, fields in read_fields(path, 3, MAP_LINE)]
    named = [name for mixture, _, enrolment in rows for name in (mixture, enrolment.partition("/")[2])]
    refuse(path, [n for n in dict.fromkeys(named) if n not in mixtures], "mixture(s) that are not in the CSV")
    found: dict[tuple[str, int], tuple[Mixture, int]] = {}
    wrong = []
    for name, utterance, enrolment in rows:
        sides = [side for side, voice in enumerate(mixtures[name].voices) if voice.utterance == utterance]
        folder, _, other = enrolment.partition("/")
        if sides and folder in ("s1", "s2"):
            found[name, sides[0]] = mixtures[other], int(folder[1]) - 1
        else:
            wrong.append(f"{name} {utterance} {enrolment}")
    refuse(path, wrong, "row(s) whose utterance is not in the mixture, or whose enrolment is not s1/… or s2/…")
    lacking = [f"{name}_s{side + 1}" for name in mixtures for side in (0, 1) if (name, side) not in found]
    refuse(path, lacking, "target(s) of the CSV without an enrolment")
    speakers = [f"{name}_s{side + 1}" for (name, side), (other, k) in found.items()
                if mixtures[name].voices[side].speaker != other.voices[k].speaker]  # fmt: skip
    refuse(path, speakers, "target(s) enrolled with somebody else")
    return found


def _stem(setting: Setting, mixture: Mixture, side: int) -> Clip:
    """A voice as it is in a mixture: LibriMix's file of it, or what that file would hold."""
    voice, partner = mixture.voices[side], mixture.voices[1 - side]
    if setting.source == "tree":
        return Clip(setting.file(mixture, f"s{side + 1}"), speaker=voice.speaker)
    return Clip(voice.clip, speaker=voice.speaker, gain=voice.gain, partner=partner.clip)


def _seconds(material: Material, setting: Setting, mixture: Mixture, side: int) -> float | None:
    """How long the speech of a voice lasts in a mixture (zeros that follow it in max mode do not count)."""
    spans = [material.seconds(mixture.voices[k].clip) for k in (side, 1 - side)]
    if setting.mode == "max" or spans[0] is None:
        return spans[0]
    return None if spans[1] is None else min(spans[0], spans[1])


def _about(target: Voice, enrolment: Voice, seconds: float | None) -> dict[str, Condition]:
    found: dict[str, Condition] = {"same_chapter": target.chapter == enrolment.chapter}
    if seconds is not None:
        found["enrolment_s"] = round(seconds, 3)
    return found


def _leak(mixture: Mixture, side: int, other: Mixture, place: int) -> str:
    """``file``: the target's own file enrols; ``utterance``: the target's utterance from another mixture."""
    if (other.name, place) == (mixture.name, side):
        return "file"
    return "utterance" if other.voices[place].utterance == mixture.voices[side].utterance else "none"
