"""Target-speaker trials of one mixture put together, and cpWER beside the word error rate of the same answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tspbench import decode, stats
from tspbench.errors import CannotMeasure, UsageError
from tspbench.metrics.cpwer import cpwer
from tspbench.metrics.edits import Edits, edits
from tspbench.metrics.text import normalised
from tspbench.results import Run, refuse_part
from tspbench.store import read_lines
from tspbench.task import Task, load_task
from tspbench.types import Role, Source, Trial


@dataclass(frozen=True)
class Session:
    """A mixture every speaker of which is asked for by one trial; ``references`` are in the order of ``trial_ids``."""

    trial_ids: tuple[str, ...]
    references: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A rate over the words of all sessions, with its 95 % interval; a bootstrap draws mixtures."""

    value: float
    interval: stats.Interval | None


@dataclass(frozen=True)
class Permuted:
    """What a run's words score with the trials' own speakers and with the best permutation of them.

    ``confusion`` is ``wer`` minus ``cpwer``, never negative; ``swapped`` counts
    the mixtures where another assignment than the one asked for has fewer
    errors. ``left_out`` trials are in no session; ``unanswered`` ones count as no words.
    """

    system: str
    wer: Figure
    cpwer: Figure
    confusion: Figure
    sessions: int
    swapped: int
    trials: int
    left_out: int
    unanswered: int
    words: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sessions(trials: Iterable[Trial]) -> list[Session]:
    """The mixtures whose every speaker with a transcript is asked for exactly once, in the order of their first trial.

    Two trials are of one mixture when they name the same recording of it, or
    the same sources and the same way to mix them, roles aside. That way must
    not depend on who is the target (``snr_db`` and the length ``target`` do).
    """
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.target_present and (name := _mixture(trial)) is not None:
            groups.setdefault(name, []).append(trial)
    return [
        Session(tuple(trial.trial_id for trial in group), tuple(trial.transcript or "" for trial in group))
        for group in groups.values()
        if _complete(group)
    ]


def permuted(run: Run, task: str | None = None, data_root: Path | None = None) -> Permuted:
    """cpWER of a run, beside the word error rate over the same trials.

    Texts go through Whisper's English normaliser on both sides, as for ``wer``.

    Raises
    ------
    UsageError
        The task is not at hand or not the run's.
    CannotMeasure
        The system returned no words, no mixture has all its speakers asked for, or it is a part of a run.
    MissingExtra
        meeteval is not installed.
    """
    refuse_part(run)
    texts = {row["trial_id"]: row["text"] for row in read_lines(run.path / "trials.jsonl")}
    if not any(text is not None for text in texts.values()):
        raise CannotMeasure(f"The run {run.path} holds no words; cpWER compares transcripts.")
    found = [each for each in sessions(_task(run, task, data_root)) if all(name in texts for name in each.trial_ids)]
    if not found:
        raise CannotMeasure(
            f"cpWER needs mixtures of which every speaker is asked for, in a trial of its own; {run.path} has none."
        )
    heard = {name: normalised(text or "", "whisper") for name, text in texts.items()}
    own = [_as_asked(session, heard) for session in found]
    best = [_permuted(session, heard) for session in found]
    names = [name for session in found for name in session.trial_ids]
    return Permuted(
        system=str(run.record["identity"]["system"]["name"]),
        wer=_figure([one.errors for one in own], own),
        cpwer=_figure([one.errors for one in best], own),
        confusion=_figure([one.errors - two.errors for one, two in zip(own, best, strict=True)], own),
        sessions=len(found),
        swapped=sum(two.errors < one.errors for one, two in zip(own, best, strict=True)),
        trials=len(names),
        left_out=len(texts) - len(names),
        unanswered=sum(texts[name] is None for name in names),
        words=sum(one.total for one in own),
    )


def _mixture(trial: Trial) -> str | None:
    """What makes two trials' mixtures the same; None where the mixture depends on its target."""
    if trial.mixture is not None:
        return decode.canonical(trial.mixture)
    if trial.mix.snr_db is not None or trial.mix.length == "target":
        return None
    parts = [decode.encode(source) for source in trial.sources]
    plain = ({name: value for name, value in part.items() if name not in ("role", "transcript")} for part in parts)
    return decode.canonical([sorted(map(decode.canonical, plain)), decode.encode(trial.mix)])


def _complete(group: Sequence[Trial]) -> bool:
    """Whether the trials ask for every talker of their mixture, each once, and all their words are known."""
    talkers = [_place(source) for source in group[0].sources if source.role is not Role.NOISE]
    asked = Counter(_place(source) for trial in group for source in trial.sources if source.role is Role.TARGET)
    known = all(trial.transcript is not None for trial in group)
    return known and len(group) > 1 and asked == Counter(talkers)


def _place(source: Source) -> tuple[str, float, float]:
    return source.path, source.start_s, source.offset_s


def _as_asked(session: Session, heard: Mapping[str, str]) -> Edits:
    pairs = zip(_references(session), session.trial_ids, strict=True)
    parts = [edits(reference, heard[name]) for reference, name in pairs]
    return Edits(*(sum(getattr(part, name) for part in parts) for name in Edits.__dataclass_fields__))


def _permuted(session: Session, heard: Mapping[str, str]) -> Edits:
    return cpwer(_references(session), [heard[name] for name in session.trial_ids])


def _references(session: Session) -> list[str]:
    return [normalised(text, "whisper") for text in session.references]


def _figure(errors: Sequence[int], own: Sequence[Edits]) -> Figure:
    words = [one.total for one in own]
    return Figure(sum(errors) / max(sum(words), 1), stats.ratio_interval(errors, words, range(len(words))))


def _task(run: Run, name: str | None, data_root: Path | None) -> Task:
    wanted = run.record["identity"]["task"]
    name = name or str(wanted["name"])
    try:
        task = load_task(name, data_root, available=True)
    except UsageError as error:
        hint = "" if data_root else " If it is a manifest, name it with --task."
        raise UsageError(f"The task of {run.path} cannot be read here. {error}{hint}") from error
    task = task.limited(wanted["trials"]) if wanted["trials"] < len(task) else task
    if task.digest != wanted["trial_list"]:
        raise UsageError(f"The trial list of {name} is not the one of {run.path}.")
    return task
