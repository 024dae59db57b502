"""Trials drawn from a corpus: who is the target, who interferes, what is said about the target.

Every trial mixes a target with one interferer of another label or speaker. No
recording has two roles in a trial: an example or an enrolment is never the
target, the interferer, or a copy of either. Targets are spread evenly over
labels or speakers, then over their files; so are interferers and queries, as
far as the rules allow. All draws come from the seed alone.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tspbench.activity import with_cue
from tspbench.corpus import GROUP_COLUMN, Corpus, Recording, refuse
from tspbench.errors import UsageError
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, TaskKind, Trial

T = TypeVar("T")
Length = Literal["target", "min", "max"] | float
Pairs = frozenset[frozenset[str]]

LEVEL: dict[TaskKind, Literal["energy", "rms"]] = {TaskKind.LASS: "energy", TaskKind.TSE: "rms", TaskKind.TSASR: "rms"}
"""For lass the ratio is of energies, as in the published caption tests. For tse and tsasr it is of mean squares over
the span that each utterance covers: how loud two people talk. Under the energy rule a short utterance would shout over
a long one."""
ABSENT_TRANSCRIPT = {TaskKind.LASS: None, TaskKind.TSE: None, TaskKind.TSASR: ""}
"""Of a speaker who is not there, nothing is to be written down."""
EXAMPLES = 2
"""Most audio examples of one label in one trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is drawn. ``absent`` trials come on top; labels or speakers of a pair in ``apart`` never meet.

    With ``activity`` every trial offers an oracle's activity mask, too.

    Raises
    ------
    UsageError
        A number that makes no sense.
    """

    trials: int
    snr: tuple[float, float]
    seed: int = 0
    absent: int = 0
    length: Length
    apart: Pairs = field(default_factory=frozenset)
    activity: bool = False

    def __post_init__(self) -> None:
        low, high = self.snr
        if self.trials < 1:
            raise UsageError(f"--trials must be at least 1, got {self.trials}.")
        if self.absent < 0:
            raise UsageError(f"--absent must not be negative, got {self.absent}.")
        if not (math.isfinite(low) and math.isfinite(high)):
            raise UsageError(f"--snr takes two finite numbers in dB, got {low:g} {high:g}.")
        if low > high:
            raise UsageError(f"--snr: the lower end comes first, got {low:g} {high:g}. Write --snr {high:g} {low:g}.")


def draw(corpus: Corpus, rules: Rules) -> list[Trial]:
    """The trials of a corpus, the same for the same seed; fewer trials are a prefix of more.

    Raises
    ------
    UsageError
        The corpus is too small for the rules.
    """
    _check_corpus(corpus, rules)
    casting = _Casting(corpus, rules)
    present = [casting.present(number) for number in range(1, rules.trials + 1)]
    return present + [casting.absent(rules.trials + number) for number in range(1, rules.absent + 1)]


class _Casting:
    """Hands out the roles of one trial after another: what was used least comes first, ties by chance."""

    def __init__(self, corpus: Corpus, rules: Rules) -> None:
        self.kind, self.rules = corpus.kind, rules
        self.groups = corpus.groups()
        self.targets = {group: files for group, listed in self.groups.items() if (files := _targets(listed, self.kind))}
        self.random = random.Random(rules.seed)
        self.uses: Counter[Hashable] = Counter()

    def present(self, number: int) -> Trial:
        group = self.pick(list(self.targets), lambda name: ("target group", name))
        target = self.pick(self.targets[group], lambda file: ("target", file.path))
        other = self.other(group, [group])
        interferer = self.file("interferer", other, [target])
        sources = (_source(target, self.kind, Role.TARGET), _source(interferer, self.kind))
        return self.trial(f"{number:04d}-{slug(group)}+{slug(other)}", sources, [target, interferer], group, self.snr())

    def absent(self, number: int) -> Trial:
        """Two sources, and a query for a third label or speaker."""
        group = self.pick(list(self.groups), lambda name: ("asked group", name))
        one = self.other(group, [group])
        two = self.other(group, [group, one])
        heard = [self.file("interferer", name, []) for name in (one, two)]
        sources = tuple(_source(recording, self.kind) for recording in heard)
        return self.trial(f"{number:04d}-absent-{slug(group)}", sources, heard, group, None)

    def snr(self) -> float:
        # Only random() is promised to give the same numbers under every Python.
        low, high = self.rules.snr
        return min(high, max(low, round(low + (high - low) * self.random.random(), 2)))

    def trial(
        self, trial_id: str, sources: tuple[Source, ...], heard: list[Recording], group: str, snr_db: float | None
    ) -> Trial:
        present = snr_db is not None
        length = "max" if not present and self.rules.length == "target" else self.rules.length
        span, overlap = _span(length, [recording.seconds for recording in heard])
        conditions: dict[str, Condition] = {"snr_db": snr_db, "mixture_s": round(span, 3), "target_present": present}
        others = heard[1:] if present else heard
        if self.kind is TaskKind.LASS:
            query = self.sound_query(group, heard, heard[0] if present else None)
            conditions |= {"class": group, "interferer_class": others[0].group if present else "several"}
            clusters = {"clip": heard[0].path, "class": group}
        else:
            enrolment = self.file("enrolment", group, heard)
            query = QueryRecipe(enrolment=(_clip(enrolment, self.kind),))
            conditions |= {"speaker": group, "interferer_speaker": others[0].group if present else "several"}
            conditions |= {"gender_pair": _gender_pair(heard) if present else None, "overlap": round(overlap, 3)}
            conditions |= {"enrolment_s": round(enrolment.seconds, 3)}
            clusters = {"speaker": group, "utterance": heard[0].path}
        return Trial(
            trial_id=trial_id,
            sources=sources,
            mix=Mix(snr_db=snr_db, level=LEVEL[self.kind], length=length),
            query=with_cue(query, "enrolment+activity") if self.rules.activity else query,
            transcript=sources[0].transcript if present else ABSENT_TRANSCRIPT[self.kind],
            conditions=conditions,
            clusters=clusters,
        )

    def sound_query(self, group: str, heard: list[Recording], target: Recording | None) -> QueryRecipe:
        """What is asked for and what is not: words, and other recordings of the same labels."""
        others = [recording for recording in heard if recording is not target]
        wanted = EXAMPLES if target else 1
        negative = [example for other in others for example in self.examples(other.group, heard, wanted)]
        return QueryRecipe(
            text=(target.caption if target else None) or _words(group),
            negative_text=" and ".join(other.caption or _words(other.group) for other in others),
            audio=tuple(_clip(example, self.kind) for example in self.examples(group, heard, EXAMPLES)),
            negative_audio=tuple(_clip(example, self.kind) for example in negative),
        )

    def examples(self, group: str, taken: Sequence[Recording], most: int) -> list[Recording]:
        found: list[Recording] = []
        while len(found) < most and _others(self.groups[group], [*taken, *found]):
            found.append(self.file("example", group, [*taken, *found]))
        return found

    def other(self, group: str, met: list[str]) -> str:
        """A label or speaker to mix in that may meet all of some others."""
        free = [name for name in self.groups if _may_meet(name, met, self.rules.apart)]
        if not free:
            raise UsageError(f"Nothing is left to be mixed with {' and '.join(met)}: all others are to be kept apart.")
        return self.pick(free, lambda name: ("pair", group, name), lambda name: ("interferer group", name))

    def file(self, role: str, group: str, taken: Sequence[Recording]) -> Recording:
        """A recording of a group that has no other role in the trial."""
        return self.pick(_others(self.groups[group], taken), lambda file: (role, file.path))

    def pick(self, candidates: Sequence[T], *roles: Callable[[T], Hashable]) -> T:
        """The candidate used least in the first role, then in the next; chance decides between equals."""
        uses = [tuple(self.uses[role(candidate)] for role in roles) for candidate in candidates]
        least = min(uses)
        equals = [candidate for candidate, used in zip(candidates, uses, strict=True) if used == least]
        chosen = equals[int(self.random.random() * len(equals))]
        self.uses.update(role(chosen) for role in roles)
        return chosen


def _targets(listed: list[Recording], kind: TaskKind) -> list[Recording]:
    return [recording for recording in listed if kind is not TaskKind.TSASR or recording.transcript]


def _others(listed: Sequence[Recording], taken: Sequence[Recording]) -> list[Recording]:
    used = {recording.sha256 for recording in taken}
    return [recording for recording in listed if recording.sha256 not in used]


def _may_meet(name: str, met: Sequence[str], apart: Pairs) -> bool:
    return name not in met and not any(frozenset((name, one)) in apart for one in met)


def _clip(recording: Recording, kind: TaskKind) -> Clip:
    spoken = kind is not TaskKind.LASS
    label, speaker = (None, recording.group) if spoken else (recording.group, None)
    return Clip(recording.path, label=label, speaker=speaker, sha256=recording.sha256)


def _source(recording: Recording, kind: TaskKind, role: Role = Role.INTERFERER) -> Source:
    clip = _clip(recording, kind)
    transcript = recording.transcript if kind is not TaskKind.LASS else None
    return Source(
        clip.path, label=clip.label, speaker=clip.speaker, sha256=clip.sha256, role=role, transcript=transcript
    )


def _words(label: str) -> str:
    return f"the sound of {label}"


def _gender_pair(heard: Sequence[Recording]) -> str | None:
    sexes = [recording.sex for recording in heard]
    return "".join(sex for sex in sexes if sex) if all(sexes) else None


def _span(length: Length, seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds of the mixture, and the share of its sounding part in which both sources are there."""
    spans = {"target": seconds[0], "min": min(seconds), "max": max(seconds)}
    span = length if isinstance(length, float) else spans[length]
    return span, min(*seconds, span) / min(max(seconds), span)


