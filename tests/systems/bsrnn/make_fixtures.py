"""Runs WeSep's BSRNN and WeSpeaker's encoders on seeded weights and writes what they give; see README.md beside it.

Usage: python make_fixtures.py CHECKOUT_OF_WESEP CHECKOUT_OF_WESPEAKER [LABEL …]
"""

from __future__ import annotations

import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tspbench.systems.seeded import noise, seeded

HERE = Path(__file__).parent
SEED = 20240926
STRIDE = 1009
RATE = 16000
SECONDS = {"1x3s": (1, 3), "4x3s": (4, 3), "1x10s": (1, 10), "4x10s": (4, 10)}
SMALL = {"feature_dim": 16, "num_repeat": 2}
SIZES: dict[str, dict[str, Any]] = {
    "ecapa-multiply": {**SMALL, "encoder": "ecapa", "fusion": "multiply"},
    "ecapa-additive": {**SMALL, "encoder": "ecapa", "fusion": "additive"},
    "ecapa-film-each": {**SMALL, "encoder": "ecapa", "fusion": "FiLM", "each": True},
    "resnet34-concat": {**SMALL, "encoder": "resnet34", "fusion": "concat"},
    "ecapa-full": {"encoder": "ecapa", "fusion": "multiply"},
    "resnet34-full": {"encoder": "resnet34", "fusion": "multiply"},
}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ecapa": ("ECAPA_TDNN_GLOB_c512", {"embed_dim": 192, "feat_dim": 80, "pooling_func": "ASTP"}),
    "resnet34": ("ResNet34", {"embed_dim": 256, "feat_dim": 80, "pooling_func": "TSTP", "two_emb_layer": False}),
}


def signals(name: str, count: int, length: int) -> np.ndarray:
    """Noise under a slow envelope beside a tone, (count, length); where there are four, the third is silence."""
    time = np.arange(length) / RATE
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
    found = 0.1 * noise(f"signal {name}", (count, length), SEED) * envelope + 0.2 * np.sin(2 * np.pi * 440 * time)
    if count > 2:
        found[2] = 0
    return found.astype(np.float32)


def inputs(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixtures, and enrolments of 2.2 s, whose third of four is not silent: it is the second, turned round."""
    count, seconds = SECONDS[case]
    enrolments = signals(f"enrolment {case}", count, round(2.2 * RATE))
    if count > 2:
        enrolments[2] = enrolments[1, ::-1]
    return torch.from_numpy(signals(case, count, seconds * RATE)), torch.from_numpy(enrolments)


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A published tensor; counters of batch norms are 0."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    return torch.from_numpy(seeded(name, shape, SEED))


def load_published(wesep: str, wespeaker: str) -> Any:
    """WeSep's class; of both packages nothing is imported but what it is made of."""
    sys.path[:0] = [wesep, wespeaker]
    for home, name in ((wesep, "wesep"), (wesep, "wesep.models"), (wespeaker, "wespeaker")):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(home, *name.split(".")))]
        sys.modules[name] = package
    chooser = types.ModuleType("wespeaker.models.speaker_model")
    chooser.get_speaker_model = chosen_encoder
    sys.modules[chooser.__name__] = chooser
    return importlib.import_module("wesep.models.bsrnn").BSRNN


def chosen_encoder(name: str) -> Any:
    home = "resnet" if name.startswith("ResNet") else "ecapa_tdnn"
    return getattr(importlib.import_module(f"wespeaker.models.{home}"), name)


def build(published: Any, size: dict[str, Any]) -> Any:
    encoder, arguments = ENCODERS[size["encoder"]]
    return published(
        spk_emb_dim=arguments["embed_dim"], feature_dim=size.get("feature_dim", 128),
        num_repeat=size.get("num_repeat", 6), use_spk_transform=False, spk_fuse_type=size["fusion"],
        multi_fuse=size.get("each", False), joint_training=True, spk_model=encoder, spk_args=arguments,
        spk_feat=True,
    ).eval()  # fmt: skip


def features(enrolments: torch.Tensor, frontend: str) -> torch.Tensor:
    """As WeSep's recipe (without its dither) or its command line computes them."""
    from torchaudio.compliance import kaldi

    found = []
    for enrolment in enrolments[:, None]:
        if frontend == "recipe":
            mat = kaldi.fbank(enrolment * (1 << 15), num_mel_bins=80, dither=0.0, sample_frequency=RATE,
                              window_type="hamming", use_energy=False)  # fmt: skip
        else:
            mat = kaldi.fbank(enrolment, num_mel_bins=80, sample_frequency=RATE)
        found.append(mat - mat.mean(dim=0))
    return torch.stack(found)


def summary(x: torch.Tensor) -> np.ndarray:
    """Samples of each item at a stride."""
    return x.flatten(1)[:, ::STRIDE].numpy()


@torch.no_grad()
def make(published: Any, label: str) -> None:
    module = build(published, SIZES[label])
    keys = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    for name, tensor in module.state_dict().items():
        tensor.copy_(drawn(name, tuple(tensor.shape)))
    found: dict[str, np.ndarray] = {}
    for case in SECONDS:
        mixtures, enrolments = inputs(case)
        heard = features(enrolments, "recipe")
        estimates = module(mixtures, heard)[0]
        found[case] = summary(estimates)
        found[f"{case} peak"] = estimates.abs().amax(dim=1).numpy()
        found[f"{case} vectors"] = module.spk_model(heard)[-1].numpy()
    write(label, found, keys)
    count = sum(p.numel() for p in module.parameters())
    print(label, len(keys), count, {name: float(np.abs(value).max()) for name, value in found.items()})


@torch.no_grad()
def make_frontends() -> None:
    enrolments = inputs("4x3s")[1]
    found = {frontend: features(enrolments, frontend)[:, ::7].numpy() for frontend in ("recipe", "cli")}
    np.savez_compressed(HERE / "published-frontends.npz", **found)


def write(label: str, found: dict[str, np.ndarray], keys: dict[str, list[int]]) -> None:
    np.savez_compressed(HERE / f"published-{label}.npz", **found)
    (HERE / f"published-{label}-keys.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in keys.items()) + "\n}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_frontends()
    network = load_published(*sys.argv[1:3])
    for chosen in sys.argv[3:] or SIZES:
        make(network, chosen)
