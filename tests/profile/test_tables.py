"""Figures as they are shown."""

from __future__ import annotations

import pytest

from tspbench.profile.tables import duration, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.0, "0 µs"), (3.25e-6, "3.25 µs"), (0.000999, "999 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"),
     (3600.0, "3600 s")],
)  # fmt: skip
def test_duration(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_size() -> None:
    assert [size(count) for count in (None, 512, 1 << 20, 3 * (1 << 30))] == ["–", "512 B", "1 MiB", "3 GiB"]
    assert [size(count, "", 1000.0) for count in (0, 272, 1234, 5.6e9)] == ["0", "272", "1.23 k", "5.6 G"]
