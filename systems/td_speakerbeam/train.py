"""Train a TD-SpeakerBeam: ``python -m tspbench.systems.td_speakerbeam.train --help``."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click
import torch
from rich.console import Console
from torch import Tensor

from tspbench.errors import TspbenchError, UsageError
from tspbench.systems.td_speakerbeam import model
from tspbench.systems.training.losses import negative_si_sdr
from tspbench.systems.training.recipes import recipe
from tspbench.systems.training.speakers import Speech, Told, held_back_trials, speaker_mixer
from tspbench.systems.training.trainer import Trainer

SMALL = model.Config(filters=64, kernel=32, stride=16, channels=32, hidden=64, blocks=5, repeats=2, adapted=4)
"""A sixtieth of the published parameters, for a CPU; at 8 kHz."""
RATES = {"published": 8000, "espnet": 16000, "small": 8000}
CONFIGS = {"published": model.LIBRI2MIX_8K, "espnet": model.ESPNET_LIBRIMIX_16K, "small": SMALL}


@dataclass(frozen=True)
class Settings:
    """What to train; the batch, its seconds and the learning rate's schedule are the published recipe's."""

    size: Literal["published", "espnet", "small"] = "published"
    steps: int = 463_000
    batch: int = 6
    seconds: float = 3.0
    held_back: int = 2
    every: int = 2315
    seed: int = 0


@click.command()
@click.option("--corpus", type=Path, required=True, help="CSV with the columns file and speaker, or a folder per one.")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints and logs.")
@click.option("--size", type=click.Choice(list(CONFIGS)), default="published", show_default=True)
@click.option("--steps", type=int, default=Settings.steps, show_default=True)
@click.option("--batch", type=int, default=Settings.batch, show_default=True, help="Mixtures in a step.")
@click.option("--seconds", type=float, default=Settings.seconds, show_default=True, help="Of mixtures and enrolments.")
@click.option("--held-back", type=int, default=Settings.held_back, show_default=True, help="Utterances per speaker.")
@click.option("--every", type=int, default=Settings.every, show_default=True, help="Steps between validations.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(corpus: Path, out: Path, device: str, **given: Any) -> None:
    """Train with negative SI-SDR on mixtures of two speakers that are made as they are needed.

    Validated is the SI-SDR improvement on mixtures of utterances that are held
    back, of the speakers that are trained on. The same command again goes on
    with a training that broke off.
    """
    try:
        fit(Speech.read(corpus), out, Settings(**given), device, Console(stderr=True))
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def fit(
    speech: Speech, out: Path, settings: Settings, device: str = "cpu", console: Console | None = None
) -> Trainer[Told]:
    """Train, or go on; returns the trainer, whose model is the last one.

    Raises
    ------
    UsageError
        There are too few utterances, the settings make no sense, or the folder holds another training.
    """
    if min(settings.steps, settings.batch, settings.seconds, settings.every, settings.held_back) <= 0:
        raise UsageError("--steps, --batch, --seconds, --every and --held-back must be more than 0.")
    train, held_back = speech.split(settings.held_back)
    config = CONFIGS[settings.size]
    torch.manual_seed(settings.seed)
    network = model.build(config).to(device)
    used = replace(recipe("speakerbeam"), batch=settings.batch, seconds=settings.seconds, seed=settings.seed)
    sizes = (RATES[settings.size], settings.seconds, settings.seconds, settings.batch)
    trials = held_back_trials(held_back, train, *sizes[:3])

    def loss(batch: Told) -> Tensor:
        estimates = network(batch.mixture.to(device), batch.enrolment.to(device))
        return negative_si_sdr(estimates, batch.target.to(device))

    trainer = Trainer(
        network, speaker_mixer(train, *sizes, settings.seed), loss, used, out, settings.steps,
        validate=lambda: improvement(network, trials, device), every=settings.every,
        config={"network": asdict(config), "rate": RATES[settings.size]}, console=console, name="td-speakerbeam",
    )  # fmt: skip
    trainer.fit()
    return trainer


@torch.no_grad()
def improvement(network: Any, trials: Told, device: str = "cpu") -> float:
    """Mean SI-SDR of the estimates less that of the mixtures, in dB."""
    gains = []
    for mixture, target, enrolment in zip(trials.mixture, trials.target, trials.enrolment, strict=True):
        estimate = network(mixture[None].to(device), enrolment[None].to(device)).cpu()
        gains.append(negative_si_sdr(mixture[None], target[None]) - negative_si_sdr(estimate, target[None]))
    return float(torch.stack(gains).mean())


if __name__ == "__main__":
    main()
