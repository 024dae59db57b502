"""The errors a user can act on.

TspbenchError
├── UsageError          the request cannot be served (exit 2, nothing written)
│   ├── UnknownName     no such system, task, metric, option (names the nearest ones)
│   ├── ManifestError   a trial list that breaks its own rules
│   ├── AudioError      a file that is missing, empty or unreadable
│   ├── MissingWeights  a system without its checkpoint
│   ├── MissingExtra    an optional package that is not installed
│   └── OtherIdentity   a folder that holds another run
└── CannotMeasure       the request is fine but no number came out of it (exit 3)

A message says what was wrong, where, and what to do. The command line shows it
without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class TspbenchError(Exception):
    """Base of every error that tspbench raises on purpose. Pickles whole: workers send it home."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[TspbenchError], args: tuple[Any, ...], state: dict[str, Any]) -> TspbenchError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UsageError(TspbenchError, ValueError):
    exit_code = 2


class UnknownName(UsageError):
    """A name that nothing answers to.

    Parameters
    ----------
    what
        The kind of thing that was asked for, such as ``"system"``.
    name
        What the user wrote.
    known
        The names that exist; the nearest of them are shown.
    hint
        A sentence that says where to look next.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.what, self.name = what, name
        super().__init__(f"There is no {what} called {name!r}. {nearest(name, known)} {hint}".strip())


class ManifestError(UsageError):
    pass


class AudioError(UsageError):
    pass


class MissingWeights(UsageError):
    """A system was asked to run without its published (or bundled) weights."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional package: pip install 'tspbench[{extra}]'")


class OtherIdentity(UsageError):
    pass


class CannotMeasure(TspbenchError):
    exit_code = 3


def nearest(name: str, known: Iterable[str], most: int = 3) -> str:
    """One sentence naming the known names closest to ``name``.

    >>> nearest("mixtrue", ["mixture", "silence"])
    'Did you mean mixture?'
    >>> nearest("zzz", ["mixture", "silence"])
    'Known: mixture, silence.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    close += [n for n in names if name and name.lower() in n.lower() and n not in close][: most - len(close)]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
