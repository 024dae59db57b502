"""What passes between the processes of a run."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tspbench.errors import TspbenchError
from tspbench.prefix import Prefix
from tspbench.runner.spool import write_over
from tspbench.types import Audio, Query, QueryKind, Rendered


@dataclass(frozen=True)
class SystemInfo:
    """What a system said of itself once it was built (before its weights were loaded).

    ``digest`` names code, options and weights together.
    """

    label: str
    options: Mapping[str, Any]
    sample_rate: int | None
    queries: frozenset[QueryKind]
    aligned: bool
    extracts: bool
    transcribes: bool
    digest: str
    code_digest: str
    weights: Mapping[str, str] = field(default_factory=dict)
    precision: str = "float32"
    hint: str = ""
    prefix: Prefix | None = None


@dataclass(frozen=True)
class Prepared:
    """A rendered trial on its way: kept in a scratch file that only this run writes and reads.

    ``mixture`` and ``query`` are at the system's rate, ``rendered`` is at the task's.
    """

    rendered: Rendered
    mixture: Audio
    query: Query
    enrolment: tuple[Audio, ...]

    def save(self, path: Path) -> None:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(self, protocol=5, buffer_callback=buffers.append)
        raws = [buffer.raw() for buffer in buffers]
        sizes = pickle.dumps([len(head), *(len(raw) for raw in raws)])
        write_over(path, len(sizes).to_bytes(8, "little"), sizes, head, *raws)

    @classmethod
    def load(cls, path: Path) -> Prepared:
        data = memoryview(path.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        parts = []
        for size in pickle.loads(data[8:start]):
            parts.append(data[start : start + size])
            start += size
        prepared = pickle.loads(parts[0], buffers=parts[1:])
        assert isinstance(prepared, cls)
        return prepared


@dataclass(frozen=True)
class Ask:
    """One trial of a batch: where its mixture lies and where the estimate goes."""

    trial_id: str
    scratch: Path
    estimate: Path


@dataclass(frozen=True)
class Output:
    """Facts about one answer, as they stand in ``trials.jsonl``."""

    digest: str
    samples: int
    sample_rate: int
    peak: float
    rms: float
    silent: bool
    clipped: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a trial has no answer."""

    type: str
    message: str
    trace: str = ""


@dataclass(frozen=True)
class Answer:
    """A system's answer on one trial; an estimate lies where the :class:`Ask` said."""

    trial_id: str
    status: Literal["ok", "failed", "timed_out"] = "ok"
    output: Output | None = None
    text: str | None = None
    failure: Failure | None = None
    compute_s: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True)
class Trouble:
    """An exception that crossed a process border. ``error`` is set for those the user can act on."""

    kind: str
    message: str
    trace: str
    error: TspbenchError | None = None
    errno: int | None = None
