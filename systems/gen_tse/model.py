"""gen-tse's network: Whisper told whom to listen to, a flow that speaks its tokens, a decoder that writes them down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tspbench.systems.gen_tse import flow
from tspbench.systems.gen_tse.config import Config
from tspbench.systems.gen_tse.estimator import Estimator
from tspbench.systems.gen_tse.lora import adapt
from tspbench.systems.seeded import seeded
from tspbench.systems.whisper import model as published

SPREAD = 0.02
"""Standard deviation of the learned positions at first; that of Whisper's own learned parameters."""
IGNORED = -100
"""The label of a place where no token is wanted."""


def build(config: Config, whisper: Any = None) -> GenTSE:
    """The network, around a Whisper of transformers or one with random weights."""
    return GenTSE(config, whisper or published.build(config.whisper))


class GenTSE(nn.Module):
    """Attributes: ``whisper`` (transformers', LoRA in its encoder), ``prompt``, ``estimator``."""

    def __init__(self, config: Config, whisper: Any) -> None:
        super().__init__()
        self.config = config
        self.whisper = whisper.requires_grad_(not config.freeze_whisper)
        self.whisper.model.encoder.embed_positions.requires_grad_(False)
        adapt(self.whisper.model.encoder, config.lora)
        if not config.text_branch:
            self.whisper.model.decoder = self.whisper.proj_out = None
        self.prompt = Prompt(config)
        self.estimator = Estimator(config)

    def forward(self, mixture: Tensor, enrolment: Tensor, speaker: Tensor) -> Tensor:
        """The target's tokens, the prompt's frames in front.

        Parameters
        ----------
        mixture
            Whisper's log-mel spectra, shape (B, mels, 2 * ``config.whisper.frames``).
        enrolment
            Likewise, shape (B, mels, 2 * ``config.prompt.frames``); may be empty without the enrolment prompt.
        speaker
            Vectors, shape (B, ``config.prompt.speaker_size``).

        Returns
        -------
        Shape (B, ``config.prompt.length`` + ``config.whisper.frames``, width).
        """
        encoder = self.whisper.model.encoder
        x = torch.cat([*self.prompt(encoder, enrolment, speaker), by_itself(encoder, mixture, True)], dim=1)
        for layer in encoder.layers:
            x = layer(x, None)
        tokens: Tensor = encoder.layer_norm(x)
        return tokens

    def speak(self, tokens: Tensor, speaker: Tensor, noise: Tensor, steps: int) -> Tensor:
        """Log-mel spectra (B, bands, N) from the mixture's tokens (B, n, width) and noise (B, N, bands)."""
        c = self.config.flow
        condition = self.estimator.condition(tokens, speaker, noise.shape[1])
        data = flow.solve(lambda x, t: self.estimator(x, t, condition), noise, steps, c.schedule)
        return (data * c.deviation + c.mean).transpose(1, 2)

    # -- losses ----------------------------------------------------------------------------------

    def losses(
        self, mixture: Tensor, enrolment: Tensor, speaker: Tensor, mel: Tensor, prefix: Tensor, text: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The flow's loss and the decoder's; the latter is 0 without the text branch.

        Parameters
        ----------
        mixture, enrolment, speaker
            As for :meth:`forward`; the mixture may be shorter than the window, which is filled up.
        mel
            The target's log-mel spectra by the vocoder's definition, shape (B, bands, N).
        prefix
            Tokens in front of every text, shape (p,).
        text
            Tokens with the end mark, shape (B, n), and :data:`IGNORED` where there are none.
        """
        heard = mixture.shape[-1] // 2
        mixture = fill_up(mixture, 2 * self.config.whisper.frames)
        tokens = self(mixture, enrolment, speaker)
        mine = tokens[:, self.config.prompt.length :][:, :heard]
        spoken = self._flow_loss(mine, speaker, mel)
        return spoken, self._text_loss(tokens, prefix, text) if self.config.text_branch else torch.zeros_like(spoken)

    def loss(self, *batch: Tensor) -> Tensor:
        """Their weighted sum; arguments as for :meth:`losses`."""
        spoken, written = self.losses(*batch)
        return spoken + self.config.text_weight * written

    def _flow_loss(self, tokens: Tensor, speaker: Tensor, mel: Tensor) -> Tensor:
        c = self.config.flow
        data = ((mel - c.mean) / c.deviation).transpose(1, 2)
        condition = self.estimator.condition(tokens, speaker, data.shape[1])
        return flow.matching_loss(lambda x, t: self.estimator(x, t, condition), data, c.sigma_min, c.schedule)

    def _text_loss(self, tokens: Tensor, prefix: Tensor, text: Tensor) -> Tensor:
        if (text == IGNORED).all():
            return tokens.new_zeros(())
        before = prefix.expand(len(text), -1)
        fed = torch.cat([before, text.clamp(min=0)[:, :-1]], dim=1)
        states = self.whisper.model.decoder(input_ids=fed, encoder_hidden_states=self.for_decoder(tokens))
        logits = self.whisper.proj_out(states.last_hidden_state[:, prefix.shape[0] - 1 :])
        return F.cross_entropy(logits.transpose(1, 2), text, ignore_index=IGNORED)

    def for_decoder(self, tokens: Tensor) -> Tensor:
        """What of :meth:`forward` the text decoder reads."""
        return tokens if self.config.decoder_sees_prompt else tokens[:, self.config.prompt.length :]


class Prompt(nn.Module):
    """What stands in front of the mixture's frames: a linear map of a speaker vector, and an enrolment."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, width = config.prompt, config.whisper.width
        self.speaker = nn.Linear(self.config.speaker_size, width) if self.config.speaker else None
        if self.speaker is not None:
            self.speaker.requires_grad_(config.train_speaker_map)
        self.positions = None
        if self.config.enrolment:
            self.positions = nn.Parameter(SPREAD * torch.randn(self.config.frames, width))

    def forward(self, encoder: Any, enrolment: Tensor, speaker: Tensor) -> list[Tensor]:
        """Frames (B, n, width), the speaker's first; arguments as for :meth:`GenTSE.forward`."""
        frames = []
        if self.speaker is not None:
            frames.append(self.speaker(F.normalize(speaker, dim=-1))[:, None])
        if self.positions is not None:
            frames.append(by_itself(encoder, enrolment, self.config.sinusoids) + self.positions)
        return frames


def by_itself(encoder: Any, mel: Tensor, positioned: bool) -> Tensor:
    """Frames (B, N / 2, width) of mel spectra (B, mels, N): Whisper up to its first block.

    Enrolment and mixture go through the convolutions apart, so neither leaks
    into the other's edge, and the mixture's frames are those Whisper knows.
    """
    x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)
    return x + encoder.embed_positions.weight[: x.shape[1]] if positioned else x


def fill_up(mel: Tensor, frames: int) -> Tensor:
    """Whisper's log-mel spectra followed by what silence is in them, (…, ``frames``)."""
    if mel.shape[-1] >= frames:
        return mel[..., :frames]
    quietest = mel.amax(dim=(-2, -1), keepdim=True) - 2
    return torch.cat([mel, quietest.expand(*mel.shape[:-1], frames - mel.shape[-1])], dim=-1)


def convert(whisper: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """A published Whisper's tensors, under either layout's names, under this network's names."""
    state = {}
    for name, tensor in published.convert(whisper).items():
        stem, _, kind = name.rpartition(".")
        adapted = name.startswith("model.encoder.") and stem.endswith(
            tuple(f".self_attn.{p}" for p in config.lora.projections)
        )
        state[f"whisper.{stem}.base.{kind}" if adapted else f"whisper.{name}"] = tensor
    return state


def trained(network: GenTSE) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def randomise(network: GenTSE, seed: int) -> None:
    """Seeded values for all that is not Whisper's own."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name or not name.startswith("whisper."):
                parameter.copy_(torch.from_numpy(seeded(f"{name}.weight", tuple(parameter.shape), seed)))
