"""Greedy decoding by OpenAI's rules (``whisper.decoding``), on transformers' network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tspbench.systems.whisper.vocabulary import STEP_S, Marks

MOST = 224
"""Tokens of text at most: half of the decoder's positions."""
LATEST_START_S = 1.0
"""With timestamps: where the first one may lie at most."""


@torch.inference_mode()
def detect_languages(network: Any, marks: Marks, heard: Tensor) -> Tensor:
    """The most likely language of each item, as tokens (B,); ``heard`` is the encoder's output."""
    first = torch.full((len(heard), 1), marks.start, device=heard.device)
    states = network.model.decoder(input_ids=first, encoder_hidden_states=heard).last_hidden_state
    begin = marks.start + 1
    logits = network.proj_out(states[:, -1])[:, begin : begin + len(marks.languages)]
    return begin + logits.argmax(dim=-1)


@torch.inference_mode()
def write_down(
    network: Any, marks: Marks, heard: Tensor, prefix: Tensor, timestamps: bool = False, most: int = MOST
) -> list[list[int]]:
    """The most likely token again and again, up to the end of the text.

    Parameters
    ----------
    heard
        The encoder's output, shape (B, 1500, width).
    prefix
        Tokens to begin with, shape (B, n).
    most
        Tokens of text at most.

    Returns
    -------
    The tokens after the prefix, the end left out.
    """
    never = torch.tensor(marks.never, device=heard.device)
    tokens, fed, cache = prefix, prefix, None
    longest = network.config.max_target_positions
    for _ in range(most):
        found = network.model.decoder(input_ids=fed, encoder_hidden_states=heard, past_key_values=cache, use_cache=True)
        cache = found.past_key_values
        logits = network.proj_out(found.last_hidden_state[:, -1]).float()
        written = tokens[:, prefix.shape[1] :]
        if not written.shape[1]:
            logits[:, [marks.blank, marks.end]] = -torch.inf
        logits[:, never] = -torch.inf
        if timestamps:
            for row, said in zip(logits, written.tolist(), strict=True):
                _keep_time(row, said, marks)
        fed = _next(logits, tokens[:, -1], marks.end)[:, None]
        tokens = torch.cat([tokens, fed], dim=1)
        if (fed == marks.end).all() or tokens.shape[1] > longest:
            break
    return [_up_to(row, marks.end) for row in tokens[:, prefix.shape[1] :].tolist()]


def _next(logits: Tensor, last: Tensor, end: int) -> Tensor:
    return torch.where(last == end, torch.full_like(last, end), logits.argmax(dim=-1))


def _up_to(tokens: Sequence[int], end: int) -> list[int]:
    return list(tokens[: tokens.index(end)] if end in tokens else tokens)


def _keep_time(logits: Tensor, said: Sequence[int], marks: Marks) -> None:
    """Times come in pairs, never go back, and win over text where they are likelier together."""
    times = marks.first_time
    logits[marks.no_timestamps] = -torch.inf
    last = bool(said) and said[-1] >= times
    before = len(said) < 2 or said[-2] >= times
    if last:
        logits[times if before else 0 : None if before else marks.end] = -torch.inf
    earlier = [token for token in said if token >= times]
    if earlier:
        logits[times : earlier[-1] + (0 if last and not before else 1)] = -torch.inf
    if not said:
        logits[:times] = -torch.inf
        logits[times + round(LATEST_START_S / STEP_S) + 1 :] = -torch.inf
    likely = torch.log_softmax(logits, dim=-1)
    if likely[times:].logsumexp(dim=-1) > likely[:times].max():
        logits[:times] = -torch.inf
