"""Tensors drawn from a seed and a name: the same values wherever and in whatever order they are drawn.

For profiling without a checkpoint, and for comparing two implementations on
equal weights without shipping any. The bits are those of Philox, whose raw
stream numpy guarantees; no floating-point function is involved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def noise(name: str, shape: tuple[int, ...], seed: int) -> Floats:
    """Uniform numbers of mean 0 and variance 1, float32, that depend on nothing but the arguments."""
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    count = int(np.prod(shape))
    raw = np.random.Philox(key=key).random_raw(count)
    unit = (raw >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - 1
    return (unit * np.float32(3**0.5)).reshape(shape)


def seeded(name: str, shape: tuple[int, ...], seed: int) -> Floats:
    """A parameter or a running statistic of the size that training leaves behind.

    Matrices and kernels have variance 1 / fan-in, scales lie about 1, biases
    and means about 0, variances between 0.5 and 1.5.
    """
    values = noise(name, shape, seed)
    kind = name.rpartition(".")[2]
    if kind == "running_var":
        return 1 + values * np.float32(0.5 / 3**0.5)
    if kind == "lora_B":
        return values
    if len(shape) > 1:
        return values * np.float32(np.prod(shape[1:]) ** -0.5)
    return np.asarray((1 if kind == "weight" else 0) + values * np.float32(0.1))


def seeded_state(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Floats]:
    """One array per name."""
    return {name: seeded(name, tuple(shape), seed) for name, shape in shapes.items()}


def randomise(module: Any, seed: int, name_of: Callable[[str], str] = str) -> Any:
    """Fill a torch module's floating-point state in place; buffers of integers (indices, counters) stay.

    ``name_of`` gives the name to draw under, where it is not the module's own.
    """
    import torch

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.from_numpy(seeded(name_of(name), tuple(tensor.shape), seed)))
    return module
