"""The run folder, schema 1: plain files that only ever grow until they are sealed.

``run.json``      what was run (identity) and how it stands; replaced atomically
``trials.jsonl``  one line per attempted trial
``scores.jsonl``  one line per trial and metric
``summary.json``  derived from the three above; may be rebuilt at any time
``audio/``        estimates that were kept, float32 WAV
``spool/``        work in progress, gone when sealed

A line counts once its newline is on disk; a torn last line is cut off when the
folder is opened again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

from tspbench import decode
from tspbench.errors import OtherIdentity, UsageError
from tspbench.metrics.declaration import Score

SCHEMA = 1
LONE = "backslashreplace"
"""Half a surrogate pair, as in an undecodable file name, is written as JSON escapes it."""


@dataclass
class TrialState:
    """What is known already of one trial: its answer, and which metrics are scored."""

    status: str
    input_digest: str | None = None
    output_digest: str | None = None
    text: str | None = None
    scored: set[str] = field(default_factory=set)


FINISHED = TrialState("finished")
"""Stands for every trial that needs nothing more, so that memory does not grow with them."""


class RunFolder:
    """A run folder opened for writing by this process alone.

    Parameters
    ----------
    record
        The start of ``run.json``: ``identity``, ``metrics`` and whatever else
        describes the run.

    Raises
    ------
    OtherIdentity
        The folder holds another run; the message says what differs.
    UsageError
        Another process is writing here, or the folder holds other things.
    """

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.path = path
        existing = refuse_other(path, record)
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be written ({error.strerror}). Choose another --out.") from error
        self.record = _merged(existing, record)
        self._wanted = {metric["id"] for metric in record["metrics"]}
        self.states: dict[str, TrialState] = {}
        if existing is None:
            self.write_record()  # first of all files: without it the folder would be refused as foreign
        self._read_states()
        self._drop_strays()
        self._trials = _appendable(path / "trials.jsonl")
        self._scores = _appendable(path / "scores.jsonl")

    @property
    def sealed(self) -> bool:
        return bool(self.record["status"] == "sealed")

    def complete(self, trial_ids: Iterable[str]) -> bool:
        """Has every one of some trials all its lines?"""
        return all(self.states.get(trial_id) is FINISHED for trial_id in trial_ids)

    def begin(self, **changes: Any) -> None:
        """Say that the run has started."""
        (self.path / "audio").mkdir(exist_ok=True)
        self.write_record(status="started", **changes)

    def kept(self, trial_id: str) -> Path:
        return self.path / "audio" / f"{trial_id}.wav"

    def add_trial(self, row: Mapping[str, Any]) -> None:
        """Append one attempt; on disk (as far as this process can tell) when it returns."""
        _append(self._trials, _line(row))
        self._note_trial(row)

    def add_scores(self, trial_id: str, scores: Mapping[str, Score], baselines: Mapping[str, Score]) -> None:
        """Append the scores of one trial in one write."""
        rows = [score_row(trial_id, metric, score, baselines) for metric, score in scores.items()]
        _append(self._scores, b"".join(_line(row) for row in rows))
        state = self.states[trial_id]
        state.scored.update(scores)
        if self._wanted <= state.scored:
            self.states[trial_id] = FINISHED

    def write_record(self, **changes: Any) -> None:
        """Replace ``run.json``, whole or not at all."""
        self.record = {**self.record, **changes}
        write_json(self.path / "run.json", self.record)

    def seal(self, status: str, **changes: Any) -> None:
        """End the run, or say why it is not at its end."""
        with contextlib.suppress(OSError):
            (self.path / "audio").rmdir()
        self.write_record(status=status, **changes)

    def close(self) -> None:
        for file in (self._trials, self._scores, self._lock):
            file.close()

    def _read_states(self) -> None:
        for row in read_lines(self.path / "trials.jsonl"):
            self._note_trial(row)
        for row in read_lines(self.path / "scores.jsonl"):
            if row["trial_id"] in self.states:
                self.states[row["trial_id"]].scored.add(row["metric"])
        for trial_id, state in self.states.items():
            if self._wanted <= state.scored:
                self.states[trial_id] = FINISHED

    def _drop_strays(self) -> None:
        """Leave one line per trial and metric, and none of a trial whose own line was lost."""
        path, seen, found = self.path / "scores.jsonl", set(), 0
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            for row in read_lines(path):
                found += 1
                key = (row["trial_id"], row["metric"])
                if key not in seen and row["trial_id"] in self.states:
                    seen.add(key)
                    file.write(_line(row))
        if found == len(seen):
            draft.unlink()
        else:
            draft.replace(path)

    def _note_trial(self, row: Mapping[str, Any]) -> None:
        output = row["output"] or {}
        self.states[sys.intern(row["trial_id"])] = TrialState(
            row["status"], row["input_digest"], output.get("digest"), row["text"]
        )


def set_aside(path: Path) -> Path | None:
    """Move an existing run folder out of the way (nothing is deleted); where it went, or None.

    Raises
    ------
    UsageError
        It holds no run, or another process is writing it.
    """
    if not path.exists():
        return None
    refuse_foreign(path)
    lock = _locked(path)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = path.with_name(f"{path.name}.replaced-{stamp}-{os.getpid()}")
    path.rename(aside)
    lock.close()
    return aside


def read_record(path: Path) -> dict[str, Any]:
    """``run.json`` of a folder.

    Raises
    ------
    UsageError
        There is none, it is damaged, or a later tspbench wrote it.
    """
    try:
        record = json.loads((path / "run.json").read_text(encoding="utf-8"))
        schema = record["schema"]
    except FileNotFoundError:
        raise UsageError(f"{path} holds no run (no run.json).") from None
    except (json.JSONDecodeError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}.") from error
    if schema != SCHEMA:
        raise UsageError(f"{path} was written with schema {schema}; this tspbench reads schema {SCHEMA}.")
    assert isinstance(record, dict)
    return record


def read_summary(path: Path) -> dict[str, Any] | None:
    """``summary.json`` of a folder; None where it is not there or damaged, for it can be built again."""
    try:
        found: dict[str, Any] = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file; a torn last line is passed over."""
    for _, row in raw_lines(path):
        yield row


