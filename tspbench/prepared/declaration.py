"""What ``task.toml`` says of a task that has to be prepared: protocols, published lists, corpora, options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Statistic = int | float | str


@dataclass(frozen=True, slots=True)
class ListFile:
    """A published file of a protocol, known by its sha256.

    ``role`` names it towards the importer and on the command line
    (``--list samples=FILE``); ``columns`` (of a CSV's first line) tell an
    unpublished list of the same form; ``shipped`` marks a file of ours that lies
    beside ``task.toml``.
    """

    role: str
    name: str
    sha256: str
    rows: int
    source: str = ""
    required: bool = True
    columns: tuple[str, ...] = ()
    shipped: bool = False


@dataclass(frozen=True, slots=True)
class TaskOption:
    """A choice that makes another cell of the same protocol, such as ``queries=text``."""

    name: str
    default: str
    choices: tuple[str, ...]
    help: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    """A corpus on the user's disk; ``name`` is the first component of the paths of its clips.

    ``rate`` (Hz) and ``channels`` are what its files must have; None for any.
    ``when`` has the choices under which it is needed, such as ``source = "tree"``
    or ``mix = "both|single"``: all of them must hold. ``layout`` marks a tree that
    holds many files of one name (rates, modes, voices): a clip must lie in all the
    folders of its published name.
    """

    name: str
    what: str
    source: str = ""
    size: str = ""
    required: bool = True
    rate: int | None = None
    channels: int | None = None
    layout: bool = False
    when: Mapping[str, str] = field(default_factory=dict)

    def needed(self, options: Mapping[str, str]) -> bool:
        """Must it be there for a cell of these options?"""
        return self.required and all(options[name] in choices.split("|") for name, choices in self.when.items())


@dataclass(frozen=True, slots=True)
class Protocol:
    """A trial list, its mixing rule and its scoring rule, as one publication has them.

    ``span``, ``level``, ``queries`` and ``used_by`` are words for people;
    ``statistics`` are facts about the published list that a test checks;
    ``digest`` is that of the trials with every option at its default.
    """

    name: str
    summary: str
    rows: int
    files: tuple[ListFile, ...] = ()
    roots: tuple[Root, ...] = ()
    options: tuple[TaskOption, ...] = ()
    metrics: tuple[str, ...] = ()
    cluster: str | None = None
    span: str = ""
    level: str = ""
    queries: str = ""
    used_by: str = ""
    dialect: str | None = None
    digest: str = ""
    side_information: tuple[str, ...] = ()
    statistics: Mapping[str, Statistic] = field(default_factory=dict)
