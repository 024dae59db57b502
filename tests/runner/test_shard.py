"""Shards of a run: all of it, nothing twice, whole batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.errors import UsageError
from tspbench.runner.plan import Batch, batches
from tspbench.runner.request import Request
from tspbench.runner.shard import Shard


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 12), st.data())
def test_shards_are_a_run_cut_between_its_batches(trials: int, size: int, of: int, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 30), min_size=trials, max_size=trials))
    planned = batches([f"t{i}" for i in range(trials)], size, lengths)
    if len(planned) < of:
        with pytest.raises(UsageError, match=f"no more than {len(planned)} batches"):
            Shard(1, of).batches(planned)
        return
    shards = [Shard(number, of).batches(planned) for number in range(1, of + 1)]
    assert sorted((batch for shard in shards for batch in shard), key=planned.index) == list(planned)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_there_and_back_and_one_further_on_each_time() -> None:
    planned = [Batch((f"{i}",)) for i in range(14)]
    assert [[int(batch.trial_ids[0]) for batch in Shard(k, 3).batches(planned)] for k in (1, 2, 3)] == [
        [0, 5, 8, 9, 13],
        [1, 4, 6, 11],
        [2, 3, 7, 10, 12],
    ]


@pytest.mark.parametrize("of", [2, 3, 8, 16, 32])
def test_no_part_has_all_the_long_batches(of: int) -> None:
    """Batches are longest first in every window, so a plain turn gives the first of 32 parts 1.7 times its share."""
    draw = np.random.default_rng(0)
    seconds = draw.uniform(2, 12, 20_000)
    planned = batches([str(i) for i in range(len(seconds))], 8, seconds.tolist())
    work = [
        sum(len(batch.trial_ids) * max(seconds[int(name)] for name in batch.trial_ids) for batch in part)
        for part in (Shard(number, of).batches(planned) for number in range(1, of + 1))
    ]
    assert max(work) < 1.03 * np.mean(work)


@pytest.mark.parametrize("text", ["3/8", "1/1", "8/8"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [("3", "write K/N"), ("a/b", "write K/N"), ("-1/3", "write K/N"), ("3/", "write K/N"), ("", "write K/N"),
     ("0/3", "counted from 1 to 3"), ("4/3", "counted from 1 to 3"), ("0/0", "at least one part"), (3, "write K/N")],
)  # fmt: skip
def test_what_is_no_shard(text: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"--shard {text}: .*{message}"):
        Request(task="lass-demo", shard=text)
