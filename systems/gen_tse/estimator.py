"""The network that estimates the flow's velocity from the target's tokens and the speaker vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.gen_tse.config import RATE_OF_TOKENS, Config

NEIGHBOURS = 31
"""Kernel of the convolution that tells frames where they are, as in wav2vec 2.0 and Voicebox: no longest length."""


class Estimator(nn.Module):
    """Velocities (B, N, bands) of mel frames; told tokens, a speaker and the time."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        flow, bands = config.flow, config.mel.bands
        self.config = config
        self.tokens = nn.Linear(config.whisper.width, flow.width)
        self.speaker = nn.Linear(config.prompt.speaker_size, flow.speaker_width)
        self.enter = nn.Linear(bands + flow.width + flow.speaker_width, flow.width)
        self.place = nn.Conv1d(flow.width, flow.width, NEIGHBOURS, padding=NEIGHBOURS // 2, groups=flow.width // 8)
        self.time = nn.Sequential(nn.Linear(flow.width, flow.width), nn.SiLU(), nn.Linear(flow.width, flow.width))
        self.blocks = nn.ModuleList(Block(flow.width, flow.heads) for _ in range(flow.layers))
        self.last = nn.Linear(flow.width, 2 * flow.width)
        self.leave = nn.Linear(flow.width, bands)
        for layer in (self.last, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def condition(self, tokens: Tensor, speaker: Tensor, frames: int) -> Tensor:
        """What holds at every time: (B, frames, …) from tokens (B, n, width) and speaker vectors (B, size)."""
        at_frames = stretched(self.tokens(tokens), frames, self.config.mel.hop / self.config.mel.rate * RATE_OF_TOKENS)
        voice = self.speaker(F.normalize(speaker, dim=-1))
        return torch.cat([at_frames, voice[:, None].expand(-1, frames, -1)], dim=-1)

    def forward(self, states: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        x = self.enter(torch.cat([states, condition], dim=-1))
        x = x + F.gelu(self.place(x.transpose(1, 2))).transpose(1, 2)
        time = F.silu(self.time(sinusoids(times, self.config.flow.width)))
        for block in self.blocks:
            x = block(x, time)
        scale, shift = self.last(time)[:, None].chunk(2, dim=-1)
        return self.leave(F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift)


class Block(nn.Module):
    """Attention and two linear maps, with shifts, scales and gates from the time; at first it changes nothing."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.set_by_time = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.set_by_time.weight)
        nn.init.zeros_(self.set_by_time.bias)
        self.attend, self.attended = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, N, width) and (B, width) to (B, N, width)."""
        scale, shift, gate, scale2, shift2, gate2 = self.set_by_time(time)[:, None].chunk(6, dim=-1)
        x = x + gate * self._attention(F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift)
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2
        return x + gate2 * self.outer(F.gelu(self.inner(y)))

    def _attention(self, x: Tensor) -> Tensor:
        query, key, value = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.attend(x).chunk(3, dim=-1))
        return self.attended(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Times (B,) in [0, 1] as sines and cosines (B, width) of a thousand times as much."""
    rates = torch.exp(torch.arange(width // 2, device=times.device) * (-math.log(10_000) / (width // 2)))
    angles = 1000 * times[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def stretched(x: Tensor, frames: int, step: float) -> Tensor:
    """(B, n, C) to (B, frames, C), linearly between the middles of frames that are ``step`` of the old ones long."""
    middles = (torch.arange(frames, device=x.device) + 0.5) * step - 0.5
    places = middles.clamp(0, x.shape[1] - 1)
    left = places.floor().long()
    right = (left + 1).clamp(max=x.shape[1] - 1)
    part = (places - left)[:, None].to(x.dtype)
    return x[:, left] * (1 - part) + x[:, right] * part
