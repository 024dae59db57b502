"""Published checkpoints of TD-SpeakerBeam, in the two layouts that there are.

Asteroid's class names (the authors' recipe is built from them) and ESPnet's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from tspbench.decode import DecodeError, decode
from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.td_speakerbeam.model import ESPNET, LIBRI2MIX_8K, Config, Fusion, SpeakerBeam, build

Layout = Literal["asteroid", "espnet", "trainer"]
Rules = tuple[tuple[str, str], ...]
LIGHTNING = "model."
NORM = (("gamma", "weight"), ("beta", "bias"))
ASTEROID_BLOCK = {
    "shared_block.0": "expand", "shared_block.1": "expand_prelu", "shared_block.2": "expand_norm",
    "shared_block.3": "depthwise", "shared_block.4": "depthwise_prelu", "shared_block.5": "depthwise_norm",
    "res_conv": "residual", "skip_conv": "skip",
}  # fmt: skip
ESPNET_BLOCK = {
    "net.0": "expand", "net.1": "expand_prelu", "net.2": "expand_norm",
    "net.3.net.0": "depthwise", "net.3.net.1": "depthwise_prelu", "net.3.net.2": "depthwise_norm",
    "net.3.net.3": "residual", "net.3.skip_conv": "skip",
}  # fmt: skip
ASTEROID_TOP = {
    "encoder.filterbank._filters": "encoder.weight",
    "decoder.filterbank._filters": "decoder.weight",
    "auxiliary.1.filterbank._filters": "auxiliary_encoder.weight",
}
ESPNET_TOP = {
    "encoder.conv1d.weight": "encoder.weight",
    "decoder.convtrans1d.weight": "decoder.weight",
    **{f"extractor.tcn.adapt_layer.transform.{i}.{p}": f"fusion.{i}.linear.{p}"
       for i in range(2) for p in ("weight", "bias")},
}  # fmt: skip


def read(path: Path, trust_pickle: bool = False) -> weights.State:
    """The tensors of a checkpoint file in either layout.

    Raises
    ------
    UsageError
        The file is something else, or another model's.
    """
    state = weights.read(path, trust_pickle)
    if f"{LIGHTNING}encoder.filterbank._filters" in state:
        state = {key.removeprefix(LIGHTNING): tensor for key, tensor in state.items() if key.startswith(LIGHTNING)}
    if "extractor.auxiliary_net.weight" in state:
        raise UsageError(f"{path} is a TD-SpeakerBeam that is told by speaker vectors; this one is told by enrolments.")
    if layout(state) is None:
        raise UsageError(
            f"{path} is not TD-SpeakerBeam's checkpoint (neither auxiliary.* of Asteroid's layout "
            f"nor extractor.auxiliary_net.* of ESPnet's) but {weights.what_is(state)}."
        )
    return state


def layout(state: Mapping[str, Any]) -> Layout | None:
    """Which layout some keys belong to, if any; ``trainer`` is that of trainings here."""
    if "masker.blocks.0.expand.weight" in state:
        return "trainer"
    if any(key.startswith("extractor.auxiliary_net.network.") for key in state):
        return "espnet"
    if any(key.startswith("auxiliary.") for key in state) and any(key.startswith("masker.") for key in state):
        return "asteroid"
    return None


def load(state: Mapping[str, Any], path: Path) -> SpeakerBeam:
    """The network with the weights of a checkpoint (from :func:`read`).

    Raises
    ------
    UsageError
        A tensor is missing, has another shape, or is one too many.
    """
    try:
        network = build(_trainers_config(path) if layout(state) == "trainer" else config(state))
    except KeyError as error:
        raise UsageError(f"{path} lacks {error.args[0]}, and perhaps more.") from error
    unexpected = weights.load(network, convert(state), path)
    if unexpected:
        raise UsageError(f"{path} has tensors that TD-SpeakerBeam has not: {weights.some(unexpected)}.")
    return network


def _trainers_config(path: Path) -> Config:
    """The architecture that a training here wrote beside its weights."""
    try:
        return decode(Config, _beside(path)["config"]["network"])
    except (DecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} does not say what network it is of: {error}. Name best.pt or last.pt.") from error


def _beside(path: Path) -> Mapping[str, Any]:
    """What lies beside the tensors of a file."""
    if weights.refuse_other_files(path) != "safetensors":
        content: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return content
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {key: json.loads(text) for key, text in (file.metadata() or {}).items()}


# -- names ---------------------------------------------------------------------------------------


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """The published weights, in either layout, under this network's names."""
    if layout(published) == "trainer":
        return dict(published)
    if layout(published) == "espnet":
        blocks = _blocks_per_repeat(published)
        return {_espnet_name(key, blocks, published): _flat_norm(key, t) for key, t in published.items()}
    return {_asteroid_name(key): tensor for key, tensor in published.items()}


