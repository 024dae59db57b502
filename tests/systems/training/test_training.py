"""The trainer: losses, schedules and mixtures as published; and a training that breaks off loses nothing."""

from __future__ import annotations

import csv
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tspbench.errors import CannotMeasure, UnknownName, UsageError  # noqa: E402
from tspbench.systems.training import losses, mixing, recipes, state  # noqa: E402
from tspbench.systems.training.trainer import Trainer  # noqa: E402

RATE = 8000


# -- losses --------------------------------------------------------------------------------------


def pair(seed: int = 0, batch: int = 3) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(batch, 4000, generator=generator) + 0.3
    return target + 0.5 * torch.randn(batch, 4000, generator=generator), target


def test_losses_are_those_of_torchmetrics() -> None:
    """The functions that CLAPSep's code calls; SpeakerBeam's is SI-SNR but for the last digits."""
    audio = pytest.importorskip("torchmetrics.functional.audio")
    estimate, target = pair()
    snr = audio.signal_noise_ratio(estimate, target)
    si_snr = audio.scale_invariant_signal_noise_ratio(estimate, target)
    published = -0.9 * snr.mean() - 0.1 * si_snr.mean()
    torch.testing.assert_close(losses.snr_and_si_snr(estimate, target), published, rtol=1e-6, atol=0)
    torch.testing.assert_close(losses.negative_si_sdr(estimate, target), -si_snr.mean(), rtol=1e-5, atol=0)
    silence = torch.zeros_like(target)
    for x, y in ((silence, target), (estimate, silence), (silence, silence)):
        published = (
            -0.9 * audio.signal_noise_ratio(x, y).mean() - 0.1 * audio.scale_invariant_signal_noise_ratio(x, y).mean()
        )
        torch.testing.assert_close(losses.snr_and_si_snr(x, y), published, rtol=1e-5, atol=1e-5)


def test_losses_on_a_known_pair() -> None:
    """An error at right angles to the target, both free of a mean: every ratio is that of the energies."""
    time = torch.arange(1000) / 1000 * 2 * math.pi
    target, error = torch.sin(5 * time)[None], 0.1 * torch.cos(5 * time)[None]
    for name, expected in (("snr_and_si_snr", -20.0), ("negative_si_sdr", -20.0)):
        assert losses.LOSSES[name](target + error, target).item() == pytest.approx(expected, abs=1e-3)
    assert losses.l1(target + error, target).item() == pytest.approx(0.1 * 2 / math.pi, rel=1e-3)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_losses_have_finite_gradients_on_silence(name: str) -> None:
    estimate = torch.zeros(2, 100, requires_grad=True)
    losses.LOSSES[name](estimate, torch.zeros(2, 100)).backward()
    assert torch.isfinite(estimate.grad).all()


# -- recipes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_recipes_can_be_built(name: str) -> None:
    made = recipes.recipe(name)
    optimiser = made.build_optimiser([torch.nn.Parameter(torch.zeros(2))])
    assert made.loss in losses.LOSSES | losses.TEXT_LOSSES
    assert optimiser.param_groups[0]["lr"] == made.lr
    made.schedule.start(optimiser, 100)
    assert "github.com/" in made.source


def test_an_unknown_recipe() -> None:
    with pytest.raises(UnknownName, match="Did you mean clapsep"):
        recipes.recipe("clapsop")


def rates(schedule: recipes.Schedule, steps: int, lr: float = 1.0) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    bound = schedule.start(optimiser, steps)
    found = []
    for _ in range(steps + 1):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        bound.step()
    return found


def test_audiosep_warms_up_in_three_stairs() -> None:
    found = rates(recipes.Staircase(10), 40)
    assert found[:10] + found[10:20] + found[20:30] + found[30:] == [0.001] * 10 + [0.01] * 10 + [0.1] * 10 + [1.0] * 11


def test_wesep_falls_exponentially() -> None:
    found = rates(recipes.RECIPES["wesep"].schedule, 50, lr=1e-3)
    assert found[-1] == pytest.approx(2.5e-5)
    assert all(b / a == pytest.approx(0.025 ** (1 / 50)) for a, b in itertools.pairwise(found))


