"""TS-Whisper's prompts: what is learned, and where Whisper reads it.

H. Ma et al., Extending Whisper with prompt tuning to target-speaker ASR,
ICASSP 2024, arXiv 2312.08079; positions as in the authors' hooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tspbench.errors import UsageError

VECTOR = 512
"""Numbers in a speaker vector (x-vectors, as published)."""
SPEAKER, ENCODER, DECODER = "spk_embed_layer", "soft_prompt_extra_encoder", "soft_prompt_extra_decoder"
MLPS = ("mlp_encoder", "mlp_decoder")


@dataclass(frozen=True)
class Shape:
    """``depth`` is 1, or the number of Whisper's blocks; ``length`` is of one prompt; ``mlp``: not baked yet."""

    width: int
    length: int = 16
    depth: int = 1
    mlp: bool = False

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Shape:
        """Read off a state dict; KeyError names what is missing."""
        depth, length, width = state[ENCODER].shape
        return cls(width, length, depth, any(key.startswith(MLPS) for key in state))


class Residual(nn.Module):
    """The re-parameterisation that helps training: x plus a bottleneck of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = (nn.Linear(width, width // 2), nn.ReLU(), nn.Linear(width // 2, width), nn.LayerNorm(width))
        self.net = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.net(x)
        return out


class Prompts(nn.Module):
    """Everything that TS-Whisper trains, under the names of its checkpoints."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.spk_embed_layer = nn.Linear(VECTOR, shape.width)
        self.soft_prompt_extra_encoder = nn.Parameter(torch.empty(shape.depth, shape.length, shape.width))
        self.soft_prompt_extra_decoder = nn.Parameter(torch.empty(shape.depth, shape.length, shape.width))
        nn.init.xavier_uniform_(self.soft_prompt_extra_encoder)
        nn.init.xavier_uniform_(self.soft_prompt_extra_decoder)
        if shape.mlp:
            self.mlp_encoder = nn.ModuleList([Residual(shape.width) for _ in range(shape.depth)])
            self.mlp_decoder = nn.ModuleList([Residual(shape.width) for _ in range(shape.depth)])

    def forward(self, vectors: Tensor) -> Rows:
        """What Whisper reads for speaker vectors of shape (B, 512)."""
        speaker: Tensor = self.spk_embed_layer(vectors)
        encoder, decoder = (self._side(side) for side in ("encoder", "decoder"))
        return Rows(speaker[:, None], encoder[None], decoder[None])

    def _side(self, side: str) -> Tensor:
        """Effective prompts of one side, shape (depth, length, width)."""
        raw: Tensor = getattr(self, f"soft_prompt_extra_{side}")
        if not hasattr(self, f"mlp_{side}"):
            return raw
        mlps = getattr(self, f"mlp_{side}")
        return torch.stack([mlp(layer) for mlp, layer in zip(mlps, raw, strict=True)])


@dataclass(frozen=True)
class Rows:
    """What is written into Whisper. B is the batch, or 1 for all alike; n may be 0.

    Attributes
    ----------
    speaker
        Shape (B, 1, width).
    encoder, decoder
        Shape (B or 1, depth, n, width).
    """

    speaker: Tensor
    encoder: Tensor
    decoder: Tensor


def build(shape: Shape) -> Prompts:
    """The prompt module, initialised as for training."""
    return Prompts(shape).eval()


def convert(state: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint, of training or deployed, to the four tensors of the deployed one.

    Raises
    ------
    UsageError
        It is not TS-Whisper's.
    """
    try:
        shape = Shape.of(state)
        module = build(shape)
        module.load_state_dict({key: state[key] for key in module.state_dict()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise UsageError(f"not a prompt module of TS-Whisper: {error}".splitlines()[0]) from error
    with torch.no_grad():
        sides = {f"soft_prompt_extra_{side}": module._side(side).detach() for side in ("encoder", "decoder")}
    kept = {key: tensor for key, tensor in module.state_dict().items() if not key.startswith(MLPS)}
    return {**kept, **sides}


def refuse_other_backbones(shape: Shape, config: Any) -> None:
    """Do these prompts belong to a Whisper of this size?"""
    if shape.width != config.d_model or shape.depth not in (1, config.encoder_layers):
        raise UsageError(
            f"These prompts are for a Whisper of width {shape.width} with {shape.depth} blocks; this one has width "
            f"{config.d_model} and {config.encoder_layers} blocks. Name the one they were trained on."
        )


@contextmanager
def inserted(network: Any, rows: Rows) -> Iterator[None]:
    """While this lasts, Whisper reads the rows.

    In the encoder, position 0 is the speaker and 1 … n the prompts; block 0
    gets both with Whisper's own positions added, later blocks their prompts
    alone. In the decoder, positions 1 … n; those of block 0 replace the
    embedded tokens. One token by itself (a cached step, the detection of the
    language) is left alone.
    """
    encoder, decoder = network.model.encoder, network.model.decoder
    first = torch.cat([rows.speaker, rows.encoder[:, 0].expand(len(rows.speaker), -1, -1)], dim=1)
    first = first + encoder.embed_positions.weight[: first.shape[1]]
    hooks = [_before(encoder.layers[0], first, 0)]
    for i in range(1, rows.encoder.shape[1]):
        hooks.append(_before(encoder.layers[i], rows.encoder[:, i], 1))
        hooks.append(_before(decoder.layers[i], rows.decoder[:, i], 1))
    prompts = rows.decoder[:, 0]
    hooks.append(decoder.embed_tokens.register_forward_hook(lambda module, args, out: _over(out, prompts, 1)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _before(block: nn.Module, rows: Tensor, start: int) -> Any:
    """Overwrite what a block reads, however it is handed over."""

    def hook(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (_over(args[0], rows, start), *args[1:]), named
        return args, named | {"hidden_states": _over(named["hidden_states"], rows, start)}

    return block.register_forward_pre_hook(hook, with_kwargs=True)


def _over(states: Tensor, rows: Tensor, start: int) -> Tensor:
    """A copy of states (B, T, width) with rows (B or 1, n, width) from a position on."""
    if states.shape[1] == 1:
        return states
    rows = rows.to(states.dtype).expand(len(states), -1, -1)
    return torch.cat([states[:, :start], rows, states[:, start + rows.shape[1] :]], dim=1)
