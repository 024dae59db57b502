"""Whisper's network, in transformers' implementation, under either of its published layouts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import WhisperConfig, WhisperForConditionalGeneration

from tspbench.errors import UsageError
from tspbench.systems.seeded import seeded

SIZES = {"tiny": (384, 4), "base": (512, 6), "small": (768, 12), "medium": (1024, 24), "large-v2": (1280, 32)}
"""Width, and blocks of the encoder (and of the decoder, which has as many)."""
MINI, MINI_SIZE = "mini", (128, 2)
"""Not published: for trying a training, with random weights."""
HEAD = 64
"""Width of one attention head in every published size."""
MULTILINGUAL = 51_865
"""Tokens of the multilingual checkpoints up to large-v2. Later ones have one more, English-only ones one less."""
COMPUTED = ("encoder.embed_positions.weight",)
"""Sinusoids; a file may leave them out."""
MARK = "trained_on_random_whisper"
"""A tensor of this name is in every file that was trained on a Whisper of random weights; it holds the seed."""

_NAMES = (
    (".blocks.", ".layers."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".mlp_ln.", ".final_layer_norm."),
    (".attn.", ".self_attn."),
    (".cross_attn.", ".encoder_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".token_embedding.", ".embed_tokens."),
    (".positional_embedding", ".embed_positions.weight"),
    ("encoder.ln_post.", "encoder.layer_norm."),
    ("decoder.ln.", "decoder.layer_norm."),
)
"""Parts of a tensor's name in OpenAI's files and in transformers'."""


@dataclass(frozen=True)
class Dims:
    """The shape of a Whisper."""

    width: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    inner: int
    mels: int = 80
    tokens: int = MULTILINGUAL
    frames: int = 1500
    text: int = 448

    @classmethod
    def named(cls, size: str) -> Dims:
        """One of :data:`SIZES`, or ``mini``."""
        width, layers = MINI_SIZE if size == MINI else SIZES[size]
        return cls(width, layers, layers, width // HEAD, 4 * width)

    @classmethod
    def of(cls, state: Mapping[str, Any], heads: int | None = None) -> Dims:
        """Read off the shapes of tensors under transformers' names; KeyError names one that is missing."""
        mels, width = state["model.encoder.conv1.weight"].shape[1], state["model.encoder.conv1.weight"].shape[0]
        return cls(
            width=width,
            encoder_layers=_blocks(state, "model.encoder.layers."),
            decoder_layers=_blocks(state, "model.decoder.layers."),
            heads=heads or width // HEAD,
            inner=state["model.encoder.layers.0.fc1.weight"].shape[0],
            mels=mels,
            tokens=state["model.decoder.embed_tokens.weight"].shape[0],
            text=state["model.decoder.embed_positions.weight"].shape[0],
        )


def _blocks(state: Mapping[str, Any], prefix: str) -> int:
    return 1 + max((int(key[len(prefix) :].partition(".")[0]) for key in state if key.startswith(prefix)), default=-1)


def build(dims: Dims) -> Any:
    """A ``WhisperForConditionalGeneration`` with random weights, in evaluation mode."""
    end = 50_256 + (dims.tokens >= MULTILINGUAL)  # of text; the tokens after it are marks, languages and times
    config = WhisperConfig(
        vocab_size=dims.tokens,
        num_mel_bins=dims.mels,
        d_model=dims.width,
        encoder_layers=dims.encoder_layers,
        decoder_layers=dims.decoder_layers,
        encoder_attention_heads=dims.heads,
        decoder_attention_heads=dims.heads,
        encoder_ffn_dim=dims.inner,
        decoder_ffn_dim=dims.inner,
        max_source_positions=dims.frames,
        max_target_positions=dims.text,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=end + 1,
    )
    return WhisperForConditionalGeneration(config).eval()


def convert(state: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors under OpenAI's or transformers' names, to transformers' names."""
    found = dict(state)
    if any(".blocks." in key for key in state):
        found = {f"model.{renamed(key.removeprefix('model.'))}": tensor for key, tensor in state.items()}
    embedding = found.get("model.decoder.embed_tokens.weight")
    if embedding is not None:
        found["proj_out.weight"] = embedding
    return found


def renamed(name: str) -> str:
    """OpenAI's name of a tensor to transformers' (without its leading ``model.``)."""
    name = f".{name}"
    for published, ours in _NAMES:
        name = name.replace(published, ours)
    return name[1:]


def published_name(name: str) -> str:
    """The inverse of :func:`renamed`, of a name with its leading ``model.``."""
    name = f".{name.removeprefix('model.')}"
    for published, ours in reversed(_NAMES):
        name = name.replace(ours, published)
    return name[1:]


def published_state(network: Any) -> dict[str, Any]:
    """A network's tensors as OpenAI's files hold them, dimensions and names."""
    c = network.config
    audio = (c.max_source_positions, c.d_model, c.encoder_attention_heads, c.encoder_layers)
    text = (c.max_target_positions, c.d_model, c.decoder_attention_heads, c.decoder_layers)
    dims = {"n_mels": c.num_mel_bins, "n_vocab": c.vocab_size}
    for side, values in (("audio", audio), ("text", text)):
        names = (f"n_{side}_{what}" for what in ("ctx", "state", "head", "layer"))
        dims |= dict(zip(names, values, strict=True))
    named = {name: tensor for name, tensor in network.state_dict().items() if name != "proj_out.weight"}
    return {"dims": dims, "model_state_dict": {published_name(name): tensor for name, tensor in named.items()}}


def randomise(network: Any, seed: int) -> Any:
    """Seeded weights under OpenAI's names; sinusoids stay, the output stays tied to the input."""
    import torch

    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not name.endswith(COMPUTED) and name != "proj_out.weight":
                tensor.copy_(torch.from_numpy(seeded(published_name(name), tuple(tensor.shape), seed)))
    return network


def refuse_unpromptable(dims: Dims) -> None:
    """Refuse a Whisper that prompts and adapters for target speakers were not made for.

    Raises
    ------
    UsageError
        English-only, large-v3 or later, or a decoder shorter than the encoder; and why.
    """
    reason = ""
    if dims.tokens < MULTILINGUAL:
        reason = (
            "it is English-only (.en). Its vocabulary merges runs of the placeholder '@', so the published "
            "prompts would overwrite other tokens than their own"
        )
    elif dims.tokens > MULTILINGUAL or dims.mels != 80:
        reason = (
            f"it is large-v3 or later ({dims.mels} mel bands, {dims.tokens} tokens). The numbers of its marks are "
            "shifted by one and its input is finer than what the published prompts were trained with"
        )
    elif dims.decoder_layers != dims.encoder_layers:
        reason = (
            f"its decoder has {dims.decoder_layers} blocks and its encoder {dims.encoder_layers} (turbo, distilled); "
            "prompts are published per block of both"
        )
    if reason:
        raise UsageError(f"This Whisper cannot be conditioned: {reason}. Use one of {', '.join(SIZES)}.")


def refuse_random(state: Collection[str], path: Path, random: int | None = None) -> None:
    """Refuse what was trained on random weights beside a Whisper whose weights are not.

    Raises
    ------
    UsageError
        How to run it all the same.
    """
    if MARK in state and random is None:
        raise UsageError(
            f"{path} was trained on a Whisper of random weights, to try the trainer; it tells another Whisper nothing. "
            "To see it run, in a run that is marked as one with random weights: --option weights=random "
            "--option size=mini, or the size it was trained with."
        )
