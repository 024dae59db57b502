"""WeSep's checkpoints of BSRNN with a speaker encoder trained beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.bsrnn.model import BSRNN, Config, Fusion, build
from tspbench.systems.speaker_encoders import ecapa, resnet

SPEAKER = "spk_model."
UNUSED = ("pred_linear.",)
"""The classifier of the training speakers."""
SAME_SHAPE: tuple[Fusion, ...] = ("multiply", "additive")
"""Fusions whose tensors look alike."""
RENAMED = (
    (r"BN\.(\d+)\.0\.", r"split.norms.\1."),
    (r"BN\.(\d+)\.1\.", r"split.maps.\1."),
    (r"mask\.", "masks.bands."),
)
FUSION = (("fc.linear.", "linear."), ("fc.gamma_fcs.0.", "gain."), ("fc.beta_fcs.0.", "offset."))
BLOCK = (("band_rnn.", "time."), ("band_comm.", "bands."))


def read(path: Path, trust_pickle: bool = False) -> weights.State:
    """The tensors of a checkpoint file that extraction needs.

    Raises
    ------
    UsageError
        The file is something else, another model's, or a variant that this network is not.
    """
    state = weights.read(path, trust_pickle)
    if not {"BN.0.0.weight", "mask.0.0.weight"} <= set(state):
        raise UsageError(f"{path} is not WeSep's BSRNN (no BN.*, mask.*) but {weights.what_is(state)}.")
    if any(key.startswith("separator.attenFuse.") for key in state):
        raise UsageError(f"{path} is WeSep's BSRNN_Feats, which attends to the enrolment's frames; this one does not.")
    if any(key.startswith(("preEmphasis.", "spk_encoder.", "spk_transform.")) for key in state):
        raise UsageError(f"{path} was trained with spk_feat: False or use_spk_transform: True, which this lacks.")
    if _encoder(state) is None:
        first = next((key for key in state if key.startswith(SPEAKER)), "none at all")
        raise UsageError(f"{path} has a speaker encoder that is neither ECAPA-TDNN nor ResNet18/34: {first}.")
    return {key: tensor for key, tensor in state.items() if not key.startswith(UNUSED)}


def _encoder(state: Mapping[str, Any]) -> Any:
    """The module that builds the speaker encoder in a state dict, if any does."""
    if f"{SPEAKER}pool.linear1.weight" in state and f"{SPEAKER}layer1.conv.weight" in state:
        return ecapa
    if f"{SPEAKER}seg_1.weight" in state and f"{SPEAKER}layer1.0.conv3.weight" not in state:
        return resnet
    return None


def load(state: Mapping[str, Any], path: Path, fusion: Fusion | None = None) -> BSRNN:
    """The network with the weights of a checkpoint (from :func:`read`).

    Raises
    ------
    UsageError
        A tensor is missing, has another shape, or is one too many.
    """
    try:
        network = build(config(state, fusion))
    except KeyError as error:
        raise UsageError(f"{path} lacks {error.args[0]}, and perhaps more.") from error
    unexpected = weights.load(network, convert(state), path)
    if unexpected:
        raise UsageError(f"{path} has tensors that this BSRNN has not: {weights.some(unexpected)}.")
    return network


def stated_fusion(path: Path) -> Fusion | None:
    """The fusion that the ``config.yaml`` beside a checkpoint names, if it does.

    Raises
    ------
    UsageError
        It names one that there is not.
    """
    if not path.is_file():
        return None
    found = re.search(r"^\s*spk_fuse_type:\s*['\"]?(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        return None
    for name in get_args(Fusion):
        if name == found[1].lower():
            return name
    raise UsageError(f"{path}: spk_fuse_type {found[1]}; known are {', '.join(get_args(Fusion))}.")


# -- names and sizes -----------------------------------------------------------------------------


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """The published weights under this network's names; what it has not keeps its name."""
    each = _fuse_each(published)
    speaker = {key.removeprefix(SPEAKER): tensor for key, tensor in published.items() if key.startswith(SPEAKER)}
    encoder = _encoder(published).convert(speaker)
    rest = {_renamed(key, each): tensor for key, tensor in published.items() if not key.startswith(SPEAKER)}
    return {**{f"encoder.{key}": tensor for key, tensor in encoder.items()}, **rest}


def _renamed(key: str, each: bool) -> str:
    for pattern, name in RENAMED:
        found = re.match(pattern, key)
        if found:
            return found.expand(name) + key[found.end() :]
    found = re.fullmatch(r"separator\.separation\.(\d+)\.(.+)", key)
    if not found:
        return key
    place, rest = int(found[1]), found[2]
    for there, here in FUSION:
        if rest.startswith(there):
            return f"fusions.{place // 2 if each else place}.{here}{rest.removeprefix(there)}"
    for there, here in BLOCK:
        if rest.startswith(there):
            return f"blocks.{place // 2 if each else place - 1}.{here}{rest.removeprefix(there)}"
    return key


def config(published: Mapping[str, Any], fusion: Fusion | None = None) -> Config:
    """The architecture that fits a state dict.

    ``fusion`` decides between those whose tensors look alike; without it they
    are taken for ``multiply``, which every shipped recipe says.
    """
    encoder = _encoder(published)
    speaker = {key.removeprefix(SPEAKER): tensor for key, tensor in published.items() if key.startswith(SPEAKER)}
    bins = 0
    while f"BN.{bins}.0.weight" in published:
        bins += 1
    widths = [published[f"BN.{i}.0.weight"].shape[0] // 2 for i in range(bins)]
    blocks = {m[1] for key in published if (m := re.match(r"separator\.separation\.(\d+)\.band_rnn\.", key))}
    return Config(
        window=2 * (sum(widths) - 1), channels=published["BN.0.1.weight"].shape[0], blocks=len(blocks),
        fusion=_fusion(published, fusion), fuse_each=_fuse_each(published), encoder=encoder.config(speaker),
    )  # fmt: skip


def _fuse_each(published: Mapping[str, Any]) -> bool:
    return any(key.startswith("separator.separation.2.fc.") for key in published)


def _fusion(published: Mapping[str, Any], told: Fusion | None) -> Fusion:
    fc = "separator.separation.0.fc."
    if f"{fc}gamma_fcs.0.weight" in published:
        return "film"
    channels, inputs = published[f"{fc}linear.weight"].shape
    encoder = "linear.weight" if _encoder(published) is ecapa else "seg_1.weight"
    if inputs == channels + published[f"{SPEAKER}{encoder}"].shape[0]:
        return "concat"
    return told if told in SAME_SHAPE else "multiply"
