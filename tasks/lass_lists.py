"""Published lists of two-sound mixtures, CLAPSep's and AudioSep's, read into trials.

A list is checked whole before its first trial: one error says how many rows
cannot be used and shows the first three.
"""

from __future__ import annotations

import ast
import csv
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tspbench.prepared.material import ListError, Material
from tspbench.types import Clip, Condition, Mix, QueryRecipe, Role, Source, Trial

CLAPSEP = ("source_file", "positive_caption", "noise_file", "negative_caption")
AUDIOSEP = ("src_wav", "caption", "noise_wav", "idx")
SAMPLES = ("class", "file")
TOLD: Mapping[str, tuple[str, ...]] = {
    "text": ("text",),
    "labels": ("text",),
    "text+negative": ("text", "negative_text"),
    "audio": ("audio",),
    "audio+negative": ("audio", "negative_audio"),
    "text+audio": ("text", "audio"),
    "all": ("text", "negative_text", "audio", "negative_audio"),
}
"""What each choice of the option ``queries`` tells a system."""
CLAPSEP_SECONDS = 10.0
Labels = tuple[str | None, str | None]
"""Class of the source and class of the noise, None where it is not known."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a list. ``negative`` is what the list calls the noise, None where it does not say."""

    name: str
    source: str
    caption: str
    noise: str
    negative: str | None = None


Describe = Callable[[Pair], tuple[Labels, dict[str, Condition]]]
"""Labels and further conditions of a row: what a corpus knows of its files."""


def clapsep(material: Material, root: str, describe: Describe) -> Iterator[Trial]:
    """Trials of a CLAPSep list: 0 dB by energy over the padded 10 s (or over the target, ``span=native``).

    Raises
    ------
    ListError
    """
    rows = read_csv(material.lists["trials"], CLAPSEP)
    queries = _Queries(material, root)
    span = material.options.get("span", "10s")
    mix = Mix(snr_db=0.0, length="target" if span == "native" else CLAPSEP_SECONDS, resample="hq", precision="float32")
    sources = _Sources(root, material.lists["trials"])
    for number, (line, (source, caption, noise, negative)) in enumerate(rows, start=1):
        pair = Pair(f"{number:05d}-{_safe(source)}", source, caption, noise, negative)
        labels, conditions = describe(pair)
        yield Trial(
            pair.name,
            sources.both(line, pair, labels),
            mix,
            queries.of(pair),
            conditions=_conditions(pair, material, conditions),
            clusters={"clip": stem(source)},
        )


def audiosep(
    material: Material, root: str, describe: Describe, texts: Mapping[str, str] | None = None
) -> Iterator[Trial]:
    """Trials of an AudioSep list, mixed from the corpus or (``audiosep-rendered``) from the publication's files.

    The files' own level rule is not published. From the corpus it is 0 dB by
    energy over the target's length, as the publication's training code mixes
    where it draws a gain of 0 dB. ``texts`` by ``idx`` replace the captions.

    Raises
    ------
    ListError
    """
    path = material.lists["trials"]
    rows = read_csv(path, AUDIOSEP)
    _check_numbers(path, ((line, row[3]) for line, row in rows))
    rendered = f"audiosep-{root}" if material.protocol == "audiosep-rendered" else None
    mix = Mix(clip="none", resample="hq") if rendered else Mix(snr_db=0.0, resample="hq")
    sources = _Sources(root, path)
    for line, (source, caption, noise, idx) in rows:
        pair = Pair(f"{int(idx):05d}-{_safe(source)}", source, caption, noise)
        labels, conditions = describe(pair)
        pieces: tuple[Source, ...] = sources.both(line, pair, labels)
        if rendered:
            pieces = (Source(f"{rendered}/segment-{int(idx)}.wav", label=labels[0], role=Role.TARGET),)
        yield Trial(
            pair.name,
            pieces,
            mix,
            QueryRecipe(text=texts[idx] if texts else caption),
            mixture=Clip(f"{rendered}/mixture-{int(idx)}.wav") if rendered else None,
            conditions=_conditions(pair, material, conditions),
            clusters={"clip": stem(source)},
        )


