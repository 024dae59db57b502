"""``prepared.json``: which lists and corpora a protocol was prepared from, in a folder of the data root."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

from tspbench.errors import UsageError
from tspbench.prepared.declaration import Protocol

SCHEMA = 1


@dataclass(frozen=True)
class ListRecord:
    """A list as it was given: its name below ``lists/``, and whether its publication knows it."""

    name: str
    sha256: str
    published: bool


@dataclass(frozen=True)
class Prepared:
    """One protocol, made ready.

    ``protocol`` carries the digest of an unpublished list; ``stamp`` is new each
    time; ``options`` are those it was prepared with; ``unusable`` are clips that were found to be of no use, with the
    reason: no cell that is made later takes them.
    """

    task: str
    protocol: str
    declared: Protocol
    lists: Mapping[str, ListRecord]
    roots: Mapping[str, Path]
    folder: Path
    stamp: str
    options: Mapping[str, str] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, Path]:
        """The lists by role; UsageError where one is not what was prepared any more."""
        return {role: self._file(record) for role, record in self.lists.items()}

    def _file(self, record: ListRecord) -> Path:
        path = self.folder / "lists" / record.name
        try:
            sha = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}. Run tspbench data prepare again.") from error
        if sha != record.sha256:
            raise UsageError(f"{path} was changed after it was prepared. Run tspbench data prepare again.")
        return path


def data_root(given: Path | None = None) -> Path:
    """Where prepared tasks lie: ``--data-root``, ``TSPBENCH_DATA``, or the platform's data folder."""
    named = given or os.environ.get("TSPBENCH_DATA")
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_data_dir("tspbench"))


def folder_of(root: Path, task: str, protocol: str) -> Path:
    return root / task / protocol


def write(prepared: Prepared) -> None:
    """Write ``prepared.json`` into its folder."""
    held = {
        "schema": SCHEMA,
        "task": prepared.task,
        "protocol": prepared.protocol,
        "declared": prepared.declared.name,
        "lists": {role: asdict(record) for role, record in prepared.lists.items()},
        "roots": {name: str(path) for name, path in prepared.roots.items()},
        "stamp": prepared.stamp,
        "options": dict(prepared.options),
        "unusable": dict(prepared.unusable),
    }
    text = json.dumps(held, indent=1, ensure_ascii=False) + "\n"
    (prepared.folder / "prepared.json").write_text(text, encoding="utf-8")


def read(folder: Path, protocols: Mapping[str, Protocol]) -> Prepared | None:
    """What was prepared in a folder, None if nothing was.

    Raises
    ------
    UsageError
        The record cannot be read, or is of another version.
    """
    path = folder / "prepared.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != SCHEMA:
            raise UsageError(f"{path} is of version {held['schema']!r}; run tspbench data prepare again.")
        return Prepared(
            task=held["task"],
            protocol=held["protocol"],
            declared=protocols[held["declared"]],
            lists={role: ListRecord(**row) for role, row in held["lists"].items()},
            roots={name: Path(at) for name, at in held["roots"].items()},
            folder=folder,
            stamp=held["stamp"],
            options=held.get("options", {}),
            unusable=held.get("unusable", {}),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Run tspbench data prepare again.") from error
