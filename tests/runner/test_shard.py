"""Shards of a run: all of it, nothing twice, whole batches."""

from __future__ import annotations

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


def test_every_nth_batch() -> None:
    planned = [Batch((name,)) for name in "abcdefg"]
    assert [[batch.trial_ids[0] for batch in Shard(k, 3).batches(planned)] for k in (1, 2, 3)] == [
        ["a", "d", "g"],
        ["b", "e"],
        ["c", "f"],
    ]


@pytest.mark.parametrize("text", ["3/8", "1/1", "8/8"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [("3", "write K/N"), ("a/b", "write K/N"), ("-1/3", "write K/N"), ("3/", "write K/N"), ("", "write K/N"),
     ("0/3", "the first is 1/N"), ("4/3", "the first is 1/N"), ("0/0", "the first is 1/N")],
)  # fmt: skip
def test_what_is_no_shard(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--shard {text}: .*{message}"):
        Request(task="lass-demo", shard=text)