def raw_lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each line of a JSON-lines file as it stands, and its row; a torn last line is passed over."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield line, _parsed(path, number, line)


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line, parse_constant=not_a_number)
    except ValueError as error:
        raise UsageError(f"{path}, line {number} is damaged: {error}.") from error
    return row


def not_a_number(constant: str) -> NoReturn:
    """For ``parse_constant`` of JSON: NaN and infinity are never written, so a file that holds them was edited."""
    raise ValueError(f"{constant} is no number")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    draft = path.with_suffix(".draft")
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    draft.write_bytes(text.encode(errors=LONE))
    draft.replace(path)


def score_row(trial_id: str, metric: str, score: Score, baselines: Mapping[str, Score]) -> dict[str, Any]:
    """A line of ``scores.jsonl``."""
    row: dict[str, Any] = {
        "trial_id": trial_id,
        "metric": metric,
        "value": score.value,
        "status": score.status.value,
        "reason": score.reason,
    }
    if score.counts is not None:
        row["counts"] = dict(score.counts)
    if metric in baselines:
        row["baseline"] = baselines[metric].value
    return row


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(errors=LONE) + b"\n"


def _appendable(path: Path) -> IO[bytes]:
    """Open for appending, unbuffered, after cutting off a torn last line."""
    size = path.stat().st_size if path.exists() else 0
    whole = _end_of_last_line(path, size)
    if whole < size:
        os.truncate(path, whole)
    return path.open("ab", buffering=0)


def _end_of_last_line(path: Path, size: int) -> int:
    block = 1 << 16
    for start in range((size - 1) // block * block, -1, -block):
        with path.open("rb") as file:
            file.seek(start)
            newline = file.read(block).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
    return 0


def _append(file: IO[bytes], data: bytes) -> None:
    """Write all of ``data`` or, when the disk is full, none of it."""
    start = file.seek(0, os.SEEK_END)
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise


def _locked(path: Path) -> IO[bytes]:
    file = (path / ".lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UsageError(f"Another tspbench process is writing {path}. Wait for it, or choose another --out.") from None
    return file


def _merged(existing: Mapping[str, Any] | None, record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a run that goes on: its history stays, metrics are added."""
    if existing is None:
        return {"schema": SCHEMA, "status": "started", **record}
    known = {metric["id"] for metric in existing["metrics"]}
    added = [metric for metric in record["metrics"] if metric["id"] not in known]
    return {**record, **existing, "metrics": [*existing["metrics"], *added]}


def refuse_other(path: Path, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record that a folder holds already, if it is this very run's; None for a free folder.

    Raises
    ------
    OtherIdentity
        It holds another run; the message says what differs.
    UsageError
        It holds something that is no run.
    """
    refuse_foreign(path)
    if not (path / "run.json").exists():
        return None
    existing = read_record(path)
    _same_identity(path, existing, record)
    return existing


def refuse_foreign(path: Path) -> None:
    """Refuse a path that holds something else than a run (UsageError); free and run folders pass."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder. Choose another --out.")
    if not path.exists() or (path / "run.json").exists():
        return
    if any(name.name not in (".lock", "run.draft") for name in path.iterdir()):
        raise UsageError(f"{path} is not empty and holds no run. Choose another --out.")


def _same_identity(path: Path, existing: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    found = differences(existing["identity"], record["identity"])
    there = {metric["id"]: metric for metric in existing["metrics"]}
    for metric in record["metrics"]:
        found += differences(there.get(metric["id"], metric), metric, f"metric {metric['id']}")
    if found:
        raise OtherIdentity(
            f"{path} holds another run. What differs: {'; '.join(found)}. "
            "Choose another --out, or start over with --fresh (the old folder is moved aside)."
        )


def differences(there: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two nested records: ``protocol.seed: 0 there, 1 now``."""
    return list(_differences(there, now, name))


def _differences(there: Any, now: Any, name: str = "") -> Iterable[str]:
    if isinstance(there, Mapping) and isinstance(now, Mapping):
        for key in sorted({*there, *now}):
            yield from _differences(there.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif decode.canonical(there) != decode.canonical(now):
        yield f"{name}: {_short(there)} there, {_short(now)} now"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}…"
