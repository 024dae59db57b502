"""Train a TS-Whisper or one of its baselines: ``python -m tspbench.systems.ts_whisper.train --help``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from tspbench.corpus import SUFFIXES
from tspbench.errors import TspbenchError, UsageError
from tspbench.systems import weights
from tspbench.systems.training import losses, state
from tspbench.systems.training.mixing import Clips
from tspbench.systems.training.recipes import recipe
from tspbench.systems.training.speakers import VALIDATION_SEED, Speech
from tspbench.systems.training.trainer import BEST, LAST, Trainer
from tspbench.systems.training.utterances import UtteranceMixer
from tspbench.systems.ts_whisper import prompts, tuning
from tspbench.systems.ts_whisper.prepare import Batch, Prepare, Told
from tspbench.systems.whisper import mel, model
from tspbench.systems.whisper.adapter import SEED, read_network
from tspbench.systems.whisper.files import WhisperFiles
from tspbench.systems.whisper.text import letters
from tspbench.systems.whisper.vocabulary import Marks, Vocabulary

RANDOM = "random-"
SIZES = (model.MINI, *model.SIZES)
EPOCHS = 10


@dataclass(frozen=True)
class Settings:
    """What to train, and how. None: as published; ``steps``, ten times through the utterances, ``every``, once.

    Parameters
    ----------
    start
        A checkpoint of this trainer to begin with, as the published second stage does.
    """

    method: tuning.Kind = "prompts"
    length: int = 16
    deep: bool = True
    mlp: bool = True
    steps: int | None = None
    batch: int | None = None
    lr: float | None = None
    every: int | None = None
    held_back: int = 2
    seed: int = 42
    noise: Path | None = None
    start: Path | None = None

    def __post_init__(self) -> None:
        given = [self.length, self.held_back, self.steps, self.batch, self.lr, self.every]
        if min(value for value in given if value is not None) <= 0:
            raise UsageError("--prompt-length, --held-back, --steps, --batch, --lr and --every must be more than 0.")


@click.command()
@click.option("--corpus", type=Path, required=True, help="CSV with the columns file, speaker and text.")
@click.option("--whisper", required=True, help="Folder, hub id, OpenAI's file; or random-mini, to try the trainer.")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints and logs.")
@click.option("--tokenizer", type=Path, help="Whisper's vocabulary, where it does not lie beside.")
@click.option("--method", type=click.Choice(list(tuning.SYSTEMS)), default="prompts", show_default=True)
@click.option("--vectors", type=Path, help="Folder with a SPEAKER.npy of 512 numbers each, as published.")
@click.option("--encoder", default="", help="Instead: a speaker encoder, such as wavlm-sv=MODEL.")
@click.option("--prompt-length", "length", type=int, default=Settings.length, show_default=True)
@click.option("--deep/--shallow", default=True, show_default=True, help="Prompts in all blocks, or before the first.")
@click.option("--mlp/--no-mlp", default=True, show_default=True, help="Re-parameterise the prompts.")
@click.option("--steps", type=int, help="Default: ten times through the utterances.")
@click.option("--batch", type=int, help="Mixtures in a step. Default: 1.")
@click.option("--lr", type=float, help="Learning rate. Default: the recipe's.")
@click.option("--every", type=int, help="Steps between validations. Default: once through the utterances.")
@click.option("--held-back", type=int, default=Settings.held_back, show_default=True, help="Utterances per speaker.")
@click.option("--noise", type=Path, help="Folder of recordings to lay under the mixtures.")
@click.option("--start", type=Path, help="Begin with a checkpoint of an earlier training (its best.pt).")
@click.option("--seed", type=int, default=Settings.seed, show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(
    corpus: Path, whisper: str, out: Path, tokenizer: Path | None, vectors: Path | None, encoder: str, device: str,
    **given: Any,
) -> None:  # fmt: skip
    """Train prompts, LoRA or all of a Whisper on mixtures of two speakers that are made as they are needed.

    Validated is the negative loss on mixtures of utterances that are held
    back, of the speakers that are trained on. The same command again goes on
    with a training that broke off. At the end the best weights lie in OUT as
    the published scripts save them, under the names that tspbench looks for.
    """
    console = Console(stderr=True)
    try:
        settings = Settings(**given)
        base = Base.read(whisper, tokenizer)
        fit(Speech.read(corpus), out, base, Told(vectors, encoder), settings, device, console)
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


@dataclass(frozen=True)
class Base:
    """The Whisper to tune. ``random``: the seed of its weights, where they are random."""

    name: str
    network: Any
    vocabulary: Vocabulary
    random: int | None = None

    @classmethod
    def read(cls, name: str, tokenizer: Path | None = None) -> Base:
        """By path or hub id; or ``random-mini``, ``random-tiny`` …, which spell with single letters."""
        size = name.removeprefix(RANDOM)
        if name.startswith(RANDOM) and size in SIZES:
            dims = model.Dims.named(size)
            return cls(name, model.randomise(model.build(dims), SEED), letters(Marks.of(dims.tokens)), SEED)
        files = WhisperFiles.locate(weights.card_of("whisper"), "checkpoint", Path(name), tokenizer)
        found = files.read()
        model.refuse_random(found, files.weights)
        network = read_network(found, files.weights, files.heads())
        model.refuse_unpromptable(model.Dims.of(network.state_dict()))
        vocabulary = Vocabulary.read(files.vocabulary, Marks.of(network.config.vocab_size))
        return cls(Path(name).name, network, vocabulary)


def fit(
    speech: Speech, out: Path, base: Base, told: Told, settings: Settings, device: str = "cpu",
    console: Console | None = None,
) -> Trainer[Batch]:  # fmt: skip
    """Train, or go on, and write the files; returns the trainer, whose model is then the best one.

    Raises
    ------
    UsageError
        There are too few utterances, the settings make no sense, or the folder holds another training.
    """
    console = console or Console(quiet=True)
    tuned = tune(base, settings, device)
    prepare = Prepare(base.vocabulary, tuned, told)
    usable = prepare.usable(speech)
    console.print(f"{len(usable.paths)} of {len(speech.paths)} utterances can be used: with words, and no longer "
                  f"than {prepare.longest_s:.2f} s", *tuning.described(tuned), sep="\n")  # fmt: skip
    train, held_back = usable.split(settings.held_back)
    trainer = _trainer(train, held_back, out, base, tuned, prepare, settings, console)
    trainer.fit()
    _export(tuned, out)
    return trainer


def tune(base: Base, settings: Settings, device: str = "cpu") -> tuning.Tuning:
    """The base, and what is trained with it in its first state."""
    torch.manual_seed(settings.seed)
    config = base.network.config
    shape = prompts.Shape(config.d_model, settings.length, config.encoder_layers if settings.deep else 1, settings.mlp)
    tuned = tuning.build(settings.method, base.network.to(device), shape, base.random)
    if settings.start is not None:
        found = weights.read(settings.start)
        model.refuse_random(found, settings.start, base.random)
        weights.load(tuned.module, found, settings.start)
    return tuned


def _trainer(
    train: Speech, held_back: Speech, out: Path, base: Base, tuned: tuning.Tuning, prepare: Prepare,
    settings: Settings, console: Console,
) -> Trainer[Batch]:  # fmt: skip
    name = tuning.SYSTEMS[settings.method]
    published = recipe(name)
    used = replace(
        published, batch=settings.batch or published.batch, lr=settings.lr or published.lr, seed=settings.seed
    )
    epoch = -(-len(train.paths) // used.batch)
    noise = _noise(settings.noise)
    mixer = UtteranceMixer(Clips(train.paths, mel.RATE), train.speakers, used.batch, used.seed, noise)
    trials = UtteranceMixer(Clips(held_back.paths, mel.RATE), held_back.speakers, 1, VALIDATION_SEED, noise)
    fixed = [prepare(trials(i), held_back) for i in range(len(held_back.paths))]
    prompted = {"length": settings.length, "deep": settings.deep, "mlp": settings.mlp}
    config = {"method": settings.method, "whisper": base.name, "start": str(settings.start),
              "noise": str(settings.noise), **(prompted if settings.method == "prompts" else {})}  # fmt: skip
    return Trainer(
        tuned.module, lambda step: prepare(mixer(step), train), lambda batch: loss_of(tuned, batch), used, out,
        settings.steps or EPOCHS * epoch, validate=lambda: -_mean_loss(tuned, fixed),
        every=settings.every or epoch, config=config, console=console, name=name,
    )  # fmt: skip


def _mean_loss(tuned: tuning.Tuning, batches: list[Batch]) -> float:
    return sum(float(loss_of(tuned, each)) for each in batches) / len(batches)


def _noise(folder: Path | None) -> Clips | None:
    if folder is None:
        return None
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UsageError(f"--noise {folder}: no recordings there.")
    return Clips(paths, mel.RATE)


def loss_of(tuned: tuning.Tuning, batch: Batch) -> torch.Tensor:
    """The published loss of a batch."""
    moved = batch.to(tuned.network.device)
    return losses.cross_entropy(tuned.logits(moved.features, moved.vectors, moved.fed), moved.wanted)


def _export(tuned: tuning.Tuning, out: Path) -> None:
    best = out / (BEST if (out / BEST).exists() else LAST)
    weights.load(tuned.module, weights.read(best), best)
    for name, content in tuning.files(tuned).items():
        state.save(content, out / name)


if __name__ == "__main__":
    main()
