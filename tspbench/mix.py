"""Manifests of the user's own recordings: read a corpus, draw trials, check that they sound, write."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from tspbench.corpus import Corpus, Progress, read_corpus, refuse
from tspbench.draw import Length, Rules, draw
from tspbench.errors import TspbenchError, UsageError
from tspbench.manifest import Header, Manifest, write
from tspbench.stage import FileReader, Stage
from tspbench.system import known_systems
from tspbench.task import DEFAULT_METRICS
from tspbench.types import TaskKind, Trial

DEFAULT_LENGTH: dict[TaskKind, Length] = {TaskKind.LASS: "target", TaskKind.TSE: "max", TaskKind.TSASR: "max"}
"""tse and tsasr: the field's max mode, in which nobody's words are cut."""
ABSENT_METRICS = {
    TaskKind.LASS: ("leakage",),
    TaskKind.TSE: ("leakage",),
    TaskKind.TSASR: ("rejection", "absent_words", "false_rejection"),
}
"""What shows how a system takes a target that is not there."""
CLUSTER = {TaskKind.LASS: "clip", TaskKind.TSE: "speaker", TaskKind.TSASR: "speaker"}


def mix(
    corpus: Path | str,
    kind: TaskKind | str,
    trials: int,
    snr: tuple[float, float],
    seed: int,
    out: Path | str,
    *,
    absent: int = 0,
    sample_rate: int | None = None,
    length: Length | str | None = None,
    apart: Iterable[tuple[str, str]] = (),
    activity: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write ``out/manifest.jsonl``, a trial list of one's own recordings, and return its path.

    Parameters
    ----------
    corpus
        A CSV or a folder, see :func:`~tspbench.corpus.read_corpus`.
    snr
        Ratio of target to interferer in dB, drawn evenly between the two.
    absent
        Further trials that ask for somebody or something that is not there.
        Their two sources keep the levels they were recorded at.
    sample_rate
        Hz; by default the most common rate of the corpus.
    length
        ``target``, ``min``, ``max`` or seconds; by default ``target`` for lass
        and ``max`` for tse and tsasr.
    apart
        Pairs of labels or speakers too alike to be mixed.
    activity
        Offer a mask of who is active when, made from the clean sources: an oracle.

    Raises
    ------
    UsageError
        The request or the corpus does not do; nothing was written.
    """
    kind, corpus, out = TaskKind(kind), Path(corpus), Path(out)
    rules = Rules(
        trials=trials, snr=snr, seed=seed, absent=absent, length=_length(length, kind),
        apart=frozenset(frozenset(pair) for pair in apart), activity=activity,
    )  # fmt: skip
    if sample_rate is not None and sample_rate < 1:
        raise UsageError(f"--sample-rate must be positive, got {sample_rate}.")
    path = _free_place(out, force)
    read = read_corpus(corpus, kind, progress)
    drawn = draw(read, rules)
    rate = sample_rate or read.sample_rate()
    _check_audible(drawn, read, rate, progress)
    header = Header(
        kind=kind,
        sample_rate=rate,
        name=_name(out),
        data_root=Path(os.path.relpath(read.root, out.resolve())).as_posix(),
        cluster=CLUSTER[kind],
        metrics=(*DEFAULT_METRICS[kind], *ABSENT_METRICS[kind]) if absent else (),
        note=f"mixed from {read.name}, seed {seed}",
    )
    _write_whole(path, header, drawn)
    return path


def report(path: Path) -> str:
    """What a manifest made here holds, and what to type next."""
    manifest = Manifest(path)
    trials = list(manifest)
    files = {clip.path for trial in trials for clip in trial.clips()}
    absent = sum(not trial.target_present for trial in trials)
    ratios = [trial.mix.snr_db for trial in trials if trial.mix.snr_db is not None]
    seconds = [cast(float, trial.conditions["mixture_s"]) for trial in trials]
    rule = trials[0].mix
    command = f"tspbench run --system {','.join(_bounds(manifest.header.kind))} --task {shlex.quote(str(path))}"
    lines = {
        "trials": f"{len(trials)}" + (f", {absent} of them target-absent" if absent else ""),
        "recordings": f"{len(files)} used, below {manifest.data_root}",
        "mixtures": f"{min(seconds):.2f} to {max(seconds):.2f} s (length: {rule.length}), "
        f"{sum(seconds) / 60:.1f} min in all, {manifest.header.sample_rate} Hz",
        "SNR": f"{min(ratios):g} to {max(ratios):g} dB (level: {rule.level})",
        "digest": manifest.digest,
        "written to": str(path),
        "next": command,
    }
    return "\n".join(f"{name + ':':<12}{value}" for name, value in lines.items())


def _length(length: Length | str | None, kind: TaskKind) -> Length:
    if length is None:
        return DEFAULT_LENGTH[kind]
    if length == "min" and kind is TaskKind.TSASR:
        raise UsageError("--length min would cut the target's words off. For tsasr use max or target.")
    if length in ("target", "min", "max"):
        return cast(Length, length)
    try:
        seconds = float(length)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"--length {length}: expected target, min, max or a number of seconds.")
    return seconds


def _name(out: Path) -> str:
    """The folder's name as that of a task, which names folders too."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", out.resolve().name)[:40].strip("_-") or "mix"


def _check_audible(trials: Sequence[Trial], corpus: Corpus, rate: int, progress: Progress | None) -> None:
    """Render every trial and read its queries once, so that a run cannot stumble over silence."""
    stage = Stage(rate, FileReader(corpus.root))
    where = {recording.path: recording.where for recording in corpus.recordings}
    silent: dict[str, bool] = {}
    problems: list[str] = []
    for done, trial in enumerate(trials, start=1):
        for clip in trial.clips():
            if clip.path not in silent:
                silent[clip.path] = not stage.reader.read(clip)[0].any()
                if silent[clip.path]:
                    problems.append(f"{where[clip.path]}: {clip.path} is silent throughout. Remove it.")
        if not any(silent[clip.path] for clip in trial.sources):
            try:
                stage.render(trial)
            except TspbenchError as error:
                files = ", ".join(f"{source.path} ({where[source.path]})" for source in trial.sources)
                problems.append(f"{error} Its files: {files}. Remove one, or choose another --length.")
        if progress:
            progress("checking the mixtures", done, len(trials))
    refuse(problems)


def _free_place(out: Path, force: bool) -> Path:
    path = out / "manifest.jsonl"
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already. Name another folder, or overwrite it with --force.")
    return path


def _write_whole(path: Path, header: Header, trials: Sequence[Trial]) -> None:
    """All of it or nothing: a broken write leaves no half manifest."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        write(draft, header, trials)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def _bounds(kind: TaskKind) -> list[str]:
    """What to run first: rows that need no weights and that no system can be read without."""
    cards = {name: ref.card for name, ref in known_systems().items() if ref.card}
    return [name for name, card in cards.items() if card.role == "bound" and kind in card.kinds]
