"""A part of an ONNX network, between two of its tensors, on nothing but the bytes of the file.

onnxruntime gives a network's declared outputs only. Rewriting the graph needs
few of the fields of onnx.proto (github.com/onnx/onnx), and so no further package.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int | str, ...]
"""Sizes; a name stands for one that varies."""

_MODEL_GRAPH = 7
_NODE, _GRAPH_NAME, _INITIALIZER, _INPUT, _OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME = 8
_FLOAT = 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """A float tensor of a network by its name."""

    name: str
    shape: Shape


def part(model: bytes, entry: Tensor, exit: Tensor) -> bytes:
    """The network that computes ``exit`` from ``entry``, as an ONNX file.

    Raises
    ------
    ValueError
        ``exit`` does not exist, or needs more than ``entry``.
    """
    fields = list(_fields(model))
    graph = next(payload for number, _, payload in fields if number == _MODEL_GRAPH)
    rest = b"".join(whole for number, whole, _ in fields if number != _MODEL_GRAPH)
    return rest + _bytes(_MODEL_GRAPH, _cut(graph, entry, exit))


def _cut(graph: bytes, entry: Tensor, exit: Tensor) -> bytes:
    fields = list(_fields(graph))
    wanted, nodes = {exit.name}, []
    for number, whole, payload in reversed(fields):
        if number == _NODE and wanted & _names(payload, _NODE_OUTPUT):
            nodes.append(whole)
            wanted = (wanted - _names(payload, _NODE_OUTPUT)) | (_names(payload, _NODE_INPUT) - {entry.name})
    weights = {
        _names(payload, _TENSOR_NAME).pop(): whole for number, whole, payload in fields if number == _INITIALIZER
    }
    if wanted - weights.keys():
        raise ValueError(f"{exit.name} cannot be computed from {entry.name}: {sorted(wanted - weights.keys())} lack.")
    name = b"".join(whole for number, whole, _ in fields if number == _GRAPH_NAME)
    kept = b"".join(weights[name] for name in sorted(wanted))
    return b"".join(reversed(nodes)) + name + kept + _bytes(_INPUT, _declared(entry)) + _bytes(_OUTPUT, _declared(exit))


def _names(message: bytes, field: int) -> set[str]:
    return {payload.decode() for number, _, payload in _fields(message) if number == field}


def _declared(tensor: Tensor) -> bytes:
    """ValueInfoProto: name, type.tensor_type.(elem_type, shape.dim.(dim_value | dim_param))."""
    sizes = (_bytes(2, size.encode()) if isinstance(size, str) else _number(1, size) for size in tensor.shape)
    shape = b"".join(_bytes(1, size) for size in sizes)
    return _bytes(1, tensor.name.encode()) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, shape)))


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(number, the whole field, its payload where it has a length) of a protobuf message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        payload = b""
        if key & 7 == 2:
            size, at = _read_varint(message, at)
            payload = message[at : at + size]
            at += size
        elif key & 7 == 0:
            _, at = _read_varint(message, at)
        else:
            at += {1: 8, 5: 4}[key & 7]
        yield key >> 3, message[start:at], payload


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | message[at] << shift, at + 1


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload
