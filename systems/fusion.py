"""How a vector that describes the target (a speaker) changes the activations of a network.

Activations are (B, …, C, T), vectors (B, V).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def beside(vector: Tensor, x: Tensor) -> Tensor:
    """A vector (B, C) in a shape that spreads over activations (B, …, C, T)."""
    return vector.reshape(len(vector), *(1 for _ in range(x.ndim - 3)), -1, 1)


class Scale(nn.Module):
    """Every channel times its own number, plus another one where there are two for each; nothing is learned."""

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        if vector.shape[1] == x.shape[-2]:
            return x * beside(vector, x)
        gain, offset = vector.chunk(2, dim=1)
        return x * beside(gain, x) + beside(offset, x)


class Concat(nn.Module):
    """A linear map of every frame with the vector appended to it."""

    def __init__(self, channels: int, vector: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels + vector, channels)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        frames, appended = self.linear.weight.split([x.shape[-2], vector.shape[1]], dim=1)
        return torch.matmul(frames, x) + beside(F.linear(vector, appended, self.linear.bias), x)


class Add(nn.Module):
    """A linear map of the vector is added."""

    def __init__(self, channels: int, vector: int) -> None:
        super().__init__()
        self.linear = nn.Linear(vector, channels)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return x + beside(self.linear(vector), x)


class Multiply(Add):
    """A linear map of the vector multiplies."""

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return x * beside(self.linear(vector), x)


class Film(nn.Module):
    """``(1 + gain) x + offset``, both linear maps of the vector."""

    def __init__(self, channels: int, vector: int) -> None:
        super().__init__()
        self.gain = nn.Linear(vector, channels)
        self.offset = nn.Linear(vector, channels)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return (1 + beside(self.gain(vector), x)) * x + beside(self.offset(vector), x)


LEARNED: dict[str, Callable[[int, int], nn.Module]] = {
    "concat": Concat,
    "additive": Add,
    "multiply": Multiply,
    "film": Film,
}
"""By name: made from the number of channels and the size of the vector."""
