"""The publication's LoRA baseline: low-rank updates of queries and values; to be trained, or folded into Whisper."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.errors import UsageError
from tspbench.systems.whisper.model import published_name, renamed

ALPHA = 1
"""loralib's default, which the published script leaves as it is; the update is scaled by alpha / rank."""
RANK = 4
"""The published one; a file tells its own."""
SPEAKER = "spk_embedding1"


def fold(network: Any, lora: Mapping[str, Tensor]) -> None:
    """Add the updates to the weights of transformers' Whisper, and replace the biases that were tuned with them.

    Parameters
    ----------
    lora
        As ``loralib.lora_state_dict(…, bias="lora_only")`` writes it, under OpenAI's names.

    Raises
    ------
    UsageError
        A tensor has no place in this Whisper, lacks its partner, or has another shape.
    """
    ours = {_place(name): tensor for name, tensor in lora.items() if SPEAKER not in name}
    parameters = dict(network.named_parameters())
    for place, down in ours.items():
        if not place.endswith("lora_A"):
            continue
        stem = place.removesuffix("lora_A")
        up, weight = ours.get(f"{stem}lora_B"), parameters.get(f"{stem}weight")
        if up is None or weight is None or weight.shape != (up.shape[0], down.shape[1]):
            raise UsageError(f"these LoRA weights do not fit this Whisper: {place}, of shape {tuple(down.shape)}.")
        weight.data += (up @ down) * (ALPHA / down.shape[0])
    for place, tensor in ours.items():
        if place.endswith(".bias"):
            if place not in parameters or parameters[place].shape != tensor.shape:
                raise UsageError(f"these LoRA weights do not fit this Whisper: {place}.")
            parameters[place].data.copy_(tensor)
    lacking = [place for place in expected(network) if place not in ours]
    if lacking:
        raise UsageError(f"{len(lacking)} LoRA tensors are missing, such as {lacking[0]}.")


def expected(network: Any) -> Iterator[str]:
    """Where the published script puts updates: every query and value, of the encoder and of the decoder's two kinds."""
    for name, _ in network.named_parameters():
        stem, _, kind = name.rpartition(".")
        if kind == "weight" and stem.endswith(("q_proj", "v_proj")):
            yield f"{stem}.lora_A"
            yield f"{stem}.lora_B"


def _place(name: str) -> str:
    return f"model.{renamed(name.removeprefix('model.'))}"


@contextmanager
def speaker_in_front(network: Any, speaker: Tensor) -> Iterator[None]:
    """While this lasts, the second convolution's first frame is the speaker, shape (B, width)."""

    def hook(module: Any, args: Any, out: Tensor) -> Tensor:
        out = out.clone()
        out[:, :, 0] = speaker.to(out.dtype)
        return out

    handle = network.model.encoder.conv2.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


# -- training ------------------------------------------------------------------------------------


class Update(nn.Module):
    """Added to what a linear map gives: ``ALPHA / RANK`` times B A; at first B is zero. The map's bias is trained, too.

    As in ``loralib.Linear`` with ``mark_only_lora_as_trainable(…, bias="lora_only")``.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        where = linear.weight.device
        self.lora_A = nn.Parameter(torch.empty(RANK, linear.in_features, device=where))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, RANK, device=where))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.bias = linear.bias.requires_grad_()
        linear.register_forward_hook(lambda module, args, out: out + self(args[0]))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.lora_A), self.lora_B) * (ALPHA / RANK)


def updates(network: Any) -> nn.Module:
    """Updates of every query and value of a Whisper, in force from now on, in a tree with OpenAI's names."""
    root = nn.Module()
    for stem in dict.fromkeys(place.rpartition(".")[0] for place in expected(network)):
        *path, last = published_name(f"{stem}.weight").split(".")[:-1]
        parent = root
        for name in path:
            if not hasattr(parent, name):
                parent.add_module(name, nn.Module())
            parent = parent.get_submodule(name)
        parent.add_module(last, Update(network.get_submodule(stem)))
    return root
