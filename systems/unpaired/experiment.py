"""The comparison: one separator per conditioning, the same mixtures for all, tested on held-out clips by captions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from tspbench.runner.inference import seed_everything
from tspbench.systems.training.losses import LOSSES
from tspbench.systems.training.mixing import Batch, Clips, Mixer
from tspbench.systems.training.recipes import Constant, Recipe
from tspbench.systems.training.trainer import Trainer
from tspbench.systems.unpaired import captions as made_up
from tspbench.systems.unpaired import model
from tspbench.systems.unpaired.cache import CaptionCache, Vectors
from tspbench.systems.unpaired.conditioning import Conditioning, Conditions
from tspbench.systems.unpaired.corpus import Part
from tspbench.systems.unpaired.evaluate import Improvement, evaluate
from tspbench.systems.unpaired.small import RATE, SmallClap

TEST_SEED = 1_000_003
ENCODER_RECIPE = Recipe(
    "contrast", "AdamW", 2e-3, batch=0, seconds=2.0, clip=5.0, source="ours; the loss is CLIP's (Radford et al. 2021)"
)


@dataclass(frozen=True)
class Heard:
    """Clips, and the vectors of their sounds and captions, (N, size)."""

    clips: Clips
    audio: Vectors
    text: Vectors
    labels: tuple[str, ...]

    @classmethod
    def of(cls, part: Part, encoder: Any, at_once: int = 16) -> Heard:
        """Embed every clip of a part, and its caption; ``encoder`` as :class:`~tspbench.systems.clap.encoder.Clap`."""
        clips = Clips(part.paths, RATE)
        own = Clips(part.paths, encoder.sample_rate, keep=1)
        audio = [encoder.audio([own[i]]).cpu().numpy() for i in range(len(own))]
        text = encoder.text(part.captions, at_once=at_once).cpu().numpy()
        return cls(clips, np.concatenate(audio), text, tuple(part.labels))


# -- the encoder of little size ------------------------------------------------------------------


def learn_encoder(part: Part, steps: int, folder: Path, seed: int, console: Console | None = None) -> SmallClap:
    """A small encoder that tells the labels of some recordings apart. It stands for CLAP where CLAP is not at hand.

    In a batch every label has one clip, two seconds of it, and one generated caption.
    """
    seed_everything(seed)
    encoder = SmallClap()
    clips, phrases = Clips(part.paths, RATE), made_up.phrases()
    groups = {label: [i for i, each in enumerate(part.labels) if each == label] for label in sorted(set(part.labels))}
    length = round(ENCODER_RECIPE.seconds * RATE)

    def batch(step: int) -> tuple[Tensor, list[str]]:
        rng = np.random.default_rng([seed, step])
        sounds = [clips[int(rng.choice(members))] for members in groups.values()]
        starts = [int(rng.integers(max(1, len(sound) - length + 1))) for sound in sounds]
        cut = [np.resize(sound[start:], length) for sound, start in zip(sounds, starts, strict=True)]
        return torch.from_numpy(np.stack(cut)), [phrases.caption(rng, label) for label in groups]

    recipe = replace(ENCODER_RECIPE, seed=seed, batch=len(groups))
    config = {"encoder": "small", "labels": list(groups)}
    trainer = Trainer(
        encoder, batch, lambda x: encoder.contrast(*x), recipe, folder, steps,
        every=steps, config=config, console=console, name="encoder",
    )  # fmt: skip
    trainer.fit()
    return encoder.eval().requires_grad_(False)


# -- one separator -------------------------------------------------------------------------------


def train_separator(
    network: model.Network,
    heard: Heard,
    conditions: Conditions,
    recipe: Recipe,
    steps: int,
    folder: Path,
    every: int = 1000,
    about: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> Trainer[Batch]:
    """Train a network to extract what its conditions stand for; the same function for all conditionings."""
    device = next(network.parameters()).device
    criterion = LOSSES[recipe.loss]

    def loss(batch: Batch) -> Tensor:
        told = conditions(batch.clips).to(device)
        batch = batch.to(device)
        return criterion(network(batch.mixture, told), batch.target)

    mixer = Mixer(heard.clips, recipe.seconds, recipe.batch, seed=recipe.seed)
    config = {"conditioning": conditions.kind.name, "variance": conditions.variance, **(about or {})}
    trainer = Trainer(
        network, mixer, loss, recipe, folder, steps,
        every=every, config=config, console=console, name=conditions.kind.name,
    )  # fmt: skip
    trainer.fit()
    return trainer


# -- all of them ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Of a comparison; ``about`` tells what else a training depends on, so that it does not go on with another."""

    recipe: Recipe
    steps: int
    every: int = 1000
    variance: float = 0.001
    test_batches: int = 25
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What came of one conditioning.

    ``cosine`` is the mean cosine between what a clip was represented by in
    training, without noise, and its caption's vector, by which it would be
    asked for; ``first`` and ``last`` are mean losses over the first and last
    tenth of the training.
    """

    conditioning: str
    cosine: float
    first: float
    last: float
    improvement: Improvement

    def plain(self) -> dict[str, Any]:
        """Numbers for a JSON file, no trial by itself; what is not finite is None."""
        found: dict[str, Any] = {k: v for k, v in asdict(self).items() if k != "improvement"}
        for name in ("snr", "si_snr"):
            mean, low, high = self.improvement.mean(name)
            found[f"{name}_i"] = {"mean": mean, "low": low, "high": high}
        found["trials"] = len(self.improvement.clips)
        return {key: _finite(value) for key, value in found.items()}


def compare(
    kinds: Sequence[Conditioning],
    make: Callable[[], model.Network],
    train: Heard,
    test: Heard,
    cache: CaptionCache | None,
    settings: Settings,
    folder: Path,
    console: Console | None = None,
) -> list[Row]:
    """Train one network per conditioning from equal weights on equal mixtures, and test each with captions.

    ``make`` gives a fresh network; it is called under the same seed every time.
    """
    rows = []
    recipe = settings.recipe
    for kind in kinds:
        seed_everything(recipe.seed)
        network = make()
        conditions = Conditions(kind, train.audio, train.text, cache, settings.variance)
        home = folder / kind.name
        train_separator(
            network, train, conditions, recipe, settings.steps, home, settings.every, settings.about, console
        )
        mixer = Mixer(test.clips, recipe.seconds, recipe.batch, seed=TEST_SEED, groups=test.labels)
        first, last = _ends(home / "losses.csv")
        cosine = float((conditions.vectors.numpy() * train.text).sum(axis=1).mean())
        found = evaluate(network, mixer, test.text, settings.test_batches)
        rows.append(Row(kind.name, cosine, first, last, found))
    return rows


def small_recipe(recipe: Recipe, batch: int, seconds: float, seed: int) -> Recipe:
    """A recipe as the small network takes it: ten times CLAPSep's rate, and none of its validations."""
    return replace(recipe, lr=1e-3, schedule=Constant(), batch=batch, seconds=seconds, seed=seed)


def _ends(path: Path) -> tuple[float, float]:
    """Mean loss of the first and of the last tenth of a log."""
    losses = [float(line.split(",")[1]) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    tenth = max(1, len(losses) // 10)
    return float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
