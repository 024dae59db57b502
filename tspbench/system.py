"""The System contract, and how systems are found.

A system is a class. This is a whole one::

    class Halve:
        sample_rate = 16000                      # Hz; None works at any rate
        queries = frozenset({"text"})            # what it wants to be told
        aligned = True                           # estimates line up with the target, sample by sample

        def extract(self, mixtures, lengths, queries):
            return mixtures / 2

Save it as ``halve.py`` and run it with ``tspbench run --system halve.py:Halve``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import sys
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tspbench.decode import DecodeError, decode
from tspbench.errors import MissingExtra, UnknownName, UsageError, nearest
from tspbench.prefix import Prefix
from tspbench.types import Audio, Query, QueryKind, TaskKind

GROUP = "tspbench.systems"
BUNDLED = "tspbench.systems"
"""The package of the systems that come with tspbench."""


class System:
    """What a system may say and must do. Subclassing is optional: the names are the contract.

    Options are the keyword arguments of the constructor: typed (``int``,
    ``float``, ``bool``, ``str``, ``Path``, ``Literal``, or one of these and
    None), with defaults, and cheap: weights are loaded in :meth:`load`.

    Attributes
    ----------
    sample_rate
        Rate in Hz that the system works at (the harness resamples both ways),
        or None when any rate will do; ``Query.sample_rate`` tells which.
    queries
        The kinds of query it can use. A trial that offers none of the positive
        kinds declared here is refused before the run.
    aligned
        False for generative systems whose waveform does not follow the target
        sample by sample: ``si_sdr`` and its kin are then not applicable.
    enrolment_prefix
        For systems that hear enrolment and mixture as one signal: how the first
        is put before the second. A :class:`~tspbench.prefix.Prefix` or a mapping
        of its fields, such as ``{"gap_s": 1.0}``.
    hint
        What to do about a trial that offers none of ``queries``; ends that refusal.
    """

    sample_rate: int | None = None
    queries: frozenset[QueryKind] = frozenset()
    aligned: bool = True
    precision: str = "float32"
    random_weights: int | None = None
    enrolment_prefix: Prefix | Mapping[str, Any] | None = None
    hint: str = ""

    def load(self, device: str) -> None:
        """Load weights onto ``device`` (``cpu`` or ``cuda``). Called once per worker process."""

    def extract(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> Audio:
        """Estimate the targets.

        Parameters
        ----------
        mixtures
            Shape (B, T), float32; shorter mixtures are padded with zeros at the end.
        lengths
            Shape (B,): samples of each mixture before padding.
        queries
            One per mixture.

        Returns
        -------
        Estimates of shape (B, T), finite; what lies past ``lengths`` is ignored.
        A torch tensor will do.
        """
        raise NotImplementedError

    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        """The target's words, one text per mixture. Arguments as for :meth:`extract`."""
        raise NotImplementedError

    def weight_files(self) -> Sequence[Path]:
        """The files whose content is part of the system's identity."""
        return ()


class Verification(StrEnum):
    """How far a system was compared with what was published."""

    NUMBER = "published number reproduced"
    PARITY = "parity with the published code"
    NEITHER = "neither"
    BOUND = "exact by construction"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file (or folder) of published weights: what it is called, where it lives, which option names it here.

    ``hub`` is a repository of the Hugging Face hub, ``url`` any other place;
    ``size`` in bytes. A ``bundled`` file lies beside the card and has a ``sha256``.
    """

    hub: str = ""
    file: str = ""
    sha256: str | None = None
    url: str = ""
    option: str = "checkpoint"
    size: int | None = None
    licence: str = ""
    holds: str = ""
    bundled: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What ``card.toml`` declares; listing and refusing need nothing more.

    ``entry`` is ``module:Class``, the module relative to the card's package.
    ``role`` is ``bound`` for rows that no system can be read without.
    ``by_option`` names the facts here that hold for default options only.
    """

    name: str
    summary: str
    entry: str
    kinds: tuple[TaskKind, ...]
    role: Literal["system", "bound"] = "system"
    queries: tuple[QueryKind, ...] = ()
    aligned: bool = True
    sample_rate: int | None = None
    batch_size: int = 1
    devices: tuple[str, ...] = ("cpu",)
    paper: str = ""
    code_licence: str = ""
    weights_licence: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    side_information: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    verification: Verification = Verification.NEITHER
    extra: str | None = None
    description: str = ""
    by_option: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemRef:
    """How another process finds the same class.

    ``module`` is a dotted name, or the path of a file when ``path`` is True.
    """

    name: str
    module: str
    qualname: str
    path: bool = False
    card: Card | None = None

    @property
    def label(self) -> str:
        """The name as it may stand in a file name or a table."""
        return self.qualname if self.path else self.name


def known_systems() -> dict[str, SystemRef]:
    """Every system that can be named here, bundled and plugged in, by name. Imports none of them."""
    found: dict[str, SystemRef] = {}
    for package, folder in _card_folders():
        for path in sorted(folder.glob("*card.toml")):
            card = _read_card(path)
            module, _, qualname = card.entry.partition(":")
            found[card.name] = SystemRef(card.name, f"{package}.{module}", qualname, card=card)
    for entry in importlib.metadata.entry_points(group=GROUP):
        found.setdefault(entry.name, _plugged(entry))
    return dict(sorted(found.items()))