def class_of(caption: str | None) -> str | None:
    """The class in a prompt such as "the sound of dog"."""
    return re.sub(r"^the sound of ", "", caption, flags=re.IGNORECASE) if caption else None


def read_csv(path: Path, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Line numbers and the cells of some columns, in the columns' order; other columns are ignored.

    Raises
    ------
    ListError
        The file cannot be read, lacks a column, is empty, or has rows of
        another width or with nothing in a cell.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _rows(path.name, csv.reader(file, skipinitialspace=True, strict=True), columns)
    except UnicodeDecodeError as error:
        raise ListError(f"{path.name} is not text in UTF-8. Save the list as CSV in UTF-8.") from error
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}.") from error


def _rows(name: str, reader: Any, columns: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    found, unusable = [], []
    try:
        header = [cell.strip() for cell in next(reader, [])]
        places = _places(name, header, columns)
        for row in reader:
            if not row:
                continue
            cells = tuple(row[place] for place in places) if len(row) == len(header) else ()
            if all(cell.strip() for cell in cells) and cells:
                found.append((reader.line_num, cells))
            else:
                unusable.append(f"line {reader.line_num} {_complaint(row, header, columns)}")
    except csv.Error as error:
        raise ListError(f"{name}, line {reader.line_num}: this is not CSV ({error}).") from error
    if unusable:
        raise ListError(f"{name}: {len(unusable)} row(s) cannot be used: {_first(unusable)}.")
    if not found:
        raise ListError(f"{name} has no rows below its header.")
    return found


def _places(name: str, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    if not any(header):
        raise ListError(f"{name} is empty. Its first line must name the columns {', '.join(columns)}.")
    missing = [column for column in columns if column not in header]
    if missing:
        shown = ", ".join(cell[:40] for cell in header[:8]) + (", …" if len(header) > 8 else "")
        raise ListError(f"{name} lacks the column(s) {', '.join(missing)}. Its first line has: {shown}.")
    return [header.index(column) for column in columns]


def _complaint(row: Sequence[str], header: Sequence[str], columns: Sequence[str]) -> str:
    if len(row) > len(header):
        return f"has {len(row)} cells for {len(header)} columns (a cell with a comma needs quotes)"
    cells = dict(zip(header, row, strict=False))
    return f"has no {' and no '.join(column for column in columns if not cells.get(column, '').strip())}"


def _check_numbers(path: Path, numbered: Iterable[tuple[int, str]]) -> None:
    """ListError unless every ``idx`` is a whole number of its own."""
    lines: dict[int, int] = {}
    troubled = []
    for line, idx in numbered:
        if not re.fullmatch(r"[0-9]{1,9}", idx):
            troubled.append(f"line {line} has the idx {idx[:20]!r}, not a whole number")
        elif int(idx) in lines:
            troubled.append(f"line {line} has the idx {idx} of line {lines[int(idx)]}")
        else:
            lines[int(idx)] = line
    if troubled:
        raise ListError(f"{path.name}: {len(troubled)} row(s) cannot be told apart: {_first(troubled)}.")


class _Sources:
    """The sources of rows; a file that occurs in many rows is checked and made once."""

    def __init__(self, root: str, path: Path) -> None:
        self._root, self._list = root, path.name
        self._made: dict[tuple[str, str | None, Role], Source] = {}

    def both(self, line: int, pair: Pair, labels: Labels) -> tuple[Source, Source]:
        target = self._one(line, pair.source, labels[0], Role.TARGET)
        return target, self._one(line, pair.noise, labels[1], Role.INTERFERER)

    def _one(self, line: int, name: str, label: str | None, role: Role) -> Source:
        key = (name, label, role)
        if key not in self._made:
            where = f"{self._list}, line {line}"
            self._made[key] = Source(clip_path(self._root, name, where), label=label, role=role)
        return self._made[key]


class _Queries:
    """The query of each row under the options ``queries`` and ``shots``.

    Examples are drawn from those of the class, less the row's own two files:
    the first ``shots`` in the order of sha256("0/<trial id>/<file name>").
    """

    def __init__(self, material: Material, root: str) -> None:
        self._told = TOLD[material.options["queries"]]
        self._shots = int(material.options.get("shots", "1"))
        self._clips: dict[str, dict[str, Clip]] = {}
        if "audio" in self._told:
            if "samples" not in material.lists:
                raise ListError(
                    f"queries={material.options['queries']} needs the list of example recordings: "
                    "prepare the task again with --list samples=FILE."
                )
            self._file = material.lists["samples"].name
            self._clips = _examples(material.lists["samples"], root)

    def of(self, pair: Pair) -> QueryRecipe:
        if "audio" not in self._told:
            return QueryRecipe(pair.caption, pair.negative if "negative_text" in self._told else None)
        assert pair.negative is not None
        return QueryRecipe(
            text=pair.caption if "text" in self._told else None,
            negative_text=pair.negative if "negative_text" in self._told else None,
            audio=self._draw(pair, pair.caption),
            negative_audio=self._draw(pair, pair.negative) if "negative_audio" in self._told else (),
        )

    def _draw(self, pair: Pair, caption: str) -> tuple[Clip, ...]:
        if caption not in self._clips:
            raise ListError(f"{self._file} has no examples of {caption!r}, which trial {pair.name} asks for.")
        clips = self._clips[caption]
        names = [name for name in clips if name not in (pair.source, pair.noise)]
        if len(names) < self._shots:
            raise ListError(
                f"{self._file} has {len(names)} example(s) of {caption!r} besides the files of trial {pair.name}; "
                f"shots={self._shots} asks for more."
            )
        names.sort(key=lambda name: hashlib.sha256(f"0/{pair.name}/{name}".encode()).digest())
        return tuple(clips[name] for name in names[: self._shots])


def _examples(path: Path, root: str) -> dict[str, dict[str, Clip]]:
    """Example recordings by class and file name. A cell holds a Python list of names."""
    found: dict[str, dict[str, Clip]] = {}
    for line, (caption, cell) in read_csv(path, SAMPLES):
        where = f"{path.name}, line {line}"
        try:
            names = ast.literal_eval(cell)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise ListError(f"{where}: file must be a list such as ['a.wav', 'b.wav'].") from error
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ListError(f"{where}: file must be a list such as ['a.wav', 'b.wav'].")
        if caption in found:
            raise ListError(f"{where}: the class {caption!r} has a line already.")
        found[caption] = {name: Clip(clip_path(root, name, where)) for name in names}
    return found


def clip_path(root: str, name: str, where: str) -> str:
    """``root/name``; ListError, saying where, for a name that cannot lie below a folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.name or not _is_text(name):
        raise ListError(f"{where}: {name!r} is not the name of a file below a folder.")
    return f"{root}/{path}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, from a list literal's escapes
        return False
    return True


@functools.lru_cache(maxsize=65536)
def stem(name: str) -> str:
    """A file's name without folders and ending. A list names few files, each of them often."""
    return PurePosixPath(name).stem


@functools.lru_cache(maxsize=65536)
def _safe(name: str) -> str:
    """A file name's stem as it may stand in a trial id."""
    return re.sub(r"[^A-Za-z0-9._@+=-]", "_", stem(name))[:100]


def _conditions(pair: Pair, material: Material, further: Mapping[str, Condition]) -> dict[str, Condition]:
    queries = material.options["queries"]
    return {"queries": queries, "source_is_interferer": pair.source == pair.noise, **further}


def _first(items: Sequence[str], most: int = 3) -> str:
    return "; ".join(items[:most]) + ("; …" if len(items) > most else "")
