"""How publications trained: loss, optimiser, learning rate over time, clipping, batches. Each says where it is from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from tspbench.errors import UnknownName


class Schedule(Protocol):
    """The learning rate over time."""

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR | ReduceLROnPlateau:
        """Bind it to an optimiser; ``steps`` is how long the whole training lasts."""
        ...


@dataclass(frozen=True)
class Constant:
    """The learning rate stays."""

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        return LambdaLR(optimiser, lambda step: 1.0)


@dataclass(frozen=True)
class Staircase:
    """A thousandth of the rate for ``steps`` steps, a hundredth for as many, a tenth for as many, then all of it.

    ``constant_warm_up`` in AudioSep's ``optimizers/lr_schedulers.py``.
    """

    steps: int

    def factor(self, step: int) -> float:
        return (0.001, 0.01, 0.1, 1.0)[min(3, step // self.steps)]

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        return LambdaLR(optimiser, self.factor)


@dataclass(frozen=True)
class Exponential:
    """From the rate down to ``last`` times the rate over the whole training, by a constant factor each step."""

    last: float

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        return LambdaLR(optimiser, lambda step: float(self.last ** (step / steps)))


@dataclass(frozen=True)
class Stairs:
    """The rate times ``factor`` after every ``every`` of ``epochs`` epochs, the whole training being that many."""

    factor: float
    every: int
    epochs: int

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        return LambdaLR(optimiser, lambda step: float(self.factor ** (step * self.epochs // (steps * self.every))))


@dataclass(frozen=True)
class Linear:
    """Up to the rate over the first ``warm_up`` steps, then in a straight line down to zero at the end."""

    warm_up: int = 0

    def start(self, optimiser: Optimizer, steps: int) -> LambdaLR:
        def factor(step: int) -> float:
            return min((step + 1) / (self.warm_up + 1), (steps - step) / max(1, steps - self.warm_up))

        return LambdaLR(optimiser, factor)


@dataclass(frozen=True)
class Plateau:
    """The rate times ``factor`` whenever more than ``patience`` validations in a row brought nothing better."""

    factor: float
    patience: int
    least: float = 0.0

    def start(self, optimiser: Optimizer, steps: int) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimiser, mode="max", factor=self.factor, patience=self.patience, min_lr=self.least)


@dataclass(frozen=True)
class Recipe:
    """One publication's way to train.

    Parameters
    ----------
    loss
        A name in :data:`tspbench.systems.training.losses.LOSSES` or ``TEXT_LOSSES``.
    options
        Of the optimiser, beside the learning rate.
    clip
        Largest norm of the gradient; None leaves it as it is.
    seconds
        Length of the mixtures, where they are cut to one.
    precision
        ``bfloat16`` runs the forward pass under autocast.
    source
        Where all this is written, and what is not followed.
    """

    loss: str
    optimiser: Literal["Adam", "AdamW"]
    lr: float
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Constant)
    clip: float | None = None
    batch: int = 8
    seconds: float = 10.0
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    source: str = ""

    def build_optimiser(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[self.optimiser](
            parameters, lr=self.lr, **self.options
        )


def _ts_whisper(script: str, lr: float) -> Recipe:
    return Recipe(
        loss="cross_entropy",
        optimiser="AdamW",
        lr=lr,
        schedule=Stairs(factor=0.1, every=5, epochs=10),
        batch=1,
        seconds=30.0,
        seed=42,
        source=f"github.com/Aisaka0v0/TS-Whisper 34dab05: {script}; 10 epochs without noise, which these are; then, "
        "as a training of its own with a tenth of the rate, 1 epoch with noise",
    )


RECIPES = {
    "clapsep": Recipe(
        loss="snr_and_si_snr",
        optimiser="AdamW",
        lr=1e-4,
        schedule=Plateau(factor=0.3, patience=5, least=5e-6),
        clip=5.0,
        batch=32,
        seconds=10.0,
        seed=114514,
        source="github.com/Aisaka0v0/CLAPSep 5404111: model/CLAPSep.py, train.py, experiments/CLAPSep_base/config.json"
        "; 16 a device on two devices, 150 epochs; theirs under bfloat16 autocast",
    ),
    "audiosep": Recipe(
        loss="l1",
        optimiser="AdamW",
        lr=1e-3,
        options={"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": True},
        schedule=Staircase(10_000),
        batch=12,
        seconds=5.0,
        seed=1234,
        source="github.com/Audio-AGI/AudioSep 944583f: config/audiosep_base.yaml, models/audiosep.py; 12 a device",
    ),
    "speakerbeam": Recipe(
        loss="negative_si_sdr",
        optimiser="Adam",
        lr=1e-3,
        schedule=Plateau(factor=0.5, patience=20),
        clip=5.0,
        batch=6,
        seconds=3.0,
        source="github.com/BUTSpeechFIT/speakerbeam 91af02c: egs/libri2mix/local/conf.yml, train.py; 200 epochs, "
        "stopped early after 120 without gain, which is left to the user here; it names no seed",
    ),
    "wesep": Recipe(
        loss="negative_si_sdr",
        optimiser="Adam",
        lr=1e-3,
        options={"weight_decay": 1e-4},
        schedule=Exponential(last=0.025),
        clip=5.0,
        batch=8,
        seconds=3.0,
        seed=42,
        source="github.com/wenet-e2e/wesep cf8ee7f: examples/librimix/tse/v2/confs/bsrnn.yaml and the schedulers"
        "; 8 a device, 150 epochs; one device's rate, without the speaker classification",
    ),
    "ts-whisper": _ts_whisper("training_pt.py", 1e-4),
    "ts-whisper-lora": _ts_whisper("training_lora.py", 1e-3),
    "ts-whisper-full": _ts_whisper(
        "model/prompting.py names full tuning in a comment and there is no script of it; the rate, a tenth of the "
        "prompts', is a choice made here, the rest as in training_lora.py",
        1e-5,
    ),
}
"""By the name of the system they are from."""


def recipe(name: str) -> Recipe:
    """A published recipe by name.

    Raises
    ------
    UnknownName
        There is none of that name.
    """
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]
