"""The loop: draw a batch, step, log, validate, save; and go on from where it was."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tspbench.errors import CannotMeasure
from tspbench.runner.inference import seed_everything
from tspbench.systems.training import state
from tspbench.systems.training.logs import Bar, Log
from tspbench.systems.training.recipes import Exponential, Linear, Recipe, Stairs

LAST, BEST, LOSSES, VALIDATIONS = "last.pt", "best.pt", "losses.csv", "validations.csv"
Something = TypeVar("Something")


@dataclass
class Trainer(Generic[Something]):
    """Trains a network; the same call again goes on with a training that broke off.

    With equal threads, device and package versions, a training that was broken
    off and resumed leaves the weights and logs of one that was not, bit by bit
    on a CPU.

    Parameters
    ----------
    model
        Parameters without ``requires_grad`` stay as they are; a part that has
        no others also stays in evaluation mode.
    batch
        The batch of a step, the first being 0: a function of the step alone.
        It is called in a thread of its own, one step ahead.
    loss
        What to minimise, from the batch. It may draw from torch's global
        generator, whose state is kept.
    folder
        For ``last.pt``, ``best.pt`` (the highest validation so far; both can
        be given to a system as ``checkpoint``), ``losses.csv`` and ``validations.csv``.
    steps
        Of the whole training.
    validate
        A number, the higher the better; asked every ``every`` steps and at the
        end, after which a checkpoint is written.
    config
        Plain data to keep beside the weights, such as what the network is. A
        training does not go on where it, or the recipe, differs.
    console
        Where to show progress; None shows nothing.
    """

    model: nn.Module
    batch: Callable[[int], Something]
    loss: Callable[[Something], Tensor]
    recipe: Recipe
    folder: Path
    steps: int
    validate: Callable[[], float] | None = None
    every: int = 1000
    config: Mapping[str, Any] = field(default_factory=dict)
    console: Console | None = None
    name: str = "training"

    def __post_init__(self) -> None:
        self._parameters = [each for each in self.model.parameters() if each.requires_grad]
        self._device = next(self.model.parameters()).device.type
        self._optimiser = self.recipe.build_optimiser(self._parameters)
        self._schedule = self.recipe.schedule.start(self._optimiser, self.steps)
        self._best = -math.inf
        self.step = 0

    def fit(self, until: int | None = None) -> None:
        """Train up to step ``until``, by default to the end.

        Raises
        ------
        UsageError
            The folder holds another training.
        CannotMeasure
            The loss or its gradient is not finite. The weights are then not touched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        end = self.steps if until is None else min(until, self.steps)
        with self._reporting() as (losses, validations, bar):
            for batch in self._batches(end):
                loss, norm = self._learn(batch)
                losses.write(self.step, loss, self._rate, norm)
                bar.step(loss)
                if self.step % self.every == 0 or self.step == self.steps:
                    self._validate(validations, bar)
                    self._save()
        if self.step % self.every and self.step < self.steps:
            self._save()

    @property
    def _rate(self) -> float:
        return float(self._optimiser.param_groups[0]["lr"])

    def _batches(self, end: int) -> Iterator[Something]:
        """Batches up to a step, each made while the one before is used."""
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(self.batch, self.step) if self.step < end else None
            while coming is not None:
                batch = coming.result()
                coming = pool.submit(self.batch, self.step + 1) if self.step + 1 < end else None
                yield batch

    def _learn(self, batch: Something) -> tuple[float, float]:
        """One step: the loss, and the norm of its gradient before clipping."""
        _training_mode(self.model)
        self._optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self._device, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            loss = self.loss(batch)
        value = self._finite(float(loss.detach()), "loss")
        loss.backward()
        limit = math.inf if self.recipe.clip is None else self.recipe.clip
        norm = self._finite(float(nn.utils.clip_grad_norm_(self._parameters, limit)), "norm of the gradient")
        self._optimiser.step()
        if not isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step()
        self.step += 1
        return value, norm

    def _finite(self, value: float, what: str) -> float:
        if math.isfinite(value):
            return value
        raise CannotMeasure(
            f"The {what} at step {self.step} is {value}. The last checkpoint in {self.folder} is whole. "
            "Try a lower learning rate, or clip the gradient."
        )

    def _validate(self, log: Log, bar: Bar) -> None:
        if self.validate is None:
            return
        before = state.random_state()  # how often one validates must not change what is learned
        self.model.eval()
        with torch.no_grad():
            value = self._finite(float(self.validate()), "validation")
        state.restore_random_state(before)
        log.write(self.step, value)
        bar.validated(value)
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(value)
        if value > self._best:
            self._best = value
            state.save(
                {"model": self.model.state_dict(), "config": dict(self.config), "step": self.step}, self._path(BEST)
            )

    # -- stopping and going on -------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        """What must be equal for a training to go on."""
        settings: dict[str, Any] = {**asdict(self.recipe), "schedule": str(self.recipe.schedule), "every": self.every}
        settings["config"] = dict(self.config)
        if isinstance(self.recipe.schedule, Exponential | Linear | Stairs):
            settings["steps"] = self.steps
        return settings

    def _save(self) -> None:
        content = {
            "model": self.model.state_dict(),
            "config": dict(self.config),
            "step": self.step,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "best": self._best,
            "random": state.random_state(),
            "settings": self._settings(),
        }
        state.save(content, self._path(LAST))

    def _resume(self) -> None:
        if not self._path(LAST).exists():
            seed_everything(self.recipe.seed)
            return
        found = state.load(self._path(LAST))
        state.refuse_other_training(found["settings"], self._settings(), self._path(LAST))
        self.model.load_state_dict(found["model"])
        self._optimiser.load_state_dict(found["optimiser"])
        self._schedule.load_state_dict(found["schedule"])
        state.restore_random_state(found["random"])
        self.step, self._best = found["step"], found["best"]

    def _path(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def _reporting(self) -> Iterator[tuple[Log, Log, Bar]]:
        losses = Log(self._path(LOSSES), ("loss", "learning_rate", "gradient_norm"), self.step)
        validations = Log(self._path(VALIDATIONS), ("value",), self.step)
        try:
            with Bar(self.name, self.step, self.steps, self.console) as bar:
                yield losses, validations, bar
        finally:
            losses.close()
            validations.close()


def _training_mode(model: nn.Module) -> None:
    """Training mode, but for parts whose every parameter is frozen: their statistics and dropout stay still."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(each.requires_grad for each in parameters):
            module.eval()
