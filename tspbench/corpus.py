"""Collections of recordings on the user's disk: a CSV, or a folder with one sub-folder per label or speaker."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tspbench import audio
from tspbench.errors import AudioError, UsageError
from tspbench.types import TaskKind

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done and how many there are."""

GROUP_COLUMN = {TaskKind.LASS: "label", TaskKind.TSE: "speaker", TaskKind.TSASR: "speaker"}
TRANSCRIPT_COLUMNS = ("transcript", "text")
SUFFIXES = frozenset({".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of a corpus. ``group`` is its label (lass) or speaker; ``where`` is its place in the CSV.

    Files with equal ``sha256`` are the same recording under two names.
    """

    path: str
    group: str
    where: str
    caption: str | None = None
    sex: str | None = None
    transcript: str | None = None
    seconds: float = 0.0
    sample_rate: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Recordings below ``root``, sorted by path: the order of a CSV's lines means nothing."""

    name: str
    root: Path
    kind: TaskKind
    recordings: tuple[Recording, ...]

    def groups(self) -> dict[str, list[Recording]]:
        """Recordings by label or speaker."""
        found: dict[str, list[Recording]] = {}
        for recording in self.recordings:
            found.setdefault(recording.group, []).append(recording)
        return dict(sorted(found.items()))

    def sample_rate(self) -> int:
        """The rate in Hz that most recordings have; of equally common ones the highest."""
        rates = [recording.sample_rate for recording in self.recordings]
        return max(set(rates), key=lambda rate: (rates.count(rate), rate))


def read_corpus(path: Path, kind: TaskKind, progress: Progress | None = None) -> Corpus:
    """Read a CSV or a folder, and open the header and take the sha256 of every file in it.

    A CSV has the columns ``file`` (relative to the CSV's folder) and ``label``
    (lass; ``caption`` may be added) or ``speaker`` (tse, tsasr; ``sex`` and
    ``transcript`` or ``text`` may be added). Other columns are ignored. Of a
    folder, the sub-folders' names are the labels, underscores read as spaces,
    or the speakers.

    Raises
    ------
    UsageError
        Naming the CSV, its line and what is wrong with it.
    """
    if path.is_dir():
        root, listed = path, list(_from_folder(path, kind))
    elif path.is_file():
        root, listed = path.parent, list(_from_csv(path, kind))
    else:
        raise UsageError(
            f"The corpus {path} does not exist. Name a CSV file or a folder with one sub-folder per class."
        )
    if not listed:
        raise UsageError(f"The corpus {path} lists no recordings.")
    root = root.resolve()
    measured = _measured(root, sorted(listed, key=lambda recording: recording.path), progress)
    _refuse_two_groups(measured)
    return Corpus(path.name, root, kind, tuple(measured))


def refuse(problems: Sequence[str]) -> None:
    """Raise the first problems as one error; do nothing when there are none."""
    if problems:
        more = len(problems) - MOST_SHOWN
        tail = f"\n… and {more} more like these." if more > 0 else ""
        raise UsageError("\n".join(problems[:MOST_SHOWN]) + tail)


def _from_csv(path: Path, kind: TaskKind) -> Iterator[Recording]:
    root, first = path.parent.resolve(), dict[str, str]()
    for line, row in _rows(path, kind):
        where = f"{path}, line {line}"
        file, group = row.get("file", ""), row.get(GROUP_COLUMN[kind], "")
        if not file or not group:
            raise UsageError(f"{where}: the {'file' if not file else GROUP_COLUMN[kind]} is empty. Fill it in.")
        relative = _below(root, file, where)
        if relative in first:
            raise UsageError(f"{where}: {file} was already on {first[relative]}. List every file once.")
        first[relative] = f"line {line}"
        yield Recording(
            path=relative,
            group=group,
            where=where,
            caption=row.get("caption") or None,
            sex=SEXES.get(row.get("sex", "").lower()),
            transcript=next((row[name] for name in TRANSCRIPT_COLUMNS if row.get(name)), None),
        )


def _rows(path: Path, kind: TaskKind) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV, its columns checked."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = [name.strip() for name in next(reader, [])]
            for needed in ("file", GROUP_COLUMN[kind]):
                if needed not in names:
                    raise UsageError(
                        f"{path} has no column {needed!r}, which {kind} needs. Its columns are: "
                        f"{', '.join(names) or 'none'}."
                    )
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, dict(zip(names, (cell.strip() for cell in cells), strict=False))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _from_folder(path: Path, kind: TaskKind) -> Iterator[Recording]:
    root = path.resolve()
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if file.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in relative.parts):
            continue
        if len(relative.parts) == 1:
            raise UsageError(
                f"{file} lies in no sub-folder, so its {GROUP_COLUMN[kind]} is not known. Move it into one."
            )
        group = relative.parts[0]
        group = group.replace("_", " ").strip() if kind is TaskKind.LASS else group
        yield Recording(path=_below(root, str(relative), str(path)), group=group, where=str(path))


def _below(root: Path, file: str, where: str) -> str:
    """A file's path relative to the root, in one spelling."""
    path = Path(os.path.normpath(root / file.replace("\0", "?")))
    if not path.is_relative_to(root) or not path.resolve().is_relative_to(root):
        raise UsageError(f"{where}: {file} lies outside {root}. Put the CSV into a folder above all recordings.")
    return path.relative_to(root).as_posix()


def _measured(root: Path, listed: Sequence[Recording], progress: Progress | None) -> list[Recording]:
    measured: list[Recording] = []
    problems: list[str] = []
    with ThreadPoolExecutor() as pool:
        for done, found in enumerate(pool.map(partial(_measure, root), listed), start=1):
            if isinstance(found, Recording):
                measured.append(found)
            else:
                problems.append(found)
            if progress:
                progress("reading the corpus", done, len(listed))
    refuse(problems)
    return measured


def _measure(root: Path, recording: Recording) -> Recording | str:
    path = root / recording.path
    try:
        seconds, rate, _ = audio.probe(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (AudioError, OSError) as error:
        return f"{recording.where}: {error}"
    return replace(recording, seconds=seconds, sample_rate=rate, sha256=sha256)


def _refuse_two_groups(recordings: Sequence[Recording]) -> None:
    first: dict[str, Recording] = {}
    for recording in recordings:
        twin = first.setdefault(recording.sha256, recording)
        if twin.group != recording.group:
            raise UsageError(
                f"{recording.where}: {recording.path} ({recording.group}) is the same recording as {twin.path} "
                f"({twin.group}; {twin.where}). Remove one of them."
            )
