"""JSON and TOML objects to frozen dataclasses and back, with errors a person can read.

A decoder is built once per type: a trial list may have a hundred thousand rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from tspbench.errors import UsageError, nearest

T = TypeVar("T")
Decoder = Callable[[Any], Any]
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
PLAIN = frozenset((str, int, float, bool, type(None)))


class DecodeError(UsageError):
    """A value that does not fit its field; the message starts with the field's path."""

    def __init__(self, problem: str, path: str = "") -> None:
        self.problem, self.path = problem, path
        super().__init__(f"{path or 'value'}: {problem}")

    def inside(self, step: str) -> DecodeError:
        """The same error seen from one level up: ``step`` is ``name`` or ``[3]``."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        return DecodeError(self.problem, f"{step}{joint}{self.path}")


def decode(cls: type[T], value: Any) -> T:
    """Build ``cls`` (a dataclass) from a parsed JSON or TOML object.

    Unknown fields, missing fields and wrong types raise :class:`DecodeError`
    naming the field, e.g. ``sources[0].gain: expected a number, got "loud"``.
    """
    return typing.cast(T, _decoder(typing.cast(Hashable, cls))(value))


def encode(value: Any) -> Any:
    """The reverse of :func:`decode`: plain JSON values, fields at their default left out."""
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    fields = _fields(kind)
    if fields is not None:
        found = {}
        for name, default in fields:
            item = getattr(value, name)
            if item is not default and item != default:
                found[name] = item if type(item) in PLAIN else encode(item)
        return found
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(encode(item) for item in value)
    return value


def canonical(value: Any) -> str:
    """The one spelling of a JSON value that digests are taken of."""
    return _CANONICAL.encode(encode(value))


def digest(value: Any) -> str:
    """sha256 (hex) of :func:`canonical`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@functools.cache
def _fields(cls: Hashable) -> tuple[tuple[str, Any], ...] | None:
    """:func:`_defaults` of a dataclass, None for any other type."""
    return _defaults(cls) if dataclasses.is_dataclass(cls) else None


@functools.cache
def _defaults(cls: Any) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of a dataclass's fields; ``MISSING`` where a field has none."""
    return tuple(
        (field.name, field.default if field.default_factory is dataclasses.MISSING else field.default_factory())
        for field in dataclasses.fields(cls)
    )


@functools.cache
def _decoder(hint: Any) -> Decoder:
    origin = get_origin(hint)
    if hint is Any:
        return lambda value: value
    if origin in (Union, types.UnionType):
        return _union(hint)
    if origin is Literal:
        return _literal(get_args(hint))
    if origin in (tuple, frozenset):
        return _several(origin, _decoder(get_args(hint)[0]))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return _mapping(_decoder(get_args(hint)[1]))
    if dataclasses.is_dataclass(hint):
        return _dataclass(typing.cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum(hint)
    return _number if hint is float else _scalar(hint)


def _union(hint: Any) -> Decoder:
    options = [_decoder(option) for option in get_args(hint) if option is not type(None)]
    optional = type(None) in get_args(hint)

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        first: DecodeError | None = None
        for option in options:
            try:
                return option(value)
            except DecodeError as error:
                first = first or error
        assert first is not None
        raise first

    return read


def _literal(choices: tuple[Any, ...]) -> Decoder:
    def read(value: Any) -> Any:
        if value in choices:
            return value
        raise _unfit(" or ".join(json.dumps(choice) for choice in choices), value)

    return read


def _several(container: Callable[[list[Any]], Any], item: Decoder) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, list | tuple | set | frozenset):
            raise _unfit("a list", value)
        found: list[Any] = []
        try:
            for each in value:
                found.append(item(each))
        except DecodeError as error:
            raise error.inside(f"[{len(found)}]") from None
        return container(found)

    return read


def _mapping(item: Decoder) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _unfit("an object", value)
        found = {}
        for key, each in value.items():
            try:
                found[str(key)] = item(each)
            except DecodeError as error:
                raise error.inside(str(key)) from None
        return found

    return read


def _dataclass(cls: type) -> Decoder:
    hints = typing.get_type_hints(cls)
    readers = {name: _decoder(hints[name]) for name, _ in _defaults(cls)}
    required = [name for name, default in _defaults(cls) if default is dataclasses.MISSING]

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _unfit("an object", value)
        found = {}
        for key, each in value.items():
            if key not in readers:
                raise DecodeError(f"no such field. {nearest(str(key), readers)}", str(key))
            try:
                found[key] = readers[key](each)
            except DecodeError as error:
                raise error.inside(key) from None
        for name in required:
            if name not in found:
                raise DecodeError("this field is required.", name)
        return cls(**found)

    return read


def _enum(cls: type[Enum]) -> Decoder:
    members = {member.value: member for member in cls}

    def read(value: Any) -> Any:
        found = members.get(value) if isinstance(value, str | int) else None
        if found is None:
            raise DecodeError(f"{value!r} is not one of {', '.join(map(str, members))}.")
        return found

    return read


def _number(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
        raise _unfit("a finite number", value)
    raise _unfit("a number", value)


def _scalar(hint: type) -> Decoder:
    words = {int: "a whole number", str: "text", bool: "true or false"}.get(hint, str(hint))

    def read(value: Any) -> Any:
        if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
            raise _unfit(words, value)
        return value

    return read


def _unfit(expected: str, value: Any) -> DecodeError:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    return DecodeError(f"expected {expected}, got {shown}.")
