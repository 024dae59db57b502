"""Digests come back as they were."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tspbench.packed import SIZE, Digests

DIGESTS = st.binary(min_size=SIZE, max_size=SIZE).map(bytes.hex) | st.none() | st.text(max_size=40)


@given(st.lists(DIGESTS | st.sampled_from(["", "AB" * SIZE, "ab " * SIZE, "0" * 2 * SIZE])))
def test_what_is_put_in_comes_out(given_: list[str | None]) -> None:
    digests = Digests()
    for digest in given_:
        digests.append(digest)
    assert [digests[i] for i in range(len(digests))] == given_
