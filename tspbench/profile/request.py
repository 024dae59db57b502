"""What is asked of a profile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tspbench import decode
from tspbench.errors import OtherIdentity, UsageError
from tspbench.runner.request import Device
from tspbench.store import read_record

LONGEST_S = 3600.0
LARGEST_BATCH = 4096


@dataclass(frozen=True)
class Request:
    """The options of ``tspbench profile`` that are not about which system.

    ``budget_s`` is for the table of latencies; the tests of look-ahead and of
    chunks get half of it each at most. ``runs`` are run folders that the
    profile is attached to.
    """

    seconds: tuple[float, ...] = (1.0, 4.0, 10.0, 60.0)
    batch: tuple[int, ...] = (1, 4, 16)
    budget_s: float = 60.0
    device: Device = "auto"
    task: str | None = None
    threads: int | None = None
    seed: int = 0
    time_limit_s: float = 600.0
    out: Path | None = None
    runs: tuple[Path, ...] = ()
    data_root: Path | None = None

    def __post_init__(self) -> None:
        for length in self.seconds:
            if not 0 < length <= LONGEST_S:
                raise UsageError(f"--seconds {length:g}: a length lies between 0 and {LONGEST_S:g} s.")
        for size in self.batch:
            if not 1 <= size <= LARGEST_BATCH:
                raise UsageError(f"--batch {size}: a batch holds 1 to {LARGEST_BATCH} mixtures.")
        if not self.seconds or not self.batch:
            raise UsageError(f"--{'batch' if self.seconds else 'seconds'} names no number.")
        for name, value in (("budget", self.budget_s), ("time-limit", self.time_limit_s)):
            if not 0 < value < math.inf:
                raise UsageError(f"--{name} must be a positive number of seconds, got {value}.")
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads must be at least 1, got {self.threads}.")
        if self.device not in get_args(Device):
            raise UsageError(f"--device {self.device}: choose {' or '.join(get_args(Device))}.")


def runs_by_system(runs: tuple[Path, ...], systems: list[Mapping[str, Any]]) -> dict[tuple[str, str], list[Path]]:
    """Which run folders the profile of each system goes to, by its name and digest (classes of one file share one).

    Raises
    ------
    OtherIdentity
        A run is of none of the systems; the message says what differs.
    UsageError
        A folder holds no run.
    """
    found: dict[tuple[str, str], list[Path]] = {(system["name"], system["digest"]): [] for system in systems}
    for path in runs:
        theirs = read_record(path)["identity"]["system"]
        key = (theirs["name"], theirs["digest"])
        if key not in found:
            raise OtherIdentity(_difference(path, theirs, systems))
        found[key].append(path)
    return found


def _difference(path: Path, theirs: Mapping[str, Any], systems: list[Mapping[str, Any]]) -> str:
    same_name = [system for system in systems if system["name"] == theirs["name"]]
    if not same_name:
        names = ", ".join(str(system["name"]) for system in systems)
        return f"{path} is a run of {theirs['name']!r}; profiled here: {names}. Name that system with --system."
    ours = same_name[0]
    keys = [
        key for key in ("options", "code", "weights") if decode.canonical(theirs[key]) != decode.canonical(ours[key])
    ]
    shown = "; ".join(f"{key}: {_short(theirs[key])} there, {_short(ours[key])} now" for key in keys)
    return (
        f"{path} is a run of another {theirs['name']!r}. What differs: {shown or 'digest'}. "
        "Give the same --option, or run it again."
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:12]}…"
