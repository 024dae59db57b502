"""LAION's names for the tensors of CLAP, and those of transformers' ``ClapModel``.

LAION (github.com/LAION-AI/CLAP, ``laion_clap/clap_module``) calls the HTSAT
audio encoder ``audio_branch`` and RoBERTa ``text_branch``; each attention of
HTSAT holds queries, keys and values in one matrix, ``qkv``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

State = dict[str, Any]

AUDIO = "audio_model.audio_encoder."
BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "attn.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "attn.relative_position_index": "attention.self.relative_position_index",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
QKV = ("query", "key", "value")
MODULES = {
    "audio_branch.bn0.": f"{AUDIO}batch_norm.",
    "audio_branch.": AUDIO,
    "text_branch.": "text_model.",
    "audio_projection.0.": "audio_projection.linear1.",
    "audio_projection.2.": "audio_projection.linear2.",
    "text_projection.0.": "text_projection.linear1.",
    "text_projection.2.": "text_projection.linear2.",
    "logit_scale_a": "logit_scale_a",
    "logit_scale_t": "logit_scale_t",
}
UNUSED = re.compile(
    r"audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\."
    r"|.*\.attn_mask$|(text|audio)_transform\.|text_branch\.embeddings\.(position|token_type)_ids$"
)
"""The front end and its filters (computed here), the tagging head, masks and counters (computed by transformers)."""

_IN_BLOCK = re.compile(r"(audio_branch\.layers\.\d+\.blocks\.\d+\.)(.+?)((?:\.(?:weight|bias))?)$")


def convert(published: Mapping[str, Any]) -> State:
    """A LAION state dict (no ``module.`` prefix) under the names of ``ClapModel``; unknown keys keep theirs."""
    state: State = {}
    for key, tensor in published.items():
        if UNUSED.match(key):
            continue
        inner = _IN_BLOCK.match(key)
        if inner and inner[2] == "attn.qkv":
            home = f"{_renamed(inner[1])}attention.self."
            for name, part in zip(QKV, tensor.chunk(3), strict=True):
                state[f"{home}{name}{inner[3]}"] = part
        elif inner and inner[2] in BLOCK:
            state[f"{_renamed(inner[1])}{BLOCK[inner[2]]}{inner[3]}"] = tensor
        else:
            state[_renamed(key)] = tensor
    return state


def _renamed(key: str) -> str:
    for ours, theirs in MODULES.items():
        if key.startswith(ours):
            return theirs + key[len(ours) :]
    return key


def revert(state: Mapping[str, Any], join: Callable[[list[Any]], Any]) -> State:
    """The reverse of :func:`convert`; ``join`` concatenates tensors along their first axis."""
    there = {theirs: ours for ours, theirs in BLOCK.items()}
    published: State = {}
    for key, tensor in state.items():
        name = _published(key)
        inner = _IN_BLOCK.match(name)
        if inner and inner[2] == "attention.self.query":
            parts = [state[key.replace(".query.", f".{part}.")] for part in QKV]
            published[f"{inner[1]}attn.qkv{inner[3]}"] = join(parts)
        elif inner and inner[2] in there:
            published[f"{inner[1]}{there[inner[2]]}{inner[3]}"] = tensor
        elif not (inner and inner[2].startswith("attention.self.")):
            published[name] = tensor
    return published


def _published(key: str) -> str:
    for ours, theirs in MODULES.items():
        if key.startswith(theirs):
            return ours + key[len(theirs) :]
    return key


def config(published: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of transformers' ``ClapConfig`` that fit a LAION state dict, read off its shapes.

    RoBERTa's layer norms have eps 1e-5, as in ``roberta-base``, which LAION's
    text branch is (the default of ``ClapTextConfig`` is 1e-12). Heads of the
    text encoder are 64 wide.
    """
    words = published["text_branch.embeddings.word_embeddings.weight"].shape
    positions = published["text_branch.embeddings.position_embeddings.weight"].shape
    inner = published["text_branch.encoder.layer.0.intermediate.dense.weight"].shape
    size = published["text_projection.2.weight"].shape[0]
    return {
        "projection_dim": size,
        "audio_config": audio_config(published),
        "text_config": {
            "vocab_size": words[0],
            "hidden_size": words[1],
            "num_hidden_layers": _count(published, r"text_branch\.encoder\.layer\.(\d+)\."),
            "num_attention_heads": max(1, words[1] // 64),
            "intermediate_size": inner[0],
            "max_position_embeddings": positions[0],
            "layer_norm_eps": 1e-5,
        },
    }


def audio_config(published: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of ``ClapAudioConfig`` that fit the HTSAT in a LAION state dict."""
    width = published["audio_branch.patch_embed.proj.weight"].shape[0]
    layers = range(_count(published, r"audio_branch\.layers\.(\d+)\."))
    table = "audio_branch.layers.{}.blocks.0.attn.relative_position_bias_table"
    return {
        "patch_embeds_hidden_size": width,
        "hidden_size": width * 2 ** (len(layers) - 1),
        "depths": [_count(published, rf"audio_branch\.layers\.{i}\.blocks\.(\d+)\.") for i in layers],
        "num_attention_heads": [published[table.format(i)].shape[1] for i in layers],
    }


def _count(keys: Mapping[str, Any], pattern: str) -> int:
    return 1 + max(int(found[1]) for key in keys if (found := re.match(pattern, key)))
