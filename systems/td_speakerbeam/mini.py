"""Make td-speakerbeam-mini: ``python -m tspbench.systems.td_speakerbeam.mini --help``."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import torch
from rich.console import Console
from torch import Tensor

from tspbench.errors import TspbenchError
from tspbench.systems.td_speakerbeam import model
from tspbench.systems.td_speakerbeam.two_voices import TwoVoices
from tspbench.systems.td_speakerbeam.voices import speak
from tspbench.systems.training.curve import draw
from tspbench.systems.training.logs import Bar
from tspbench.systems.training.losses import negative_si_sdr
from tspbench.systems.training.recipes import Linear, Recipe
from tspbench.systems.training.speakers import VALIDATION_SEED, Speech, Told
from tspbench.systems.training.trainer import LAST, Trainer
from tspbench.tasks.demo_voices.make_voices import VOICES

NAME = "td-speakerbeam-mini"
RATE = 16_000
TINY = 1e-8
MORE = "loud"
"""Folder of the second stage."""
HELD_BACK = 6
"""Utterances per voice that are validated on."""


@dataclass(frozen=True)
class Settings:
    """How long to train, and on how much; the defaults made the bundled weights.

    After ``steps`` come ``more`` at a third of the rate in which most targets are
    loud, as a recogniser needs them: what is left of the other voice costs it words.
    """

    steps: int = 14_000
    more: int = 3_000
    batch: int = 4
    each: int = 300
    every: int = 500
    seed: int = 0

    def recipe(self, lr: float) -> Recipe:
        return Recipe(
            loss="limited_snr", optimiser="Adam", lr=lr, schedule=Linear(min(200, self.steps // 10)), clip=5.0,
            batch=self.batch, seconds=2.5, seed=self.seed, precision="bfloat16", source="see limited_snr",
        )  # fmt: skip


def limited_snr(estimate: Tensor, batch: Told, limit: float = 30.0, limit_absent: float = 20.0) -> Tensor:
    """Negative SNR that stops to reward above a limit; where the target is zero, the energy left of the mixture, in dB.

    S. Wisdom et al., What's all the FUSS about free universal sound separation data, ICASSP 2021 (arXiv 2011.00803).
    Unlike SI-SDR it is defined for an absent target, and teaches the level.
    """
    mixture, target = _energy(batch.mixture), _energy(batch.target)
    error = _energy(estimate - batch.target) + 10 ** (-limit / 10) * target
    present = 10 * torch.log10((error + TINY) / (target + TINY))  # finite for silence: its gradient must be, too
    absent = 10 * torch.log10(_energy(estimate) / mixture + 10 ** (-limit_absent / 10))
    return torch.where(target > 0, present, absent).mean()


def _energy(x: Tensor) -> Tensor:
    return x.float().square().sum(-1)


def fit(speech: Speech, out: Path, settings: Settings, console: Console | None = None) -> None:
    """Train in two stages, or go on where a training broke off."""
    train, held_back = speech.split(HELD_BACK)
    torch.manual_seed(settings.seed)
    network = model.build(model.MINI_16K)

    def stage(folder: Path, steps: int, lr: float, seed: int, loud: float, test_loud: float) -> Trainer[Told]:
        told = TwoVoices.of(
            held_back, RATE, 1, VALIDATION_SEED, seconds=None, enrolment=None, loud=test_loud, absent=0.0
        )
        trials = [told(step) for step in range(len(held_back.paths))]
        return Trainer(
            network, TwoVoices.of(train, RATE, settings.batch, seed, loud=loud),
            lambda batch: limited_snr(network(batch.mixture, batch.enrolment), batch),
            settings.recipe(lr), folder, steps, validate=lambda: improvement(network, trials), every=settings.every,
            config={"network": asdict(model.MINI_16K), "rate": RATE}, console=console, name=folder.name,
        )  # fmt: skip

    stages = [
        stage(out, settings.steps, 1.5e-3, settings.seed, loud=0.3, test_loud=0.0),
        stage(out / MORE, settings.more, 5e-4, settings.seed + 1, loud=0.7, test_loud=0.7),
    ]
    for trainer in stages:
        trainer.fit()


@torch.no_grad()
def improvement(network: torch.nn.Module, trials: list[Told]) -> float:
    """Mean SI-SDR of the estimates less that of the mixtures, in dB."""
    gains = [
        negative_si_sdr(trial.mixture, trial.target)
        - negative_si_sdr(network(trial.mixture, trial.enrolment), trial.target)
        for trial in trials
    ]
    return float(torch.stack(gains).mean())


def export(checkpoint: Path, file: Path) -> None:
    """The weights as float16 safetensors that say what network they are of."""
    from safetensors.torch import save_file

    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors = {key: tensor.half().contiguous() for key, tensor in content["model"].items()}
    save_file(tensors, file, metadata={"config": json.dumps(content["config"])})


@click.command()
@click.option("--out", type=Path, required=True, help="Folder for checkpoints, logs, the curve and the weights.")
@click.option("--speech", type=Path, help="Folder for the training speech. By default OUT/speech.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Of the training and of its speech, to try the command: 0.01 takes a minute or two.")  # fmt: skip
@click.option("--seed", type=int, default=Settings.seed, show_default=True)
def main(out: Path, speech: Path | None, share: float, seed: int) -> None:
    """Make the training speech, train, and write the weights.

    Needs flite, festival (with kdlpc16k and us-slt-hts) and sox. The same
    command again goes on where it broke off.
    """
    full = Settings(seed=seed)
    few = max(2 * HELD_BACK, round(full.each * share))
    settings = replace(full, steps=math.ceil(full.steps * share), more=math.ceil(full.more * share), each=few)
    try:
        make(out, speech or out / "speech", settings, Console(stderr=True))
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def make(out: Path, speech: Path, settings: Settings, console: Console) -> Path:
    """Speech, training, curve and weights; returns the file of the weights."""
    with Bar("training speech", 0, settings.each * len(VOICES), console) as bar:
        table = speak(speech, settings.each, settings.seed, bar.to)
    fit(Speech.read(table), out, settings, console)
    for folder in (out, out / MORE):
        draw(folder, {"": "SI-SDR improvement on sentences that are held back (dB)"})
    file = out / f"{NAME}.safetensors"
    export(out / MORE / LAST, file)
    console.print(f"{file}: {file.stat().st_size} bytes, sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}")
    return file


if __name__ == "__main__":
    main()
