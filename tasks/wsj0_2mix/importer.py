"""WSJ0-2mix for target speaker extraction: SpEx+'s list of both speakers, and the list called -extr.

Mixtures are read from a tree that the publication's scripts have written. They
are not made from WSJ0 here: both scripts bring every utterance to the same
active speech level with Voicebox's ``activlev`` after Matlab's ``resample``,
and without either no rendering could be shown to equal theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tspbench.prepared.material import ListError, Material
from tspbench.tasks.plain_lists import read_fields, refuse
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, Trial

READY = Mix(length="max", clip="none")
"""The files of a tree are of one length and at their level."""
KEY_LINE = (
    "052a050b_0.60383_443c020a_-0.60383_052c010r /data/wsj0_2mix/min/tt/mix/052a050b_0.60383_443c020a_-0.60383.wav"
)
EXTR_LINE = (
    "wsj0/si_et_05/445/445c0206.wv1 0.60431 wsj0/si_dt_05/22g/22gc0105.wv1 -0.60431 wsj0/si_et_05/445/445o030e.wv1"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What the name of a mixture says: two utterances, and the level of each in dB."""

    utterances: tuple[str, str]
    levels: tuple[float, float]

    @classmethod
    def of(cls, name: str) -> Pair:
        """ValueError where a name is not ``utterance_level_utterance_level``."""
        first, its, second, others = name.split("_")
        return cls((first, second), (float(its), float(others)))

    def speaker(self, side: int) -> str:
        return self.utterances[side][:3]

    def conditions(self, side: int) -> dict[str, Condition]:
        return {
            "speaker": self.speaker(side),
            "interferer_speaker": self.speaker(1 - side),
            "snr_db": round(self.levels[side] - self.levels[1 - side], 5),
        }


def trials(material: Material) -> Iterator[Trial]:
    """See :class:`tspbench.prepared.material.Importer`."""
    return {"two-sided": _two_sided, "extr": _extr}[material.protocol](material)


def _two_sided(material: Material) -> Iterator[Trial]:
    table = _scp(material.lists["mix"])
    refs, auxes = (_scp(material.lists[role], table) for role in ("ref", "aux"))
    sides = _sides(material.lists["ref"], refs, table)
    pairs = _pairs(material.lists["mix"], {key: PurePosixPath(path).stem for key, path in table.items()})
    tree = f"wsj0-2mix/wav{material.options['rate']}/{material.options['mode']}/tt"
    for key, (name, pair) in pairs.items():
        side = sides[key]
        sources = tuple(
            Source(f"{tree}/s{k + 1}/{name}.wav", speaker=pair.speaker(k),
                   role=Role.TARGET if k == side else Role.INTERFERER)
            for k in (0, 1)
        )  # fmt: skip
        aux = PurePosixPath(auxes[key])
        folder = aux.parts[-3].removesuffix("_8k")
        enrolment = Clip(f"wsj0/{folder}/{aux.parts[-2]}/{aux.stem}.wv1", speaker=pair.speaker(side))
        mixture = Clip(f"{tree}/mix/{name}.wav")
        yield _trial(material, key, name, pair, side, sources, mixture, enrolment)


def _extr(material: Material) -> Iterator[Trial]:
    path = material.lists["trials"]
    rows = read_fields(path, 5, EXTR_LINE)
    stems = {
        number: (
            PurePosixPath(target).stem,
            _five(its),
            PurePosixPath(other).stem,
            _five(others),
            PurePosixPath(aux).stem,
        )
        for number, (target, its, other, others, aux) in rows
    }
    pairs = _pairs(path, {f"line {number}": "_".join(parts[:4]) for number, parts in stems.items()})
    tree = "wsj0-2mix-extr/wav8k/max/tt"
    for (name, pair), parts in zip(pairs.values(), stems.values(), strict=True):
        key = "_".join(parts)
        mixed, s1, aux = (f"{tree}/{folder}/{key}.wav" for folder in ("mix", "s1", "aux"))
        target = Source(s1, speaker=pair.speaker(0), role=Role.TARGET)
        yield _trial(material, key, name, pair, 0, (target,), Clip(mixed), Clip(aux, speaker=pair.speaker(0)))


def _trial(
    material: Material,
    key: str,
    name: str,
    pair: Pair,
    side: int,
    sources: tuple[Source, ...],
    mixture: Clip,
    enrolment: Clip,
) -> Trial:
    conditions = pair.conditions(side)
    for condition, clip in (("mixture_s", mixture), ("enrolment_s", enrolment)):
        if (seconds := material.seconds(clip.path)) is not None:
            conditions[condition] = round(seconds, 3)
    clusters = {"speaker": pair.speaker(side), "utterance": pair.utterances[side], "mixture": name}
    return Trial(key, sources, READY, QueryRecipe(enrolment=(enrolment,)), mixture=mixture, conditions=conditions,
                 clusters=clusters)  # fmt: skip


def _scp(path: Path, like: dict[str, str] | None = None) -> dict[str, str]:
    """Key to path; ListError where the keys are not those of another list."""
    rows = read_fields(path, 2, KEY_LINE)
    table = {key: where for _, (key, where) in rows}
    if len(table) < len(rows):
        raise ListError(f"{path.name}: {len(rows) - len(table):,} key(s) come twice.")
    short = [key for key, where in table.items() if len(PurePosixPath(where).parts) < 3]
    refuse(path, short, "path(s) without the two folders above the file")
    if like is not None:
        refuse(path, [key for key in like if key not in table], "key(s) of the mixtures' list are not in it")
        refuse(path, [key for key in table if key not in like], "key(s) that are not in the mixtures' list")
    return table


def _sides(path: Path, refs: dict[str, str], mixes: dict[str, str]) -> dict[str, int]:
    """Which voice is asked for, told by the folder of the reference."""
    sides = {"s1": 0, "s2": 1}
    folders = {key: PurePosixPath(where).parts[-2] for key, where in refs.items()}
    refuse(path, [key for key, folder in folders.items() if folder not in sides], "reference(s) not in s1 or s2")
    other = [k for k, where in refs.items() if PurePosixPath(where).name != PurePosixPath(mixes[k]).name]
    refuse(path, other, "reference(s) of another mixture")
    return {key: sides[folder] for key, folder in folders.items()}


def _pairs(path: Path, names: dict[str, str]) -> dict[str, tuple[str, Pair]]:
    found, wrong = {}, []
    for key, name in names.items():
        try:
            found[key] = name, Pair.of(name)
        except ValueError:
            wrong.append(name)
    refuse(path, wrong, "mixture(s) not named utterance_level_utterance_level")
    return found


def _five(text: str) -> str:
    """A number as the publication's script writes it into names: five significant digits."""
    try:
        return f"{float(text):.5g}"
    except ValueError:
        return text
