"""Train a gen-tse: ``python -m tspbench.systems.gen_tse.train --help``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

from tspbench.errors import TspbenchError, UsageError
from tspbench.systems import weights
from tspbench.systems.gen_tse import features, model, speaker
from tspbench.systems.gen_tse.adapter import NAME, text_prefix
from tspbench.systems.gen_tse.config import CAMPPLUS, Config, PromptConfig, reduced
from tspbench.systems.gen_tse.text import Encoder, letters
from tspbench.systems.training.recipes import Recipe
from tspbench.systems.training.speakers import Speech, Told, held_back_trials, speaker_mixer
from tspbench.systems.training.trainer import Trainer
from tspbench.systems.whisper.adapter import read_network
from tspbench.systems.whisper.files import WhisperFiles
from tspbench.systems.whisper.model import Dims
from tspbench.systems.whisper.vocabulary import Marks, Vocabulary
from tspbench.types import Audio

RECIPE = Recipe(
    loss="flow matching and cross-entropy", optimiser="AdamW", lr=1e-4, clip=5.0, batch=16, seconds=15.0,
    source="none: the paper's settings were not found; a common rate for LoRA and for flow matching",
)  # fmt: skip
Batch = tuple[Tensor, ...]
"""Arguments of :meth:`tspbench.systems.gen_tse.model.GenTSE.losses`."""


@dataclass(frozen=True)
class Settings:
    """How to train; ``seconds`` of mixtures. Longer utterances are cut, and then teach no words."""

    steps: int = 100_000
    held_back: int = 2
    every: int = 1000
    recipe: Recipe = field(default_factory=lambda: RECIPE)


@click.command()
@click.option("--corpus", type=Path, required=True, help="CSV with the columns file, speaker and text.")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints and logs.")
@click.option(
    "--whisper", type=Path, help="Folder, hub id or OpenAI's file. Without: a little one, trained with the rest."
)
@click.option("--tokenizer", type=Path, help="Whisper's vocabulary, where it does not lie beside.")
@click.option("--speaker-encoder", "campplus", type=Path, help="CAM++'s file. Without: resemblyzer.")
@click.option("--no-text-branch", is_flag=True, help="The paper's ablation: without the text decoder.")
@click.option("--no-enrolment-prompt", is_flag=True, help="The paper's ablation: told by the speaker vector alone.")
@click.option("--steps", type=int, default=Settings.steps, show_default=True)
@click.option("--batch", type=int, default=RECIPE.batch, show_default=True, help="Mixtures in a step.")
@click.option("--seconds", type=float, default=RECIPE.seconds, show_default=True, help="Of mixtures.")
@click.option("--lr", type=float, default=RECIPE.lr, show_default=True, help="Learning rate.")
@click.option("--held-back", type=int, default=Settings.held_back, show_default=True, help="Utterances per speaker.")
@click.option("--every", type=int, default=Settings.every, show_default=True, help="Steps between validations.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(**given: Any) -> None:
    """Train the flow, LoRA and the prompt on mixtures of two speakers that are made as they are needed.

    Validated is the negative loss on mixtures of utterances that are held
    back, of the speakers that are trained on. The same command again goes on
    with a training that broke off. DIR/best.pt is a checkpoint for
    tspbench run --system gen-tse.
    """
    try:
        run(**given)
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def run(
    corpus: Path, out: Path, whisper: Path | None, tokenizer: Path | None, campplus: Path | None, no_text_branch: bool,
    no_enrolment_prompt: bool, steps: int, batch: int, seconds: float, lr: float, held_back: int, every: int, seed: int,
    device: str,
) -> None:  # fmt: skip
    """What the command does."""
    network, vocabulary = _around(whisper, tokenizer) if whisper else (None, None)
    base = Config(whisper=_dims(network)) if network is not None else reduced()
    prompt = replace(base.prompt, enrolment=not no_enrolment_prompt)
    if campplus is None:
        prompt = replace(prompt, speaker_encoder="resemblyzer", speaker_size=256)
    else:
        prompt = replace(prompt, speaker_encoder=CAMPPLUS, speaker_size=PromptConfig.speaker_size)
    config = replace(base, prompt=prompt, text_branch=not no_text_branch)
    used = replace(RECIPE, batch=batch, seconds=seconds, lr=lr, seed=seed)
    settings = Settings(steps, held_back, every, used)
    encoder = speaker.encoder(config.prompt, campplus, torch.device(device))
    fit(Speech.read(corpus), out, config, settings, encoder, network, vocabulary, device, Console(stderr=True))


def _around(path: Path, tokenizer: Path | None) -> tuple[Any, Vocabulary]:
    files = WhisperFiles.locate(weights.card_of("whisper"), "checkpoint", path, tokenizer)
    network = read_network(files.read(), files.weights, files.heads())
    return network, Vocabulary.read(files.vocabulary, Marks.of(network.config.vocab_size))


def _dims(network: Any) -> Dims:
    c = network.config
    return Dims(
        c.d_model, c.encoder_layers, c.decoder_layers, c.encoder_attention_heads, c.encoder_ffn_dim,
        c.num_mel_bins, c.vocab_size, c.max_source_positions, c.max_target_positions,
    )  # fmt: skip


def fit(
    speech: Speech, out: Path, config: Config, settings: Settings, encoder: Any,
    whisper: Any = None, vocabulary: Vocabulary | None = None, device: str = "cpu", console: Console | None = None,
) -> Trainer[Batch]:  # fmt: skip
    """Train, or go on; returns the trainer, whose model is the last one.

    Parameters
    ----------
    encoder
        Of :func:`tspbench.systems.gen_tse.speaker.encoder`.
    whisper, vocabulary
        Published ones; None: random weights, and letters.

    Raises
    ------
    UsageError
        There are too few utterances, the settings make no sense, or the folder holds another training.
    """
    used = settings.recipe
    if min(settings.steps, used.batch, used.seconds, used.lr, settings.every, settings.held_back) <= 0:
        raise UsageError("--steps, --batch, --seconds, --lr, --every and --held-back must be more than 0.")
    if used.seconds * features.RATE > config.window:
        raise UsageError(f"--seconds {used.seconds:g}: this Whisper hears {config.window / features.RATE:g} s at once.")
    train, held_back = speech.split(settings.held_back)
    torch.manual_seed(used.seed)
    network = model.build(config, whisper).to(device)
    prepare = Prepare(train, config, encoder, vocabulary)
    mixer = speaker_mixer(train, features.RATE, used.seconds, config.prompt.seconds, used.batch, used.seed)
    told = held_back_trials(held_back, train, features.RATE, used.seconds, config.prompt.seconds)
    trials = Prepare(held_back, config, encoder, vocabulary)(told)
    trainer = Trainer(
        network, lambda step: prepare(mixer(step)), lambda batch: network.loss(*(each.to(device) for each in batch)),
        used, out, settings.steps, validate=lambda: -sum(held_back_losses(network, trials, device)),
        every=settings.every, config={"network": config.plain()}, console=console, name=NAME,
    )  # fmt: skip
    trainer.fit()
    return trainer


class Prepare:
    """Audio to what the network takes. Called with mixtures, targets and enrolments of some speech."""

    def __init__(self, speech: Speech, config: Config, encoder: Any, vocabulary: Vocabulary | None) -> None:
        marks = Marks.of(config.whisper.tokens)
        self.config, self._encoder = config, encoder
        self._texts = _tokens(speech, Encoder(vocabulary or letters(marks)), marks, config)
        self._lengths = lru_cache(maxsize=None)(lambda clip: _seconds(speech.paths[clip]))
        self._prefix = torch.tensor(text_prefix(marks))

    def __call__(self, told: Told) -> Batch:
        rows = [
            self._one(*(each.numpy() for each in row))
            for row in zip(told.mixture, told.target, told.enrolment, strict=True)
        ]
        seconds = told.mixture.shape[1] / features.RATE
        texts = [self._texts[clip] if self._lengths(clip) <= seconds else () for clip in told.clips.tolist()]
        return (*(torch.stack(parts) for parts in zip(*rows, strict=True)), self._prefix, padded(texts))

    def _one(self, mixture: Audio, target: Audio, enrolment: Audio) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        c, cpu = self.config, torch.device("cpu")
        gain = np.float32(features.gain(mixture, c.level))
        vector = speaker.vector(self._encoder, enrolment, c.prompt.speaker_size)
        return (
            features.heard(gain * mixture, len(mixture), c.whisper.mels, cpu),
            features.enrolment_mel(enrolment, c, cpu),
            torch.from_numpy(vector),
            features.target_mel(gain * target, c),
        )


def _tokens(speech: Speech, encode: Callable[[str], list[int]], marks: Marks, config: Config) -> list[tuple[int, ...]]:
    """Of every text, the end's mark last; none where there is no text or more than the decoder has places for."""
    longest = config.whisper.text - len(text_prefix(marks))
    found = [(*encode(text), marks.end) if text else () for text in speech.texts]
    return [tokens if len(tokens) <= longest else () for tokens in found]


def padded(texts: list[tuple[int, ...]]) -> Tensor:
    """Tokens (B, n), filled up with what the loss ignores."""
    longest = max(1, *(len(text) for text in texts))
    rows = [
        F.pad(torch.tensor(text, dtype=torch.long), (0, longest - len(text)), value=model.IGNORED) for text in texts
    ]
    return torch.stack(rows)


def _seconds(path: Path) -> float:
    from tspbench.audio import probe

    return probe(path)[0]


@torch.no_grad()
def held_back_losses(network: model.GenTSE, trials: Batch, device: str = "cpu") -> tuple[float, float]:
    """The flow's loss and the decoder's, weighted, with the same noise and times whenever it is asked."""
    torch.manual_seed(0)
    spoken, written = network.losses(*(each.to(device) for each in trials))
    return float(spoken), network.config.text_weight * float(written)


if __name__ == "__main__":
    main()
