"""``--save-audio``: which estimates stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tspbench.metrics import Score, Status, resolve
from tspbench.runner.keep import WORST, Keeper
from tspbench.store import RunFolder

SI_SDR, WRONG = resolve("si_sdr"), resolve("wrong_target")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(tmp_path / "run", {"identity": {}, "metrics": [{"id": "si_sdr", "version": 1}]})
    made.begin()
    yield made
    made.close()


def feed(keeper: Keeper, folder: RunFolder, values: dict[str, float | None]) -> None:
    """Score some trials as the engine does: the estimate is written before its scores are known."""
    for trial_id, value in values.items():
        score = Score(value) if value is not None else Score.undefined("silent estimate")
        place = keeper.place(folder, trial_id)
        if place:
            place.write_bytes(b"wav")
        folder.add_trial(
            {"trial_id": trial_id, "status": "ok", "input_digest": "", "output": {"digest": ""}, "text": None}
        )
        folder.add_scores(trial_id, {keeper.metric.id: score}, {})
        keeper.scored(folder, trial_id, {keeper.metric.id: score})


def kept(folder: RunFolder) -> set[str]:
    return {path.stem for path in (folder.path / "audio").iterdir()}


def random_values(count: int = 40, seed: int = 0) -> dict[str, float | None]:
    return {f"t{i}": float(v) for i, v in enumerate(np.random.default_rng(seed).permutation(count))}


def worst(values: dict[str, float | None], *, higher_is_better: bool = True) -> set[str]:
    ranked = sorted(values, key=lambda name: values[name], reverse=not higher_is_better)
    return set(ranked[:WORST])


def test_none_keeps_nothing_and_all_keeps_everything(folder: RunFolder) -> None:
    assert Keeper("none", SI_SDR).place(folder, "a") is None
    values = random_values(15)
    feed(Keeper("all", SI_SDR), folder, values)
    assert kept(folder) == set(values)


@pytest.mark.parametrize("metric", [SI_SDR, WRONG], ids=["higher is better", "lower is better"])
def test_the_ten_worst_stay(folder: RunFolder, metric) -> None:
    values = random_values()
    feed(Keeper("worst", metric), folder, values)
    assert kept(folder) == worst(values, higher_is_better=metric.higher_is_better)


def test_fewer_than_ten_all_stay(folder: RunFolder) -> None:
    feed(Keeper("worst", SI_SDR), folder, {"a": 1.0, "b": 2.0})
    assert kept(folder) == {"a", "b"}


def test_undefined_ones_are_the_worst(folder: RunFolder) -> None:
    feed(Keeper("worst", SI_SDR), folder, {"mute": None, **random_values(), "dumb": None})
    assert {"mute", "dumb"} <= kept(folder)
    assert len(kept(folder)) == WORST


def test_trials_without_an_estimate_take_no_place(folder: RunFolder) -> None:
    keeper = Keeper("worst", SI_SDR)
    for i in range(2 * WORST):
        keeper.scored(folder, f"failed{i}", {"si_sdr": Score(None, Status.FAILED, "crash")})
    values = random_values()
    feed(keeper, folder, values)
    assert kept(folder) == worst(values)


def test_a_run_that_goes_on_ends_with_the_same_files(folder: RunFolder) -> None:
    values = random_values()
    names = list(values)
    feed(Keeper("worst", SI_SDR), folder, {name: values[name] for name in names[:25]})
    again = Keeper("worst", SI_SDR)
    again.resume(folder)
    feed(again, folder, {name: values[name] for name in names[25:]})
    assert kept(folder) == worst(values)


def test_files_that_a_killed_run_had_not_dropped_yet_are_dropped_later(folder: RunFolder) -> None:
    values = random_values(13)
    names = list(values)
    feed(Keeper("all", SI_SDR), folder, {name: values[name] for name in names[:12]})
    keeper = Keeper("worst", SI_SDR)
    keeper.resume(folder)
    feed(keeper, folder, {names[12]: values[names[12]]})
    assert kept(folder) == worst(values)


def test_scores_of_other_metrics_do_not_matter(folder: RunFolder) -> None:
    keeper = Keeper("worst", SI_SDR)
    feed(keeper, folder, {f"t{i}": float(i) for i in range(WORST)})
    keeper.scored(folder, "t0", {"snr": Score(-50.0)})
    assert len(kept(folder)) == WORST
