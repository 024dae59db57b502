"""Trial lists on disk: a JSON-lines file, one header and then one trial a line.

The header names the kind of task and the rate::

    {"tspbench_manifest": 1, "name": "my-set", "kind": "lass", "sample_rate": 32000}

and every further line is one :class:`~tspbench.types.Trial`; fields at their
default may be left out. Paths are relative to the data root: the header's
``data_root`` (itself relative to the manifest) or, without one, the manifest's
own folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tspbench import activity
from tspbench.decode import DecodeError, canonical, decode, encode
from tspbench.errors import ManifestError
from tspbench.types import QueryKind, TaskKind, Trial

T = TypeVar("T")
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+=-]{0,63}")
"""What may name a task or a row, and so a folder."""
LABEL_RULE = "Use up to 64 of the characters A-Z a-z 0-9 . _ @ + = - and spaces, a letter or digit first."
SCHEMA = 1
TRIAL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=-]{0,127}")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a manifest. ``cluster`` is the key of ``Trial.clusters`` that intervals resample."""

    kind: TaskKind
    sample_rate: int
    name: str = "manifest"
    tspbench_manifest: int = SCHEMA
    data_root: str | None = None
    cluster: str | None = None
    metrics: tuple[str, ...] = ()
    synthetic: bool = False
    note: str = ""