def _asteroid_name(key: str) -> str:
    if key in ASTEROID_TOP:
        return ASTEROID_TOP[key]
    home, _, rest = key.removeprefix("auxiliary.2.").removeprefix("masker.").partition(".")
    home = home if key.startswith(("auxiliary.2.", "masker.")) else ""
    tcn = "auxiliary" if key.startswith("auxiliary.") else "masker"
    if home == "bottleneck":
        return f"{tcn}.{_tensor({'0': 'norm', '1': 'bottleneck'}, rest, key)}"
    if home == "mask_net":
        return f"{tcn}.{_tensor({'0': 'last_prelu', '1': 'last'}, rest, key)}"
    if home == "TCN":
        index, _, inside = rest.partition(".")
        return f"{tcn}.blocks.{index}.{_tensor(ASTEROID_BLOCK, inside, key)}"
    return key


def _espnet_name(key: str, blocks: int, published: Mapping[str, Any]) -> str:
    if key in ESPNET_TOP:
        return ESPNET_TOP[key]
    found = re.fullmatch(r"extractor\.(tcn|auxiliary_net)\.network\.(\d)\.(.+)", key)
    if not found:
        return key
    home, place, rest = found.groups()
    tcn = "masker" if home == "tcn" else "auxiliary"
    if place == "2":
        repeat, index, inside = rest.split(".", 2)
        return f"{tcn}.blocks.{int(repeat) * blocks + int(index)}.{_tensor(ESPNET_BLOCK, inside, key)}"
    last = {"3": "last_prelu", "4": "last"} if _last_prelu(published) else {"3": "last"}
    return f"{tcn}.{_tensor({'0': 'norm', '1': 'bottleneck', **last}, f'{place}.{rest}', key)}"


def _tensor(modules: Mapping[str, str], inside: str, key: str) -> str:
    """``module.parameter`` under our names; the key itself where the module is none of those."""
    module, _, parameter = inside.rpartition(".")
    return f"{modules[module]}.{dict(NORM).get(parameter, parameter)}" if module in modules else key


def _flat_norm(key: str, tensor: Any) -> Any:
    """ESPnet keeps the gains of a norm as (1, C, 1)."""
    return tensor.flatten() if key.endswith((".gamma", ".beta")) else tensor


# -- sizes ---------------------------------------------------------------------------------------


def config(published: Mapping[str, Any]) -> Config:
    """The architecture that fits a state dict, read off its names and shapes.

    What leaves no trace there is as in every published recipe: a stride of
    half a kernel, the eighth block adapted, in Asteroid's layout eight blocks
    to a repeat.
    """
    return _espnet_config(published) if layout(published) == "espnet" else _asteroid_config(published)


def _asteroid_config(published: Mapping[str, Any]) -> Config:
    c = LIBRI2MIX_8K
    filters, _, kernel = published["encoder.filterbank._filters"].shape
    blocks = _count(published, r"auxiliary\.2\.TCN\.(\d+)\.")
    channels = published["masker.bottleneck.1.weight"].shape[0]
    return replace(
        c, filters=filters, kernel=kernel, stride=kernel // 2, channels=channels,
        hidden=published["masker.TCN.0.shared_block.0.weight"].shape[0],
        block_kernel=published["masker.TCN.0.shared_block.3.weight"].shape[2],
        blocks=blocks, repeats=_count(published, r"masker\.TCN\.(\d+)\.") // blocks, adapted=c.adapted,
        fusion=_fusion(published, published["auxiliary.2.mask_net.1.weight"].shape[0], channels),
    )  # fmt: skip


def _espnet_config(published: Mapping[str, Any]) -> Config:
    tcn, aux = "extractor.tcn.network.", "extractor.auxiliary_net.network."
    filters, _, kernel = published["encoder.conv1d.weight"].shape
    channels = published[f"{tcn}1.weight"].shape[0]
    last = "4" if _last_prelu(published) else "3"
    return replace(
        ESPNET, filters=filters, kernel=kernel, stride=kernel // 2, channels=channels,
        hidden=published[f"{tcn}2.0.0.net.0.weight"].shape[0],
        block_kernel=published[f"{tcn}2.0.0.net.3.net.0.weight"].shape[2],
        blocks=_blocks_per_repeat(published), repeats=_count(published, rf"{re.escape(tcn)}2\.(\d+)\."),
        fusion=_fusion(published, published[f"{aux}{last}.weight"].shape[0], channels), last_prelu=last == "4",
    )  # fmt: skip


def _fusion(published: Mapping[str, Any], vector: int, channels: int) -> Fusion:
    if any(".adapt_layer.transform." in key for key in published):
        return "concat"
    return "multiply_add" if vector == 4 * channels else "multiply"


def _last_prelu(published: Mapping[str, Any]) -> bool:
    """ESPnet's builds since 2023 have one; then the last convolution is the fifth module, not the fourth."""
    return "extractor.tcn.network.4.weight" in published


def _blocks_per_repeat(published: Mapping[str, Any]) -> int:
    return _count(published, r"extractor\.tcn\.network\.2\.0\.(\d+)\.")


def _count(published: Mapping[str, Any], pattern: str) -> int:
    found = {match[1] for key in published if (match := re.match(pattern, key))}
    if not found:
        raise KeyError(pattern.replace("\\", "").replace("(d+)", "0") + "*")
    return len(found)
