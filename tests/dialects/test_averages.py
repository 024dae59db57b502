"""The published ways of averaging, against what numpy or torch says of the same numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tspbench.metrics.averages import (
    Average,
    Item,
    class_mean,
    class_median_mean,
    item_mean,
    item_mean_std,
    missing_as_zero,
)

VALUES = {"dog": [1.0, 2.0, 30.0], "rain": [4.0], "siren": [-3.0, 8.0]}
ITEMS = [Item(value, label) for label, values in VALUES.items() for value in values]
FLAT = [item.value for item in ITEMS]
EVERY = [item_mean, item_mean_std, class_mean, class_median_mean]


def test_mean_and_unbiased_deviation() -> None:
    torch = pytest.importorskip("torch")
    values = torch.tensor(FLAT, dtype=torch.float64)
    found = item_mean_std(ITEMS)
    assert found == pytest.approx({"mean": float(values.mean()), "std": float(values.std())})
    assert item_mean(ITEMS) == {"mean": found["mean"]}


def test_classes_weigh_the_same() -> None:
    assert class_mean(ITEMS) == {"mean": pytest.approx(np.mean([11.0, 4.0, 2.5]))}
    assert class_median_mean(ITEMS) == {"mean": pytest.approx(np.mean([2.0, 4.0, 2.5]))}


def test_a_missing_output_counts_as_zero_where_the_published_sum_is_over_all_references() -> None:
    theirs = json.loads((Path(__file__).parent / "published_synthetic.json").read_text())["words"]["tselm"]
    items = [Item(rate if i % 10 else None) for i, rate in enumerate(theirs["rates"])]
    assert missing_as_zero(items) == {"mean": pytest.approx(theirs["mean"], abs=1e-12)}


def test_the_mean_of_utterances_is_that_of_the_published_loop() -> None:
    theirs = json.loads((Path(__file__).parent / "published_synthetic.json").read_text())["words"]["ts-whisper"]
    assert item_mean([Item(rate) for rate in theirs["rates"]]) == {"mean": pytest.approx(theirs["mean"], abs=1e-12)}


@pytest.mark.parametrize("average", EVERY)
def test_no_figure_where_a_trial_has_no_value(average: Average) -> None:
    assert average([*ITEMS, Item(None, "dog")])["mean"] is None
    assert average([])["mean"] is None


@pytest.mark.parametrize("average", [class_mean, class_median_mean])
def test_no_figure_where_a_class_is_unknown(average: Average) -> None:
    assert average([*ITEMS, Item(1.0)]) == {"mean": None}


def test_one_trial_has_no_deviation_and_nothing_is_infinite() -> None:
    assert item_mean_std([Item(3.0)]) == {"mean": 3.0, "std": None}
    assert missing_as_zero([Item(None)]) == {"mean": None}
    assert all(math.isfinite(value) for average in EVERY for value in average(ITEMS).values() if value is not None)