class Manifest(Sequence[Trial]):
    """A validated trial list that stays on disk: memory does not grow with its trials.

    ``change`` is done to every trial as it is read; the digest is that of the
    changed ones.

    Raises
    ------
    ManifestError
        Naming the file, the line and what is wrong with it.
    """

    def __init__(self, path: Path, change: Callable[[Trial], Trial] = lambda trial: trial) -> None:
        self.path = path
        self._change = change
        self._offsets = array("q")
        self.ids: list[str] = []
        self.header, self.digest = self._scan()
        self._places = {trial_id: i for i, trial_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        with self.path.open("rb") as file:
            file.seek(self._offsets[index])
            return self._change(decode(Trial, json.loads(file.readline())))

    def __iter__(self) -> Iterator[Trial]:
        with self.path.open("rb") as file:
            for offset in self._offsets:
                file.seek(offset)
                yield self._change(decode(Trial, json.loads(file.readline())))

    def place(self, trial_id: str) -> int:
        """Index of a trial; KeyError when the list does not hold it."""
        return self._places[trial_id]

    @property
    def data_root(self) -> Path:
        return (self.path.parent / (self.header.data_root or ".")).resolve()

    def _scan(self) -> tuple[Header, str]:
        header: Header | None = None
        rows: list[bytes] = []
        first_lines: dict[str, int] = {}
        for number, offset, line in self._lines():
            value = self._parse(number, line)
            if header is None:
                header = self._header(number, value)
                continue
            trial = self._trial(number, value)
            if trial.trial_id in first_lines:
                first = first_lines[trial.trial_id]
                where = f"{self.path}, line {number}"
                raise ManifestError(f"{where}: trial {trial.trial_id!r} was already on line {first}.")
            first_lines[trial.trial_id] = number
            self.ids.append(sys.intern(trial.trial_id))  # the same text as where its lines are remembered
            self._offsets.append(offset)
            rows.append(row_digest(trial))
        if header is None or not self.ids:
            raise ManifestError(f"{self.path} holds no trials.")
        return header, list_digest(header.kind, header.sample_rate, rows)

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        offset = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield number, offset, line
                    offset += len(line)
        except OSError as error:
            reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            raise ManifestError(f"The manifest {self.path} {reason}.") from error

    def _parse(self, number: int, line: bytes) -> Any:
        try:
            value = json.loads(line)
            if b"\\u" in line:
                canonical(value).encode()  # half of a surrogate pair: JSON, but no text
            return value
        except ValueError as error:
            raise ManifestError(f"{self.path}, line {number}: this is not JSON ({error}).") from error

    def _header(self, number: int, value: Any) -> Header:
        if not isinstance(value, dict) or "tspbench_manifest" not in value:
            raise ManifestError(
                f"{self.path}, line {number}: the first line must be a header such as "
                '{"tspbench_manifest": 1, "kind": "lass", "sample_rate": 32000}.'
            )
        if value["tspbench_manifest"] != SCHEMA:
            raise ManifestError(
                f"{self.path}: manifest version {value['tspbench_manifest']!r} is not known here "
                f"(this tspbench reads version {SCHEMA})."
            )
        header = self._decoded(Header, number, value)
        if not LABEL.fullmatch(header.name):
            raise ManifestError(f"{self.path}: the name {header.name!r} cannot name a folder. {LABEL_RULE}")
        if header.sample_rate < 1:
            raise ManifestError(f"{self.path}, line {number}: sample_rate must be positive, got {header.sample_rate}.")
        return header

    def _trial(self, number: int, value: Any) -> Trial:
        trial = self._decoded(Trial, number, value)
        problem = _problem(trial)
        if problem:
            raise ManifestError(f"{self.path}, line {number}, trial {trial.trial_id!r}: {problem}")
        return self._change(trial)

    def _decoded(self, cls: type[T], number: int, value: Any) -> T:
        try:
            return decode(cls, value)
        except DecodeError as error:
            name = value.get("trial_id") if isinstance(value, dict) else None
            trial = f", trial {name!r}" if name else ""
            raise ManifestError(f"{self.path}, line {number}{trial}: {error}") from error


def row_digest(trial: Trial) -> bytes:
    """Identity of one trial: what is asked. Its conditions only describe it, and do not enter."""
    asked: dict[str, Any] = encode(trial)
    asked.pop("conditions", None)
    return hashlib.sha256(canonical(asked).encode()).digest()


def list_digest(kind: TaskKind, sample_rate: int, row_digests: Iterable[bytes]) -> str:
    """Identity of a trial list: what is asked and at which rate, in any order of the rows."""
    sha = hashlib.sha256(canonical([kind, sample_rate]).encode())
    for row in sorted(row_digests):
        sha.update(row)
    return sha.hexdigest()


def write(path: Path, header: Header, trials: Iterable[Trial]) -> None:
    """Write a manifest; :class:`Manifest` reads it back equal."""
    to_json = json.JSONEncoder(ensure_ascii=False).encode
    lines = [to_json({"tspbench_manifest": SCHEMA} | encode(header)), *(to_json(encode(trial)) for trial in trials)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _problem(trial: Trial) -> str | None:
    """What makes a well-formed trial meaningless, or None."""
    if not TRIAL_ID.fullmatch(trial.trial_id):
        return "a trial id is 1 to 128 of the characters A-Z a-z 0-9 . _ @ + = - (it names files)."
    if not trial.sources:
        return "sources is empty: a mixture needs at least one source."
    if sum(source.role == "target" for source in trial.sources) > 1:
        return "more than one source has the role target."
    if not trial.target_present and trial.mix.snr_db is not None:
        return "mix.snr_db needs a target source; a target-absent trial uses gains."
    if not trial.target_present and trial.mix.length == "target":
        return 'mix.length "target" needs a target source; say "max", "min" or seconds.'
    if isinstance(trial.mix.length, float) and trial.mix.length <= 0:
        return f"mix.length must be positive, got {trial.mix.length}."
    if any(source.offset_s < 0 for source in trial.sources):
        return "offset_s must not be negative; to leave out a beginning, use start_s."
    if not trial.query.kinds - {QueryKind.TRUTH}:
        return "query is empty: say text, audio, enrolment, speaker_vector or activity_mask."
    if trial.query.activity_mask and (found := activity.problem(trial.query.activity_mask)):
        return f"query.activity_mask: {found}"
    for clip in trial.clips():
        if "\0" in clip.path:
            return f"{clip.path!r} is no path: it holds a NUL character."
        if clip.start_s < 0 or (clip.duration_s is not None and clip.duration_s <= 0):
            return f"{clip.path}: start_s must not be negative and duration_s must be positive."
    return None
