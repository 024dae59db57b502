"""CLAPSep's network, and its published checkpoint as this network's weights.

H. Ma et al., CLAPSep: Leveraging contrastive pre-trained model for multi-modal
query-conditioned target sound extraction, TASLP 2024 (arXiv 2402.17455);
github.com/Aisaka0v0/CLAPSep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from tspbench.systems.clap import laion
from tspbench.systems.clap.encoder import HTSAT_BASE
from tspbench.systems.clap.frontend import RATE as CLAP_RATE
from tspbench.systems.clap.frontend import LogMel, resample
from tspbench.systems.clapsep.decoder import Decoder

RATE = 32_000
N_FFT = 1024
HOP = 320
FRAMES = 1024
"""What the encoder's image holds: 10.23 s, at 100 frames a second in encoder and separator alike."""
SHORTEST = N_FFT // 2 + 1
LONGEST = FRAMES * HOP - 1


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the published one (``experiments/CLAPSep_base/config.json``)."""

    size: int = 1024
    dim: int = 128
    heads: tuple[int, ...] = (4, 8, 16, 32)
    d_mask: int = 640
    mask_layers: int = 3
    encoder: Mapping[str, Any] = field(default_factory=lambda: HTSAT_BASE["audio_config"])


def build(config: Config | None = None) -> Separator:
    """The network with random weights."""
    return Separator(config or Config())


class Separator(nn.Module):
    """A mixture and a condition to the target, by a mask on the magnitude spectrum; the phase is the mixture's.

    ``encoder`` is HTSAT, the audio encoder of CLAP, with LoRA folded in;
    ``decoder`` carries the published names.
    """

    window: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        audio = transformers.ClapAudioConfig(**config.encoder)
        self.log_mel = LogMel(frames=FRAMES)
        self.encoder = transformers.ClapAudioModel(audio).audio_encoder
        self.decoder = Decoder(
            config.size,
            config.dim,
            audio.patch_embeds_hidden_size,
            config.heads,
            N_FFT // 2 + 1,
            config.d_mask,
            config.mask_layers,
        )
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    def forward(self, mixtures: Tensor, condition: Tensor) -> Tensor:
        """Estimates (B, T).

        Parameters
        ----------
        mixtures
            (B, T) at 32 kHz, from :data:`SHORTEST` to :data:`LONGEST` samples.
        condition
            (B, size): what is wanted, then what is not.
        """
        spectrum = torch.stft(mixtures, N_FFT, HOP, window=self.window, pad_mode="reflect", return_complex=True)
        features = self.features(resample(mixtures, RATE, CLAP_RATE))
        mask = self.decoder(features, spectrum.abs().transpose(1, 2), condition)
        masked = spectrum * mask.float().transpose(1, 2)
        return torch.istft(masked, N_FFT, HOP, window=self.window, length=mixtures.shape[-1])

    def features(self, samples: Tensor) -> list[Tensor]:
        """What the encoder finds in samples (B, T) at 48 kHz: patches, then each of its four stages, (B, L, dim)."""
        found = self.encoder(self.log_mel(samples), output_hidden_states=True)
        return [image.flatten(2).transpose(1, 2) for image in found.hidden_states]


# -- the published checkpoint --------------------------------------------------------------------

ENCODER, DECODER = "audio_branch.", "decoder_model."


def convert(published: Mapping[str, Any]) -> dict[str, Any]:
    """The published weights under this network's names.

    Parameters
    ----------
    published
        CLAP's own state dict, overlaid with the checkpoint's: both call the
        encoder ``audio_branch``, and the checkpoint holds what was trained.
    """
    audio = fold_lora({key: tensor for key, tensor in published.items() if key.startswith(ENCODER)})
    encoder = {key.removeprefix(laion.AUDIO): tensor for key, tensor in laion.convert(audio).items()}
    decoder = {key.removeprefix(DECODER): published[key] for key in published if key.startswith(DECODER)}
    return {
        **{f"encoder.{key}": tensor for key, tensor in encoder.items()},
        **{f"decoder.{key}": tensor for key, tensor in decoder.items()},
    }


def fold_lora(state: Mapping[str, Any]) -> dict[str, Any]:
    """``weight + B A / rank`` for every ``lora_A`` and ``lora_B`` (loralib with its default alpha of 1)."""
    folded = {key: tensor for key, tensor in state.items() if not key.endswith((".lora_A", ".lora_B"))}
    for key in state:
        if key.endswith(".lora_A"):
            home = key.removesuffix("lora_A")
            down, up = state[key].float(), state[f"{home}lora_B"].float()
            folded[f"{home}weight"] = state[f"{home}weight"] + up @ down / len(down)
    return folded


def config(published: Mapping[str, Any]) -> Config:
    """The architecture that fits a state dict as :func:`convert` takes it, read off its shapes."""
    shapes = {key.removeprefix(DECODER): tuple(t.shape) for key, t in published.items() if key.startswith(DECODER)}
    stages = [key for key in shapes if re.fullmatch(r"layers\.\d+\.blocks\.0\.attn\.relative_position_bias_table", key)]
    return Config(
        size=shapes["film.skip_conv.gamma.weight"][1],
        dim=shapes["inverse_patch_embed.norm.weight"][0],
        heads=tuple(shapes[key][1] for key in sorted(stages, reverse=True)),
        d_mask=shapes["mask_net.0.weight"][0],
        mask_layers=sum(bool(re.fullmatch(r"mask_net\.2\.layers\.\d+\.linear1\.weight", key)) for key in shapes),
        encoder=laion.audio_config(published),
    )
