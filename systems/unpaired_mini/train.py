"""Train unpaired-mini and its baselines anew: ``python -m tspbench.systems.unpaired_mini.train --help``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console

from tspbench.cli.steps import Steps
from tspbench.errors import TspbenchError, UsageError
from tspbench.systems.clapsep_mini import train as clapsep_mini
from tspbench.systems.clapsep_mini.files import load_encoder
from tspbench.systems.clapsep_mini.model import Encoder
from tspbench.systems.unpaired import captions as made_up
from tspbench.systems.unpaired.cache import CaptionCache, cached
from tspbench.systems.unpaired.conditioning import CONDITIONINGS, Conditions, conditioning
from tspbench.systems.unpaired_mini import files, mixtures

VARIANCE = 0.004
"""Four times that of :mod:`tspbench.systems.unpaired.noise`: the vectors have 128 coordinates, not 512, so the cosine
between a vector and its noisy version is the same."""
ABOUT = "about.json"


@dataclass(frozen=True)
class Told:
    """What the four conditionings choose from: vectors (N, size) of all sounds and of their captions, and a cache."""

    audio: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32]
    cache: CaptionCache

    def conditions(self, name: str, variance: float) -> Conditions:
        return Conditions(conditioning(name), self.audio, self.text, self.cache, variance)

    def cosine(self, conditions: Conditions) -> float:
        """Mean cosine between what stands for a sound in training, without noise, and its caption's vector."""
        return float((conditions.vectors.numpy() * self.text).sum(axis=1).mean())


@click.command()
@click.option("--esc10", type=Path, required=True, help="CSV with the columns file, label and fold (1 to 4).")
@click.option("--out", type=Path, required=True, help="Folder for checkpoints, logs, curves and the weights.")
@click.option("--conditioning", "names", multiple=True, help=f"Of {', '.join(CONDITIONINGS)}; repeat it. All of them.")
@click.option("--encoder", type=Path, help="Weights of clapsep-mini; default: those that come with tspbench.")
@click.option("--steps", type=int, default=700, show_default=True, help="Of every separator's training.")
@click.option("--generate", type=int, default=20_000, show_default=True, help="Captions to retrieve from.")
@click.option("--variance", type=float, default=VARIANCE, show_default=True, help="Of the noise in every coordinate.")
@click.option("--per-class", type=int, default=150, show_default=True, help="Synthetic sounds of each class.")
@click.option("--every", type=int, default=350, show_default=True, help="Steps between validations.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(**given: Any) -> None:
    """Train a separator for each of four conditionings, from equal weights on equal mixtures.

    Labels choose the captions of the conditioning "text" and the validation's
    mixtures, nothing else. The same command again goes on with a training that
    broke off. Threads: set OMP_NUM_THREADS.
    """
    try:
        run(**given)
    except TspbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def run(
    esc10: Path,
    out: Path,
    names: Sequence[str] = (),
    encoder: Path | None = None,
    steps: int = 700,
    generate: int = 20_000,
    variance: float = VARIANCE,
    per_class: int = 150,
    every: int = 350,
    seed: int = 0,
) -> None:
    """What the command does."""
    chosen = [conditioning(name).name for name in names or CONDITIONINGS]
    if min(steps, per_class, every) < 1 or not 0 <= variance < float("inf"):
        raise UsageError("--steps, --per-class and --every: 1 at least; --variance: not negative.")
    console = Console(stderr=True)
    network = load_encoder(files.encoder_file(encoder))
    corpus = clapsep_mini.gather(esc10, out / "cache", per_class, console)
    told = tell(corpus, network, generate, out / "captions", seed, console)
    for name in chosen:
        train(name, corpus, network, told, steps, out / name, variance, seed, every, console)


def tell(
    corpus: clapsep_mini.Corpus, encoder: Encoder, generate: int, folder: Path, seed: int, console: Console
) -> Told:
    """Embed captions that belong to no sound, all sounds, and a caption for each."""

    def embed(some: Sequence[str]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = encoder.text(some).numpy()
        return found

    with Steps(console) as steps:
        texts = made_up.generate(generate, seed)
        cache = cached(texts, embed, files.encoder_digest(encoder), folder, progress=steps)
        audio = mixtures.heard(encoder, corpus.train, steps)
    return Told(audio, embed(mixtures.captions(corpus.train, seed)), cache)


def train(
    name: str,
    corpus: clapsep_mini.Corpus,
    encoder: Encoder,
    told: Told,
    steps: int,
    folder: Path,
    variance: float = VARIANCE,
    seed: int = 0,
    every: int = 350,
    console: Console | None = None,
    listen: tuple[int, int] = (40, 30),
) -> Path:
    """Train under one conditioning, in ``folder``; returns the weights file, which lies in it.

    ``listen`` is how many mixtures of recordings and of synthetic sounds a validation has.
    """
    conditions = told.conditions(name, variance)
    about = {
        "conditioning": name,
        "encoder": files.encoder_digest(encoder),
        "captions": told.cache.digest,
        "variance": variance,
        "sounds": len(told.audio),
    }
    batches = mixtures.Mixtures(corpus.train, conditions, clapsep_mini.SEPARATOR.batch, seed)
    separator = clapsep_mini.train_separator(
        corpus,
        encoder,
        steps,
        folder,
        seed,
        every,
        console,
        batches=batches,
        listen=listen,
        about=about,
        config=files.SIZES,
    )
    found = {**about, "steps": steps, "seed": seed, "cosine": round(told.cosine(conditions), 4)}
    (folder / ABOUT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    path = folder / files.name(name)
    click.echo(files.write(path, encoder, separator, name))
    return path


if __name__ == "__main__":
    main()
