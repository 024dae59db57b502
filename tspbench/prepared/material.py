"""What an importer is given, and what it must offer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tspbench.errors import UsageError
from tspbench.types import Trial


class ListError(UsageError):
    """A published list that does not hold what it should; names the file, the line and the column."""


def _unknown(path: str) -> float | None:
    return None


@dataclass(frozen=True)
class Material:
    """Lists, corpora and choices from which the trials of one cell are made.

    Parameters
    ----------
    protocol
        Its name in ``task.toml``.
    options
        Every option of the protocol, defaults filled in.
    lists
        The list files by role; optional ones may lack.
    roots
        The corpora by name; empty where trials are made without audio.
    seconds
        Duration of a clip by its path, None where it is not known. For
        conditions only: what is asked must not depend on it.
    """

    protocol: str
    options: Mapping[str, str]
    lists: Mapping[str, Path]
    roots: Mapping[str, Path] = field(default_factory=dict)
    seconds: Callable[[str], float | None] = _unknown


class Importer(Protocol):
    """The module that ``importer`` in ``task.toml`` names.

    It may also offer ``stems(path) -> tuple[str, ...]``: the file names without
    ending under which users may hold a clip (default: its own).
    """

    def trials(self, material: Material) -> Iterator[Trial]:
        """The trials of a cell in the list's order, from the lists alone.

        Clip paths are ``ROOT/name as published``, the same for every user: where
        a file lies on a disk, and under which ending, is found later.

        Raises
        ------
        ListError
        """