def slug(text: str) -> str:
    """Text as a part of a trial id or a name: letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text)[:40].strip("_")


def _check_corpus(corpus: Corpus, rules: Rules) -> None:
    groups, column = corpus.groups(), GROUP_COLUMN[corpus.kind]
    needed = 3 if rules.absent else 2
    if len(groups) < needed:
        why = "a target-absent trial mixes two and asks for a third" if rules.absent else "a mixture needs two"
        raise UsageError(f"{corpus.name} has {len(groups)} {column}(s), and {why}. Add recordings of another {column}.")
    purpose = "example of it" if corpus.kind is TaskKind.LASS else "enrolment"
    refuse([
        f"{files[0].where}: the {column} {group!r} has one recording only ({files[0].path}), so none is left for an "
        f"{purpose}. Add another or remove this one."
        for group, files in groups.items()
        if len({recording.sha256 for recording in files}) < 2
    ])  # fmt: skip
    if corpus.kind is not TaskKind.TSASR:
        return
    targets = _targets(list(corpus.recordings), corpus.kind)
    if not targets:
        raise UsageError(
            f"{corpus.name} has no transcripts, and tsasr needs the target's words. "
            "Write them into a column 'transcript' or 'text' of a CSV."
        )
    longest = max(targets, key=lambda recording: recording.seconds)
    if isinstance(rules.length, float) and rules.length < longest.seconds:
        raise UsageError(
            f"--length {rules.length:g} would cut words off {longest.path} ({longest.seconds:.2f} s). "
            "Use max, target or more seconds."
        )
