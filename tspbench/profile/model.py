"""Parameters and multiply-accumulates of the torch modules that a system holds."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

DEPTH = 4
"""Objects within objects that are looked into for modules."""
HEAVY = ("fft", "rnn", "lstm", "gru", "conv", "attention", "linear", "mm", "quantized", "_encoder_layer")
"""Parts of the names of operators that would matter and that the counter may have no formula for."""


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; ``parts`` are the top-level children of every module the system holds.

    A parameter that several parts share counts once, for the first of them.
    ``bytes`` is of parameters and buffers as they lie in memory.
    """

    total: int
    trainable: int
    bytes: int
    parts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one call: half of what torch's flop counter counts.

    ``uncounted`` names operators that were met and have no formula, among those that weigh.
    """

    total: int
    by_operator: Mapping[str, int]
    uncounted: tuple[str, ...]


def count_parameters(system: object) -> Parameters | None:
    """The parameters of a system; None when it holds no torch module."""
    modules = dict(held_modules(system))
    if not modules:
        return None
    seen: set[int] = set()
    total = trainable = size = 0
    parts: dict[str, int] = {}
    for part, tensor in _tensors(modules):
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        size += tensor.numel() * tensor.element_size()
        if isinstance(tensor, sys.modules["torch"].nn.Parameter):
            total += tensor.numel()
            trainable += tensor.numel() * tensor.requires_grad
            parts[part] = parts.get(part, 0) + tensor.numel()
    return Parameters(total, trainable, size, parts)


def held_modules(system: object) -> Iterator[tuple[str, Any]]:
    """Every torch module that hangs on a system, with the attribute it hangs on (its own name is empty).

    Lists, dicts and plain objects are looked into; a module within another is part of that one.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        yield from _search(torch.nn.Module, system, "", DEPTH, set())


def _search(wanted: type, holder: Any, path: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(holder) in seen or depth < 0:
        return
    seen.add(id(holder))
    if isinstance(holder, wanted):
        yield path, holder
        return
    for name, value in _held(holder):
        yield from _search(wanted, value, f"{path}.{name}" if path else name, depth - 1, seen)


def _held(holder: Any) -> list[tuple[str, Any]]:
    if isinstance(holder, Mapping):
        return [(str(key), value) for key, value in holder.items()]
    if isinstance(holder, list | tuple):
        return [(str(index), value) for index, value in enumerate(holder)]
    if isinstance(holder, types.MethodType):  # a method kept in place of its object
        return [("self", holder.__self__)]
    if isinstance(holder, type | types.ModuleType | types.FunctionType) or _foreign(type(holder).__module__):
        return []
    return list(getattr(holder, "__dict__", {}).items())


def _foreign(module: str) -> bool:
    return module.partition(".")[0] in ("builtins", "torch", "numpy", "pathlib", "threading", "logging")


def _tensors(modules: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(part, parameter or buffer) of every module: its children first, then what lies in itself."""
    for path, module in modules.items():
        for name, child in module.named_children():
            part = f"{path}.{name}" if path else name
            yield from ((part, tensor) for tensor in (*child.parameters(), *child.buffers()))
        own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        yield from ((path or "(itself)", tensor) for tensor in own)


def count_macs(call: Callable[[], object]) -> Macs:
    """Count the multiply-accumulates of ``call`` with ``torch.utils.flop_counter``.

    The counter knows matrix products, convolutions and attention. Recurrent
    layers and transformer encoders run as fused kernels that it takes for
    nothing, so those are switched off while it counts: the same products are
    then seen one by one. Element-wise work, norms, softmax, Fourier
    transforms, quantised and hand-written kernels, and all that is done
    outside torch, count as nothing.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    met: set[Any] = set()

    class Watch(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            met.add(func)
            return func(*args, **(kwargs or {}))

    counter = FlopCounterMode(display=False)
    with _plain_kernels(torch), Watch(), counter:
        call()
    known = {str(packet) for packet in counter.flop_registry}
    names = {str(getattr(func, "overloadpacket", func)) for func in met}
    uncounted = sorted(name for name in names - known if any(part in name for part in HEAVY))
    operators = {str(packet): flops // 2 for packet, flops in counter.get_flop_counts().get("Global", {}).items()}
    return Macs(counter.get_total_flops() // 2, operators, tuple(uncounted))


@contextmanager
def _plain_kernels(torch: Any) -> Iterator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
