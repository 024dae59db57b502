"""CLAPSep's published checkpoint: the trained part of the network, to be laid over CLAP's own weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.clap.files import COMPUTED
from tspbench.systems.clapsep import model

TRAINED = re.compile(r"audio_branch\..*\.attn\.(qkv|proj)\.(lora_A|lora_B|bias)$|decoder_model\.")
KNOWN = ("audio_branch.", "decoder_model.", "clap_model.", "stft.", "istft.", "resampler.")
"""What the published module has; a checkpoint of the whole of it holds all of these."""


def read(path: Path, trust_pickle: bool = False) -> weights.State:
    """The tensors of a checkpoint file that CLAPSep trains.

    Raises
    ------
    UsageError
        The file is something else, another model's, or a variant that this network is not.
    """
    state = weights.read(path, trust_pickle)
    if not any(key.startswith(model.DECODER) for key in state):
        raise UsageError(f"{path} is not CLAPSep's checkpoint (no {model.DECODER}*) but {weights.what_is(state)}.")
    if any(key.startswith(f"{model.DECODER}phase_net.") for key in state):
        raise UsageError(f"{path} is a CLAPSep that estimates phases; the published weights, and this network, do not.")
    if not any(key.endswith(".lora_A") for key in state):
        raise UsageError(f"{path} lacks every lora_A and lora_B of the encoder; it is {weights.what_is(state)}.")
    odd = [key for key in state if not key.startswith(KNOWN)]
    if odd:
        print(f"{path.name}: {len(odd)} unexpected keys, which are not used: {weights.some(odd)}")
    return {key: tensor for key, tensor in state.items() if TRAINED.match(key)}


def load(checkpoint: Mapping[str, Any], clap: Mapping[str, Any], path: Path) -> model.Separator:
    """The network with the weights of a checkpoint (from :func:`read`) and of the CLAP it was trained on.

    Raises
    ------
    UsageError
        A tensor is missing, has another shape, or is one too many; or the two files do not belong together.
    """
    published = {**{key: tensor for key, tensor in clap.items() if key.startswith(model.ENCODER)}, **checkpoint}
    try:
        config = model.config(published)
    except KeyError as error:
        raise UsageError(f"{path} lacks {model.DECODER}{error.args[0]}, and perhaps more.") from error
    _refuse_strangers(checkpoint, clap, path)
    network = model.build(config)
    unexpected = weights.load(network, model.convert(published), path, COMPUTED)
    strange = [key for key in unexpected if key.startswith("decoder.")]
    if strange:
        raise UsageError(f"{path} has tensors that the published decoder has not: {weights.some(strange)}.")
    return network


def _refuse_strangers(checkpoint: Mapping[str, Any], clap: Mapping[str, Any], path: Path) -> None:
    """Does every LoRA pair have its place in CLAP, and every such place its pair?"""
    for key, tensor in checkpoint.items():
        weight = key.replace("lora_A", "weight").replace("lora_B", "weight")
        if ".lora_" not in key:
            continue
        axis = 1 if key.endswith("lora_A") else 0
        if weight not in clap or clap[weight].shape[axis] != tensor.shape[axis]:
            raise UsageError(
                f"{path} does not belong to this CLAP: {key} has shape {tuple(tensor.shape)}, "
                f"the CLAP file has {'no ' + weight if weight not in clap else tuple(clap[weight].shape)}. "
                "CLAPSep was trained on music_audioset_epoch_15_esc_90.14.pt."
            )
    places = [key for key in clap if re.search(r"audio_branch\..*\.attn\.(qkv|proj)\.weight$", key)]
    wanted = [f"{key.removesuffix('weight')}lora_{side}" for key in places for side in "AB"]
    absent = [key for key in wanted if key not in checkpoint]
    if absent:
        raise UsageError(f"{path} lacks {len(absent)} of {len(wanted)} LoRA tensors: {weights.some(absent)}.")