def find_system(name: str) -> SystemRef:
    """The system called ``name``, or the class at ``path/to/file.py:Class``.

    Raises
    ------
    UnknownName
        Nothing is called so; the nearest names are given.
    UsageError
        The file does not exist, or no class is named.
    """
    if ".py" in name:
        return _from_file(name)
    systems = known_systems()
    if name not in systems:
        hint = "List them with: tspbench list systems. Your own: path/to/file.py:ClassName."
        raise UnknownName("system", name, systems, hint)
    return systems[name]


def import_class(ref: SystemRef) -> type[Any]:
    """Import the class of a reference; ``UsageError`` in the user's words when that fails."""
    try:
        module = _import_file(Path(ref.module)) if ref.path else importlib.import_module(ref.module)
    except ModuleNotFoundError as error:
        if ref.card and ref.card.extra:
            raise MissingExtra(f"The system {ref.name!r} (no module named {error.name!r})", ref.card.extra) from error
        raise UsageError(
            f"The system {ref.name!r} needs the package {error.name!r}, which is not installed."
        ) from error
    try:
        return typing.cast(type[Any], getattr(module, ref.qualname))
    except AttributeError:
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        raise UnknownName("class", ref.qualname, classes, f"Looked in {ref.module}.") from None


def options_of(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The options of a system: its constructor's keyword arguments."""
    if cls.__init__ is object.__init__:
        return {}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def parse_options(cls: type[Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Options as typed values; defaults are filled in, so equal settings are equal.

    Raises
    ------
    UsageError
        No such option (nearest names given), or a value of the wrong type.
    """
    known = options_of(cls)
    for key in given:
        if key not in known:
            detail = nearest(key, known) if known else "It has no options."
            raise UsageError(f"{cls.__name__} has no option {key!r}. {detail}")
    hints = typing.get_type_hints(cls.__init__) if known else {}
    values: dict[str, Any] = {}
    for key, parameter in known.items():
        if key in given:
            values[key] = _convert(key, hints.get(key, str), given[key])
        elif parameter.default is parameter.empty:
            raise UsageError(f"{cls.__name__} needs the option {key!r}: --option {key}=…")
        else:
            values[key] = parameter.default
    return values


def _convert(key: str, hint: Any, text: str) -> Any:
    if typing.get_origin(hint) is Literal:
        literals = {str(choice): choice for choice in typing.get_args(hint)}
        if text in literals:
            return literals[text]
        raise UsageError(f"--option {key}={text}: choose one of {', '.join(literals)}.")
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        choices = typing.get_args(hint)
        if text.lower() == "none" and type(None) in choices:
            return None
        return _convert(key, next(choice for choice in choices if choice is not type(None)), text)
    if hint is bool:
        values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() in values:
            return values[text.lower()]
        raise UsageError(f"--option {key}={text}: expected true or false.")
    if hint not in (int, float, str, Path):
        raise UsageError(f"--option {key}={text}: an option of type {hint} cannot be given as text.")
    try:
        if hint is float and not math.isfinite(float(text)):
            raise ValueError
        return hint(text) if hint in (int, float, Path) else text
    except ValueError:
        words = {int: "a whole number", float: "a finite number"}
        raise UsageError(f"--option {key}={text}: expected {words[hint]}.") from None


def _from_file(name: str) -> SystemRef:
    file, _, qualname = name.rpartition(":")
    path = Path(file if file else name)
    if not file or not qualname:
        raise UsageError(f"{name!r} names no class. Write path/to/file.py:ClassName.")
    if not path.is_file():
        raise UsageError(f"There is no file {path}. Write path/to/file.py:ClassName.")
    return SystemRef(name, str(path.resolve()), qualname, path=True)


def _import_file(path: Path) -> types.ModuleType:
    """Import a user's file, with its folder on the path as ``python file.py`` would.

    Under a name of its own: a file called random.py must not replace the module.
    """
    name = f"_tspbench_user_{path.stem}"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _card_folders() -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(BUNDLED)
    for home in (spec.submodule_search_locations or ()) if spec else ():
        for folder in sorted(Path(home).iterdir()):
            if folder.is_dir() and not folder.name.startswith(("_", ".")):
                yield f"{BUNDLED}.{folder.name}", folder


def _plugged(entry: importlib.metadata.EntryPoint) -> SystemRef:
    """A third party's system; its card.toml, if any, lies beside its module."""
    package = entry.module.partition(".")[0]
    spec = importlib.util.find_spec(package)
    card = None
    for home in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(home).joinpath(*entry.module.split(".")[1:-1])
        paths = (folder / f"{entry.name}.card.toml", folder / "card.toml")
        card = next((_read_card(path) for path in paths if path.is_file()), None)
    return SystemRef(entry.name, entry.module, entry.attr, card=card)


def _read_card(path: Path) -> Card:
    try:
        return decode(Card, tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, DecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
