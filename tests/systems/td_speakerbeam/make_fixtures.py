"""Runs Asteroid's and ESPnet's own classes on seeded weights and writes what they give; see README.md beside it.

Usage: python make_fixtures.py [LABEL …]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tspbench.systems.seeded import noise, seeded

HERE = Path(__file__).parent
SEED = 20200508
STRIDE = 1009
SECONDS = {"1x3s": (1, 3), "4x3s": (4, 3), "1x10s": (1, 10), "4x10s": (4, 10)}
SMALL = {"filters": 32, "kernel": 16, "channels": 16, "hidden": 24, "blocks": 4, "repeats": 3, "rate": 8000}
FULL_8K = {"filters": 512, "kernel": 16, "channels": 128, "hidden": 512, "blocks": 8, "repeats": 3, "rate": 8000}
FULL_16K = {"filters": 256, "kernel": 32, "channels": 256, "hidden": 512, "blocks": 8, "repeats": 4, "rate": 16000}
SIZES: dict[str, dict[str, Any]] = {
    "asteroid": {**SMALL, "fusion": "mul"},
    "asteroid-muladd": {**SMALL, "fusion": "muladd"},
    "espnet": {**SMALL, "fusion": "mul", "last": "prelu"},
    "espnet-2022": {**SMALL, "fusion": "mul", "last": "linear"},
    "espnet-muladd": {**SMALL, "fusion": "muladd", "last": "prelu"},
    "espnet-concat": {**SMALL, "fusion": "concat", "last": "prelu"},
    "asteroid-full": {**FULL_8K, "fusion": "mul"},
    "espnet-full": {**FULL_16K, "fusion": "mul", "last": "prelu"},
}


def signals(name: str, count: int, length: int) -> np.ndarray:
    """Noise under a slow envelope beside a tone, (count, length); where there are four, the third is silence."""
    time = np.arange(length) / 8000
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
    found = 0.1 * noise(f"signal {name}", (count, length), SEED) * envelope + 0.2 * np.sin(2 * np.pi * 440 * time)
    if count > 2:
        found[2] = 0
    return found.astype(np.float32)


def inputs(label: str, case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixtures, and enrolments of 2.2 s, whose third of four is not silent: it is the second, turned round."""
    count, seconds = SECONDS[case]
    rate = SIZES[label]["rate"]
    enrolments = signals(f"enrolment {case}", count, round(2.2 * rate))
    if count > 2:
        enrolments[2] = enrolments[1, ::-1]
    return torch.from_numpy(signals(case, count, seconds * rate)), torch.from_numpy(enrolments)


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A published tensor; gamma and beta of a norm are drawn as one-dimensional weight and bias."""
    home, _, kind = name.rpartition(".")
    if kind in ("gamma", "beta"):
        flat = seeded(f"{home}.{'weight' if kind == 'gamma' else 'bias'}", (int(np.prod(shape)),), SEED)
        return torch.from_numpy(flat.reshape(shape))
    return torch.from_numpy(seeded(name, shape, SEED))


def fill(module: torch.nn.Module) -> dict[str, list[int]]:
    """Every tensor from its name; the names and shapes of all of them."""
    for name, tensor in module.state_dict().items():
        tensor.copy_(drawn(name, tuple(tensor.shape)))
    return {name: list(tensor.shape) for name, tensor in module.state_dict().items()}


class Asteroid(torch.nn.Module):
    """Asteroid's filterbanks and networks, put together as the authors' recipe names them; ESPnet's adaptation."""

    def __init__(self, size: dict[str, Any]) -> None:
        super().__init__()
        from asteroid.masknn.convolutional import TDConvNet
        from asteroid_filterbanks import make_enc_dec
        from espnet2.enh.layers.adapt_layers import make_adapt_layer

        channels, kernel = size["channels"], size["kernel"]
        bank = {"n_filters": size["filters"], "kernel_size": kernel, "stride": kernel // 2}
        net = {"n_blocks": size["blocks"], "bn_chan": channels, "hid_chan": size["hidden"], "skip_chan": channels}
        width = channels * (2 if size["fusion"] == "muladd" else 1)
        self.encoder, self.decoder = make_enc_dec("free", **bank)
        self.masker = TDConvNet(size["filters"], 1, n_repeats=size["repeats"], mask_act="relu", **net)
        self.masker.mul = make_adapt_layer(size["fusion"], channels, width, ninputs=2)
        speaker = TDConvNet(size["filters"], 1, out_chan=2 * width, n_repeats=1, mask_act="linear", **net)
        self.auxiliary = torch.nn.Sequential(torch.nn.Identity(), make_enc_dec("free", **bank)[0], speaker)

    def forward(self, mixtures: torch.Tensor, enrolments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        from asteroid.utils.torch_utils import pad_x_to_y

        vectors = self.auxiliary(enrolments[:, None]).squeeze(1).mean(-1)
        features = self.encoder(mixtures[:, None])
        net = self.masker
        x, total = net.bottleneck(features), torch.zeros(1)
        for index, block in enumerate(net.TCN):
            both = block(x)
            if index == 7:
                both = net.mul(both, torch.chunk(vectors, 2, dim=1))
            x, total = x + both[0], total + both[1]
        mask = net.output_act(net.mask_net(total))
        return pad_x_to_y(self.decoder(mask * features), mixtures[:, None])[:, 0], vectors


class Espnet(torch.nn.Module):
    """ESPnet's encoder, extractor and decoder, called as its inference script calls them."""

    def __init__(self, size: dict[str, Any]) -> None:
        super().__init__()
        from espnet2.enh.decoder.conv_decoder import ConvDecoder
        from espnet2.enh.encoder.conv_encoder import ConvEncoder
        from espnet2.enh.extractor.td_speakerbeam_extractor import TDSpeakerBeamExtractor

        channels, bank = size["channels"], (size["filters"], size["kernel"], size["kernel"] // 2)
        self.encoder, self.decoder = ConvEncoder(*bank), ConvDecoder(*bank)
        self.extractor = TDSpeakerBeamExtractor(
            size["filters"], layer=size["blocks"], stack=size["repeats"], bottleneck_dim=channels,
            hidden_dim=size["hidden"], skip_dim=channels, pre_nonlinear=size["last"],
            adapt_layer_type=size["fusion"], adapt_enroll_dim=channels * (2 if size["fusion"] == "muladd" else 1),
        )  # fmt: skip

    def forward(self, mixtures: torch.Tensor, enrolments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.full((len(mixtures),), mixtures.shape[1])
        features, frames = self.encoder(mixtures, lengths)
        heard = self.encoder(enrolments, torch.full((len(enrolments),), enrolments.shape[1]))
        masked, _, others = self.extractor(features, frames, *heard)
        return self.decoder(masked, lengths)[0], others["enroll_emb"]


def summary(x: torch.Tensor) -> np.ndarray:
    """Samples of each item at a stride."""
    return x[:, ::STRIDE].numpy()


@torch.no_grad()
def make(label: str) -> None:
    module = (Asteroid if label.startswith("asteroid") else Espnet)(SIZES[label]).eval()
    keys = fill(module)
    found: dict[str, np.ndarray] = {}
    for case in SECONDS:
        estimates, vectors = module(*inputs(label, case))
        found[case] = summary(estimates)
        found[f"{case} peak"] = estimates.abs().amax(dim=1).numpy()
        found[f"{case} vectors"] = vectors.numpy()
    np.savez_compressed(HERE / f"published-{label}.npz", **found)
    (HERE / f"published-{label}-keys.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in keys.items()) + "\n}\n", encoding="utf-8"
    )
    count = sum(p.numel() for p in module.parameters())
    print(label, len(keys), count, {name: float(np.abs(value).max()) for name, value in found.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[1:] or SIZES:
        make(chosen)
