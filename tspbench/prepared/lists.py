"""Which published files a user has given, told by their sha256."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tspbench.errors import UsageError, nearest
from tspbench.prepared.declaration import ListFile, Protocol
from tspbench.prepared.names import UNPUBLISHED
from tspbench.prepared.record import ListRecord


@dataclass(frozen=True)
class Given:
    """Lists by role, the protocol they belong to, and its name (with a digest where a list is unpublished)."""

    declared: Protocol
    name: str
    files: Mapping[str, Path]
    records: Mapping[str, ListRecord]


def recognise(
    task: str, protocols: Sequence[Protocol], default: str, asked: str | None, lists: Sequence[str], home: Path
) -> Given:
    """Match files to the roles of a protocol.

    Parameters
    ----------
    asked
        A protocol by name, None to tell it from the lists.
    lists
        ``FILE`` or ``ROLE=FILE`` each.
    home
        The task's folder, where lists of ours lie.

    Raises
    ------
    UsageError
        A file is not there, fits no role, or a list that is needed was not given.
    """
    named = [_split(text) for text in lists]
    digests = {path: _sha256(path) for _, path in named}
    protocol = _protocol(task, protocols, default, asked, set(digests.values()))
    files = {file.role: home / file.name for file in protocol.files if file.shipped}
    for role, path in named:
        role = role or _role(protocol, path, digests[path], files)
        if role not in {file.role for file in protocol.files}:
            raise UsageError(f"--list {role}=…: {nearest(role, [file.role for file in protocol.files])}")
        if role in files and not any(file.role == role and file.shipped for file in protocol.files):
            raise UsageError(f"Two files were given for {role}: {files[role]} and {path}.")
        files[role] = path
    _refuse_lack(task, protocol, files)
    return _given(protocol, files)


def _given(protocol: Protocol, files: Mapping[str, Path]) -> Given:
    known = {file.role: file for file in protocol.files}
    records = {}
    for role, path in files.items():
        sha = _sha256(path)
        records[role] = ListRecord(f"{role}{path.suffix}", sha, published=sha == known[role].sha256)
    unknown = sorted(record.sha256 for record in records.values() if not record.published)
    mark = UNPUBLISHED + hashlib.sha256("".join(unknown).encode()).hexdigest()[:8] if unknown else ""
    return Given(protocol, protocol.name + mark, files, records)


def _protocol(task: str, protocols: Sequence[Protocol], default: str, asked: str | None, digests: set[str]) -> Protocol:
    """The protocol that was asked for, else the one whose lists these are, else the default."""
    by_name = {protocol.name: protocol for protocol in protocols}
    if asked is not None:
        if asked not in by_name:
            raise UsageError(f"{task} has no protocol {asked!r}. {nearest(asked, by_name)}")
        return by_name[asked]
    hits = {p.name: len({file.sha256 for file in p.files} & digests) for p in protocols}
    best = [name for name, count in hits.items() if count == max(hits.values())]
    return by_name[default if default in best else best[0]]


def _role(protocol: Protocol, path: Path, sha: str, taken: Mapping[str, Path]) -> str:
    """The role of a file: by its sha256, else by its columns, else the only one that is left."""
    for file in protocol.files:
        if file.sha256 == sha:
            return file.role
    free = [file for file in protocol.files if file.role not in taken]
    columns = _columns(path)
    fitting = [file for file in free if file.columns and set(file.columns) <= set(columns)]
    if len(fitting) == 1:
        return fitting[0].role
    formless = [file for file in free if not file.columns]
    if len(formless) == 1 and not fitting:
        return formless[0].role
    roles = ", ".join(f"{file.role} ({', '.join(file.columns) or 'no header'})" for file in protocol.files)
    raise UsageError(
        f"{path} is no list of {protocol.name}: its first line has {', '.join(columns) or 'nothing'}. "
        f"The lists are {roles}. Say which it is with --list ROLE={path.name}."
    )


def _refuse_lack(task: str, protocol: Protocol, files: Mapping[str, Path]) -> None:
    lacking = [file for file in protocol.files if file.required and file.role not in files]
    if lacking:
        raise UsageError(f"{task}:{protocol.name} needs {describe(lacking)}. Give it with --list FILE.")


def describe(files: Sequence[ListFile]) -> str:
    """Names of list files and where each comes from."""
    return "; ".join(f"{file.name} ({file.rows:,} rows; {file.source})" for file in files)


def _split(text: str) -> tuple[str, Path]:
    role, equals, path = text.partition("=")
    given = (role, Path(path)) if equals and not Path(text).exists() else ("", Path(text))
    if not given[1].is_file():
        raise UsageError(f"--list {given[1]}: there is no such file.")
    return given


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def _columns(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [column.strip() for column in next(csv.reader(file), [])]
    except (UnicodeDecodeError, csv.Error, OSError):
        return []