def test_ts_whisper_goes_down_to_a_tenth_after_five_of_ten_epochs() -> None:
    """As ``torch.optim.lr_scheduler.StepLR(step_size=5, gamma=0.1)`` does, which is asked once an epoch."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    published = torch.optim.lr_scheduler.StepLR(optimiser, step_size=5, gamma=0.1)
    theirs = []
    for _ in range(10):
        theirs += [optimiser.param_groups[0]["lr"]] * 7
        optimiser.step()
        published.step()
    assert rates(recipes.RECIPES["ts-whisper"].schedule, 70, lr=1e-4)[:70] == pytest.approx(theirs)


def test_a_plateau_lowers_the_rate() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    bound = recipes.Plateau(0.3, patience=2, least=0.05).start(optimiser, 0)
    found = []
    for value in [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]:
        bound.step(value)
        found.append(optimiser.param_groups[0]["lr"])
    assert found == pytest.approx([1] * 4 + [0.3] * 3 + [0.09] * 3 + [0.05] * 3)


# -- mixing --------------------------------------------------------------------------------------


@pytest.fixture
def clips(tmp_path: Path) -> mixing.Clips:
    """Seven tones of different level and length, one of them silent at the start."""
    rng = np.random.default_rng(0)
    for i in range(7):
        samples = 0.05 * (i + 1) * rng.standard_normal(RATE // 2 + 999 * i)
        samples[: 3000 if i == 3 else 0] = 0
        soundfile.write(tmp_path / f"{i}.wav", samples.astype(np.float32), RATE, subtype="FLOAT")
    return mixing.Clips([tmp_path / f"{i}.wav" for i in range(7)], RATE)


def test_a_batch_depends_on_its_step_alone(clips: mixing.Clips) -> None:
    mixer = mixing.Mixer(clips, 0.5, batch=4, seed=3)
    first, again = mixer(5), mixing.Mixer(clips, 0.5, batch=4, seed=3)(5)
    assert first.mixture.shape == first.target.shape == (4, RATE // 2)
    assert torch.equal(first.mixture, again.mixture)
    assert not torch.equal(first.mixture, mixer(6).mixture)
    assert not torch.equal(first.mixture, replace(mixer, seed=4)(5).mixture)


def test_every_clip_is_a_target_once_a_lap(clips: mixing.Clips) -> None:
    mixer = mixing.Mixer(clips, 0.1, batch=3, seed=0)
    seen = torch.cat([mixer(step).clips for step in range(14)]).tolist()
    laps = [seen[start : start + 7] for start in range(0, 42, 7)]
    assert all(sorted(lap) == list(range(7)) for lap in laps)
    assert laps[0] != laps[1]


def test_interferers_are_other_clips_and_of_other_groups(clips: mixing.Clips) -> None:
    groups = ("a", "a", "b", "a", "b", "c", "a")
    mixer = mixing.Mixer(clips, 0.1, batch=1, groups=groups)
    rng = np.random.default_rng(0)
    found = {mixer._other(1, rng) for _ in range(200)}
    assert found == {2, 4, 5}
    assert {replace(mixer, groups=None)._other(1, rng) for _ in range(200)} == {0, 2, 3, 4, 5, 6}


def test_clapsep_mixes_at_0_db(clips: mixing.Clips) -> None:
    batch = mixing.Mixer(clips, 1.0, batch=14)(0)
    interferer = batch.mixture - batch.target
    ratio = 10 * torch.log10(batch.target.square().sum(1) / interferer.square().sum(1))
    assert ratio.abs().max() < 1e-3
    assert batch.mixture.abs().max() <= 1


def test_what_is_too_loud_is_turned_down_with_its_target() -> None:
    rng = np.random.default_rng(0)
    target, interferer = np.float32([0.8, -0.8]), np.float32([1, 0])
    quiet, mixture = mixing.equal_energy(target, interferer, rng)
    gain = 0.9 / (0.8 + np.sqrt(2 * 0.8**2))
    np.testing.assert_allclose(quiet, gain * target, rtol=1e-6)
    np.testing.assert_allclose(mixture, gain * (target + np.sqrt(1.28) * interferer), rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(-3.5, 1.5))
@settings(deadline=None, max_examples=30)
def test_audiosep_mixes_within_10_db_in_whole_db(seed: int, scale: float) -> None:
    """Where neither adjustment is held back: a level ratio of 50 is the most that it makes up for."""
    rng = np.random.default_rng(seed)
    target = (0.01 * rng.standard_normal(2000)).astype(np.float32)
    interferer = (0.01 * 10**scale * rng.standard_normal(2000)).astype(np.float32)
    quiet, mixture = mixing.ten_decibels(target, interferer, np.random.default_rng(seed))
    found = 10 * np.log10(np.sum(np.square(mixture - quiet)) / np.sum(np.square(quiet)))
    draws = np.random.default_rng(seed).integers(-10, 11, size=2)
    start = 20 * np.log10(np.std(interferer) / np.std(target))
    held = 20 * np.log10(50)
    after_first = start - np.clip(start, -held, held) + draws[0]
    expected = after_first - np.clip(after_first, -held, held) + draws[1]
    assert found == pytest.approx(expected, abs=0.05)


def test_silence_is_passed_over_and_refused_where_there_is_nothing_else(clips: mixing.Clips, tmp_path: Path) -> None:
    batches = [mixing.Mixer(clips, 0.05, batch=7, seed=seed)(0) for seed in range(5)]
    assert all(batch.target.any(dim=1).all() for batch in batches)
    soundfile.write(tmp_path / "mute.wav", np.zeros(RATE), RATE)
    mute = mixing.Clips([tmp_path / "mute.wav", tmp_path / "0.wav"], RATE)
    with pytest.raises(UsageError, match=r"mute\.wav is silent"):
        mixing.Mixer(mute, 0.1, batch=2)(0)


def test_what_cannot_be_mixed_is_refused(clips: mixing.Clips) -> None:
    with pytest.raises(UsageError, match="two clips at least, there are 1"):
        mixing.Mixer(mixing.Clips(clips.paths[:1], RATE), 1, 1)
    with pytest.raises(UsageError, match="two groups at least"):
        mixing.Mixer(clips, 1, 1, groups=("a",) * 7)


# -- the loop ------------------------------------------------------------------------------------

RECIPE = recipes.Recipe("l1", "AdamW", 1e-2, schedule=recipes.Plateau(0.5, 1), clip=1.0, seed=11)


class Net(torch.nn.Module):
    """A frozen part with statistics, a trained one, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)).requires_grad_(False)
        self.out = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(4, 4))

    def forward(self, x: Any) -> Any:
        return self.out(self.frozen(x))


