"""Strata: every trial in one, bands with round edges, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tspbench.strata import EDGES, MOST, strata


def of(name: str, values: list[object]) -> dict[str, list[int]]:
    return strata([{name: value} for value in values]).get(name, {})


def test_snr_falls_into_bands_of_5_db() -> None:
    values = [-25.0, -5.0, -0.01, 0.0, 4.99, 5.0, 19.0, 20.0]
    assert of("snr_db", values) == {
        "below -20 dB": [0],
        "-5 to 0 dB": [1, 2],
        "0 to 5 dB": [3, 4],
        "5 to 10 dB": [5],
        "15 to 20 dB": [6],
        "20 dB or more": [7],
    }


def test_bands_equal_pandas() -> None:
    values = np.random.default_rng(0).uniform(-3, 40, 500)
    for name in EDGES:
        edges = [-np.inf, *EDGES[name][0], np.inf]
        expected = pd.Series(range(500)).groupby(pd.cut(values, edges, right=False), observed=True).agg(list).tolist()
        assert list(of(name, values.tolist()).values()) == expected


def test_few_distinct_numbers_stand_for_themselves_in_order() -> None:
    assert list(of("snr_db", [10.0, -5.0, 0.0, None, 5.0, -5.0])) == ["-5.0", "0.0", "5.0", "10.0", "None"]


def test_words_are_sorted_and_what_is_missing_comes_last() -> None:
    found = strata([{"class": "rain"}, {}, {"class": "bell"}, {"class": "rain"}])
    assert found == {"class": {"bell": [2], "rain": [0, 3], "None": [1]}}


def test_what_splits_nothing_or_too_much_is_left_out() -> None:
    assert of("a", ["x"] * 5) == {}
    assert of("a", [f"x{i}" for i in range(MOST + 1)]) == {}
    assert strata([]) == {}


VALUES = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-99, 99) | st.sampled_from(["a", "b"])


@given(st.sampled_from(["snr_db", "anything"]), st.lists(VALUES, max_size=40))
def test_every_trial_is_in_one_stratum(name: str, values: list[object]) -> None:
    found = of(name, values)
    if found:
        assert sorted(i for members in found.values() for i in members) == list(range(len(values)))
