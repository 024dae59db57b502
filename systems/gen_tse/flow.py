"""Flow matching along straight paths from noise to data (Y. Lipman et al., ICLR 2023, arXiv 2210.02747)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]
"""From states (B, …) and times (B,) to velocities (B, …)."""


def warped(times: Tensor, schedule: str) -> Tensor:
    """Times in [0, 1] moved along the schedule; ``cosine`` is slow at first."""
    return 1 - torch.cos(times * (math.pi / 2)) if schedule == "cosine" else times


def training_pair(data: Tensor, noise: Tensor, times: Tensor, sigma_min: float) -> tuple[Tensor, Tensor]:
    """States between noise and data (B, …) at times (B,), and the velocities with which they move."""
    t = times.view(-1, *[1] * (data.dim() - 1))
    return (1 - (1 - sigma_min) * t) * noise + t * data, data - (1 - sigma_min) * noise


def matching_loss(velocity: Velocity, data: Tensor, sigma_min: float, schedule: str = "linear") -> Tensor:
    """Mean squared error of the estimated velocity for data (B, …), at random times from random noise."""
    noise, times = torch.randn_like(data), warped(torch.rand(len(data), device=data.device), schedule)
    states, wanted = training_pair(data, noise, times, sigma_min)
    return (velocity(states, times) - wanted).square().mean()


def solve(velocity: Velocity, noise: Tensor, steps: int, schedule: str = "linear") -> Tensor:
    """Data (B, …) from noise (B, …): Euler's method from time 0 to 1."""
    state, times = noise, warped(torch.linspace(0, 1, steps + 1, dtype=torch.float64), schedule).to(noise)
    for now, then in itertools.pairwise(times):
        state = state + (then - now) * velocity(state, now.expand(len(state)))
    return state
