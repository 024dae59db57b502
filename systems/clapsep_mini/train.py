"""Train clapsep-mini anew: ``python -m tspbench.systems.clapsep_mini.train --help``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import torch
from rich.console import Console
from torch import Tensor

from tspbench.cli.steps import Steps
from tspbench.errors import TspbenchError
from tspbench.systems.clapsep_mini import files, learning, sounds
from tspbench.systems.clapsep_mini.captions import captions_for
from tspbench.systems.clapsep_mini.data import Batch, Cast, MixtureMaker, PairMaker, Pairs, Vectors
from tspbench.systems.clapsep_mini.learning import Averaged, Cosine
from tspbench.systems.clapsep_mini.model import Config, Encoder, Separator
from tspbench.systems.clapsep_mini.sounds import Library
from tspbench.systems.training import curve
from tspbench.systems.training.logs import Log
from tspbench.systems.training.recipes import Recipe
from tspbench.systems.training.trainer import Trainer

ENCODER = Recipe(
    loss="contrast", optimiser="AdamW", lr=2e-3, options={"weight_decay": 0.05}, schedule=Cosine(50), clip=5.0,
    batch=32, seconds=4.096, precision="bfloat16", source="this project",
)  # fmt: skip
SEPARATOR = Recipe(
    loss="separation", optimiser="AdamW", lr=1.5e-3, options={"weight_decay": 0.01}, schedule=Cosine(200), clip=5.0,
    batch=8, seconds=4.096, precision="bfloat16", source="this project",
)  # fmt: skip
FOLDS, VALIDATION_FOLD = (1, 2, 3), 4
VALIDATION_SEED = 900_000
"""Synthetic sounds of the validation have seeds from here on, those of the training from 0."""
REAL_SHARE = 0.6
REAL_TARGETS = 0.75
"""Share of recordings among what the encoder hears, and among what the separator is asked for."""
PARTS = "parts.csv"
"""A row per validation: the step, then one column for each thing that was measured."""
PANELS = {"": "validation", "_worse": "validation, share of trials made worse"}
"""Of the learning curve, by the ending of the columns."""


@dataclass(frozen=True)
class Corpus:
    """What is learned from, and what is only listened to now and then."""

    train: Cast
    real: Library
    synthetic: Library


@click.command()
@click.option("--esc10", type=Path, required=True, help="CSV with the columns file, label and fold (1 to 4).")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints, logs, curve.svg and the weights.")
@click.option("--steps", type=int, default=8000, show_default=True, help="Of the separator.")
@click.option("--encoder-steps", type=int, default=1000, show_default=True)
@click.option("--per-class", type=int, default=150, show_default=True, help="Synthetic sounds of each class.")
@click.option("--every", type=int, default=500, show_default=True, help="Steps between validations.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(esc10: Path, out: Path, steps: int, encoder_steps: int, per_class: int, every: int, seed: int) -> None:
    """Train the encoder, then the separator, on folds 1 to 3 of ESC-10 and on synthetic sounds.

    Fold 4 is listened to for validation. The same command again goes on with a
    training that broke off. Threads: set OMP_NUM_THREADS.
    """
    if min(steps, encoder_steps, per_class, every) < 1:
        raise click.UsageError("--steps, --encoder-steps, --per-class and --every: 1 at least.")
    try:
        console = Console(stderr=True)
        corpus = gather(esc10, out / "cache", per_class, console)
        encoder = train_encoder(corpus, encoder_steps, out / "encoder", seed, every, console)
        encoder = files.load_encoder(files.write_encoder(out, encoder))  # as it will ship: rounded to float16
        separator = train_separator(corpus, encoder, steps, out / "separator", seed, every, console)
        click.echo(files.write(out, encoder, separator))
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def gather(table: Path, cache: Path, per_class: int, console: Console | None = None) -> Corpus:
    """Decode the recordings and make the synthetic sounds, or find them in ``cache``."""
    with Steps(console or Console(quiet=True)) as steps:
        real = sounds.recordings(table, FOLDS, cache, steps)
        made = sounds.synthetic(per_class, 0, cache, steps)
        held = sounds.recordings(table, (VALIDATION_FOLD,), cache, steps)
        also = sounds.synthetic(4, VALIDATION_SEED, cache, steps)
    return Corpus(Cast((real, made), (REAL_SHARE, 1 - REAL_SHARE)), held, also)


def train_encoder(
    corpus: Corpus, steps: int, folder: Path, seed: int = 0, every: int = 500, console: Console | None = None
) -> Encoder:
    """The encoder, in evaluation mode and frozen; from ``folder`` where it was trained before."""
    torch.manual_seed(seed)
    network = Averaged(Encoder(), decay=0.995)

    def loss(pairs: Pairs) -> Tensor:
        network.follow()
        assert isinstance(network.live, Encoder)
        return learning.contrast(network.live, pairs)

    def validate() -> dict[str, float]:
        assert isinstance(network.mean, Encoder)
        parts = {"real": corpus.real, "synthetic": corpus.synthetic}
        captions = {name: f"the sound of {captions_for(name)[0][0]}" for name in captions_of(corpus)}
        return {part: learning.accuracy(network.mean, library, captions) for part, library in parts.items()}

    recipe = replace(ENCODER, seed=seed)
    _fit(network, PairMaker(corpus.train, recipe.batch, seed), loss, validate, recipe, steps, folder, every, console)
    assert isinstance(network.mean, Encoder)
    return network.mean.eval()


def captions_of(corpus: Corpus) -> list[str]:
    """The classes that occur in a corpus."""
    return sorted({name for library in corpus.train.libraries for name in library.names})


def train_separator(
    corpus: Corpus,
    encoder: Encoder,
    steps: int,
    folder: Path,
    seed: int = 0,
    every: int = 500,
    console: Console | None = None,
    batches: Callable[[int], Batch] | None = None,
    listen: tuple[int, int] = (40, 30),
    about: Mapping[str, Any] | None = None,
    config: Config | None = None,
) -> Separator:
    """The separator, in evaluation mode; goes on where ``folder`` holds a training that broke off.

    Parameters
    ----------
    batches
        Step to batch; by default mixtures of ``corpus`` with queries of every sort.
    listen
        How many mixtures of recordings and of synthetic sounds a validation has.
    about
        What else the training depends on, so that it does not go on with another.
    config
        Sizes; None takes those that ship.
    """
    torch.manual_seed(seed)
    encoder.requires_grad_(False)
    network = Averaged(Separator(encoder, config or Config()))
    recipe = replace(SEPARATOR, seed=seed)
    if batches is None:
        cast = replace(corpus.train, weights=(REAL_TARGETS, 1 - REAL_TARGETS))
        batches = MixtureMaker(cast, Vectors.of(encoder, cast, seed=seed), recipe.batch, seed)
    tests = {
        "real": learning.trials(corpus.real, listen[0], 1, lambda name: f"the sound of {captions_for(name)[0][0]}"),
        "synthetic": learning.trials(corpus.synthetic, listen[1], 1, lambda name: captions_for(name)[0][0]),
    }

    def loss(batch: Batch) -> Tensor:
        network.follow()
        assert isinstance(network.live, Separator)
        return learning.separation(network.live, batch)

    def validate() -> dict[str, float]:
        assert isinstance(network.mean, Separator)
        found = {part: learning.improvement(network.mean, encoder, some) for part, some in tests.items()}
        return {part: gain for part, (gain, _) in found.items()} | {
            f"{part}_worse": share for part, (_, share) in found.items()
        }

    network.to(memory_format=torch.channels_last)
    _fit(network, batches, loss, validate, recipe, steps, folder, every, console, about or {})
    assert isinstance(network.mean, Separator)
    return network.mean.eval()


def _fit(
    network: Averaged, batches: Callable[[int], Any], loss: Callable[[Any], Tensor],
    validate: Callable[[], dict[str, float]], recipe: Recipe, steps: int, folder: Path, every: int,
    console: Console | None, more: Mapping[str, Any] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Train, note every part of a validation in parts.csv, and draw the curve."""
    folder.mkdir(parents=True, exist_ok=True)
    logs: list[Log] = []

    def heard() -> float:
        values = validate()
        step = int(network.updates)
        if not logs:
            logs.append(Log(folder / PARTS, tuple(values), after=step - 1))
        logs[0].write(step, *values.values())
        return sum(values[part] for part in ("real", "synthetic")) / 2

    about = {"steps": steps, "decay": network.decay, **more}
    trainer = Trainer(network, batches, loss, recipe, folder, steps, heard, every, about, console, folder.name)
    trainer.fit()
    for log in logs:
        log.close()
    curve.draw(folder, PANELS, PARTS)


if __name__ == "__main__":
    main()