def made(folder: Path, recipe: recipes.Recipe = RECIPE, steps: int = 23, **more: Any) -> Trainer[Any]:
    net = Net()

    def batch(step: int) -> Any:
        return torch.randn(16, 4, generator=torch.Generator().manual_seed(step))

    def loss(x: Any) -> Any:
        assert not net.frozen[0].training
        assert net.out[0].training
        return (net(x + 0.1 * torch.randn_like(x)) - x.roll(1, dims=1)).abs().mean()

    def validate() -> float:
        torch.rand(3)  # must not disturb the training
        assert not net.out[0].training
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(99))
        return -float((net(x) - x.roll(1, dims=1)).abs().mean())

    options = {"validate": validate, "every": 5, **more}
    return Trainer(net, batch, loss, recipe, folder, steps, **options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("schedule", [recipes.Plateau(0.5, 0), recipes.Staircase(4), recipes.Exponential(0.1),
                                      recipes.Stairs(0.1, 5, 10)])  # fmt: skip
def test_a_resumed_training_equals_one_that_was_not_interrupted(tmp_path: Path, schedule: recipes.Schedule) -> None:
    recipe = replace(RECIPE, schedule=schedule)
    whole = made(tmp_path / "whole", recipe)
    whole.fit()
    torch.rand(7)
    made(tmp_path / "parts", recipe).fit(until=7)
    killed = made(tmp_path / "parts", recipe)
    loss = killed.loss
    killed.loss = lambda x: loss(x) if killed.step < 13 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        killed.fit()
    assert rows(tmp_path / "parts" / "losses.csv")[-1]["step"] == "13"  # beyond the checkpoint at 10
    last = made(tmp_path / "parts", recipe)
    last.fit()
    assert last.step == 23
    ours, theirs = last.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    for name in ("losses.csv", "validations.csv"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()
    for name in ("last.pt", "best.pt"):
        contents = [torch.load(tmp_path / way / name, weights_only=True) for way in ("parts", "whole")]
        assert all(torch.equal(contents[0]["model"][key], tensor) for key, tensor in contents[1]["model"].items())
    assert not list((tmp_path / "parts").glob("*.part"))


def test_it_learns_and_logs(tmp_path: Path) -> None:
    trainer = made(tmp_path, replace(RECIPE, schedule=recipes.Constant()), steps=300, every=100)
    trainer.fit()
    logged = rows(tmp_path / "losses.csv")
    assert [int(row["step"]) for row in logged] == list(range(1, 301))
    values = [float(row["loss"]) for row in logged]
    assert np.mean(values[-30:]) < 0.8 * np.mean(values[:30])
    assert {row["learning_rate"] for row in logged} == {"0.01"}
    validations = rows(tmp_path / "validations.csv")
    assert [row["step"] for row in validations] == ["100", "200", "300"]
    best = max(validations, key=lambda row: float(row["value"]))
    assert torch.load(tmp_path / "best.pt", weights_only=True)["step"] == int(best["step"])


def test_frozen_parts_stay(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    before = {key: tensor.clone() for key, tensor in trainer.model.frozen.state_dict().items()}
    weight = trainer.model.out[1].weight.detach().clone()
    trainer.fit()
    assert all(torch.equal(tensor, before[key]) for key, tensor in trainer.model.frozen.state_dict().items())
    assert not torch.equal(weight, trainer.model.out[1].weight)


def test_a_plateau_steps_on_validations(tmp_path: Path) -> None:
    made(tmp_path, steps=40, validate=lambda: 0.0, every=5).fit()
    found = [float(row["learning_rate"]) for row in rows(tmp_path / "losses.csv")]
    # The first validation is the best; of equal ones, every second halves the rate.
    assert found == pytest.approx([0.01] * 15 + [0.005] * 10 + [0.0025] * 10 + [0.00125] * 5)


@pytest.mark.parametrize("clip", [None, 0.01])
def test_the_gradient_is_clipped_where_asked(tmp_path: Path, clip: float | None) -> None:
    recipe = replace(RECIPE, clip=clip, schedule=recipes.Constant())
    trainer = made(tmp_path, recipe, steps=1)
    trainer.fit()
    norm = float(rows(tmp_path / "losses.csv")[0]["gradient_norm"])
    left = math.sqrt(sum(float(each.grad.square().sum()) for each in trainer._parameters))
    assert norm > 0.01
    assert left == pytest.approx(norm if clip is None else clip, rel=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_it_with_whole_weights(tmp_path: Path, bad: float) -> None:
    trainer = made(tmp_path, steps=9, every=3)
    loss = trainer.loss
    trainer.loss = lambda x: loss(x) * (bad if trainer.step == 4 else 1)
    with pytest.raises(CannotMeasure, match=r"The loss at step 4 is (nan|inf)"):
        trainer.fit()
    assert [row["step"] for row in rows(tmp_path / "losses.csv")] == ["1", "2", "3", "4"]
    assert "nan" not in (tmp_path / "losses.csv").read_text()
    assert state.load(tmp_path / "last.pt")["step"] == 3


def test_another_training_does_not_go_on(tmp_path: Path) -> None:
    made(tmp_path, config={"width": 4}).fit(until=5)
    with pytest.raises(UsageError, match=r"its lr is 0\.01, asked for is 0\.1"):
        made(tmp_path, replace(RECIPE, lr=0.1), config={"width": 4}).fit()
    with pytest.raises(UsageError, match=r"its config is \{'width': 4\}, asked for is \{'width': 5\}"):
        made(tmp_path, config={"width": 5}).fit()
    longer = made(tmp_path, config={"width": 4}, steps=30)
    longer.fit()
    assert longer.step == 30


def test_a_schedule_over_the_whole_training_fixes_its_length(tmp_path: Path) -> None:
    recipe = replace(RECIPE, schedule=recipes.Exponential(0.1))
    made(tmp_path, recipe).fit(until=5)
    with pytest.raises(UsageError, match="its steps is 23, asked for is 30"):
        made(tmp_path, recipe, steps=30).fit()


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_text("<html>")
    with pytest.raises(UsageError, match="is not a checkpoint but a web page"):
        made(tmp_path).fit()
    torch.save({"model": {}}, tmp_path / "last.pt")
    with pytest.raises(UsageError, match="is not the checkpoint of a training here"):
        made(tmp_path).fit()


def test_autocast_where_the_recipe_says_so(tmp_path: Path) -> None:
    seen = []
    for precision in ("float32", "bfloat16"):
        trainer = made(tmp_path / precision, replace(RECIPE, precision=precision), steps=1, validate=None)
        trainer.loss = lambda x, net=trainer.model: seen.append(net.out[1](x).dtype) or net(x).float().mean()
        trainer.fit()
    assert seen == [torch.float32, torch.bfloat16]
