"""JSON and TOML objects to frozen dataclasses and back, with errors a person can read."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from tspbench.errors import UsageError, nearest

T = TypeVar("T")


class DecodeError(UsageError):
    """A value that does not fit its field; the message starts with the field's path."""


def decode(cls: type[T], value: Any, where: str = "") -> T:
    """Build ``cls`` (a dataclass) from a parsed JSON or TOML object.

    Unknown fields, missing fields and wrong types raise :class:`DecodeError`
    naming the field, e.g. ``sources[0].gain: expected a number, got "loud"``.
    """
    return typing.cast(T, _decode(cls, value, where))


def encode(value: Any) -> Any:
    """The reverse of :func:`decode`: plain JSON values, fields at their default left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if getattr(value, field.name) != _default(field)
        }
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
    return json.dumps(encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (hex) of :func:`canonical`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _decode(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(hint, value, where)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise _unfit(where, " or ".join(json.dumps(a) for a in get_args(hint)), value)
    if origin in (tuple, frozenset):
        if not isinstance(value, list | tuple | set | frozenset):
            raise _unfit(where, "a list", value)
        items = (_decode(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
        return origin(items)
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise _unfit(where, "an object", value)
        return {str(key): _decode(get_args(hint)[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return _decode_dataclass(typing.cast(type, hint), value, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _decode_enum(hint, value, where)
    return _decode_scalar(hint, value, where)


def _decode_union(hint: Any, value: Any, where: str) -> Any:
    options = get_args(hint)
    if value is None and type(None) in options:
        return None
    errors = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _decode(option, value, where)
        except DecodeError as error:
            errors.append(error)
    raise errors[0]


def _decode_dataclass(cls: type, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _unfit(where, "an object", value)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in value:
        if key not in fields:
            raise DecodeError(f"{_at(where, str(key))}: no such field. {nearest(str(key), fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise DecodeError(f"{_at(where, name)}: this field is required.")
    hints = _hints(cls)
    return cls(**{key: _decode(hints[key], item, _at(where, key)) for key, item in value.items()})


def _decode_enum(cls: type[Enum], value: Any, where: str) -> Any:
    try:
        return cls(value)
    except ValueError:
        names = [str(member.value) for member in cls]
        raise DecodeError(f"{where}: {value!r} is not one of {', '.join(names)}.") from None


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            if math.isfinite(value):
                return float(value)
        raise _unfit(where, "a finite number", value)
    if hint is float or not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        words = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise _unfit(where, words.get(hint, str(hint)), value)
    return value


def _unfit(where: str, expected: str, value: Any) -> DecodeError:
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    return DecodeError(f"{where or 'value'}: expected {expected}, got {shown}.")


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
