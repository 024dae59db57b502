"""``tspbench merge``: the parts of a run (``--shard``), each in a folder of its own, become one run folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench.baselines import UPPER, Baselines
from tspbench.errors import UsageError
from tspbench.metrics import resolve
from tspbench.results import Run, load_run
from tspbench.runner.keep import Keeper
from tspbench.store import differences, raw_lines, read_record, refuse_foreign, write_json
from tspbench.summary import remember_bound, summarise

OF_A_PART = ("created", "wall_time_s", "code", "environment", "hardware", "executors")
"""What may differ between parts; the merged record states it of each."""


@dataclass(frozen=True)
class Part:
    """One part's folder and its ``run.json``."""

    path: Path
    record: Mapping[str, Any]

    @property
    def shard(self) -> Mapping[str, int]:
        shard: Mapping[str, int] = self.record["identity"]["task"]["shard"]
        return shard

    @property
    def number(self) -> int:
        return self.shard["number"]


def merge(folders: Sequence[Path], out: Path) -> Run:
    """Put the parts of a run together, in a new folder that a whole run would have left.

    Raises
    ------
    UsageError
        They are not all the parts of one run, one is not finished or damaged, or ``out`` is not free.
        Nothing was written.
    """
    refuse_foreign(out)
    if (out / "run.json").exists():
        raise UsageError(f"{out} holds a run already. Choose another --out.")
    parts = _all_of_one(sorted((_part(folder) for folder in folders), key=lambda part: part.number))
    draft = out.absolute().with_name(f".{out.name}.merging-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        _fill(draft, parts)
        draft.rename(out)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"{out} cannot be written ({error.strerror or error}).") from error
        raise
    return load_run(out)


def _part(folder: Path) -> Part:
    record = read_record(folder)
    if "shard" not in record["identity"]["task"]:
        raise UsageError(f"{folder} is a whole run, not a part of one. Parts are made with: tspbench run --shard K/N")
    part = Part(folder, record)
    if record["status"] != "sealed":
        raise UsageError(
            f"{folder}, part {part.number} of {part.shard['of']}, is not finished (status {record['status']}). "
            "The command that began it goes on with it."
        )
    return part


def _all_of_one(parts: Sequence[Part]) -> Sequence[Part]:
    """Refuse parts of different runs, a part twice, and too few."""
    if not parts:
        raise UsageError("No part is named. Say tspbench merge runs/part-* --out DIR, for instance.")
    first, of = parts[0], parts[0].shard["of"]
    for part in parts[1:]:
        found = differences(_definition(first), _definition(part))
        if found:
            raise UsageError(
                f"{first.path} and {part.path} are not parts of one run. What differs: {'; '.join(found)}."
            )
    numbers = [part.number for part in parts]
    for part, before in zip(parts[1:], parts, strict=False):
        if part.number == before.number:
            raise UsageError(f"{before.path} and {part.path} are both part {part.number} of {of}.")
    missing = sorted(set(range(1, of + 1)) - set(numbers))
    if missing:
        names = ", ".join(map(str, missing))
        raise UsageError(f"Of {of} parts {len(missing)} {'is' if len(missing) == 1 else 'are'} missing: {names}.")
    return parts


def _definition(part: Part) -> dict[str, Any]:
    """What all parts of a run must have in common."""
    identity = part.record["identity"]
    task = {name: value for name, value in identity["task"].items() if name != "shard"}
    metrics = {metric["id"]: metric for metric in part.record["metrics"]}
    return {**identity, "task": {**task, "parts": part.shard["of"]}, "metrics": metrics}


def _fill(folder: Path, parts: Sequence[Part]) -> None:
    """Write the run into an empty folder."""
    record = _record(parts)
    _join_trials(folder, parts)
    _join(folder / "scores.jsonl", (line for part in parts for line, _ in raw_lines(part.path / "scores.jsonl")))
    _join_logs(folder, parts)
    _link_audio(folder, parts)
    write_json(folder / "run.json", {**record, "status": "started"})  # what follows reads the folder
    if any(part.record.get("save_audio") == "worst" for part in parts):
        _keep_worst(folder, record)
    found = _summary(folder, record)
    for name, column in found["metrics"].items():
        if column["attempted"] < found["trials"]["expected"]:
            raise UsageError(f"The parts lack scores: {name} stands on {column['attempted']} trials only.")
    write_json(folder / "summary.json", found)
    status = "sealed" if found["trials"]["ok"] else "failed"
    write_json(folder / "run.json", {**record, "status": status, "counts": found["trials"]})


def _record(parts: Sequence[Part]) -> dict[str, Any]:
    """``run.json`` of the whole, less its end."""
    first = parts[0].record
    identity = {**first["identity"], "task": {k: v for k, v in first["identity"]["task"].items() if k != "shard"}}
    return {
        **first,
        "identity": identity,
        "created": min(part.record["created"] for part in parts),
        "wall_time_s": round(sum(part.record["wall_time_s"] for part in parts), 3),
        "code": {**first["code"], "dirty": any(part.record["code"].get("dirty") for part in parts)},
        "executors": [each for part in parts for each in part.record.get("executors", [])],
        "parts": [
            {"number": part.number, **{k: part.record[k] for k in OF_A_PART if k in part.record}} for part in parts
        ],
    }


def _of_part(part: Part) -> dict[str, Any]:
    return {"number": part.number, **{name: part.record[name] for name in OF_A_PART if name in part.record}}


def _join_trials(folder: Path, parts: Sequence[Part]) -> None:
    """The trials' lines, each trial once and all of every part."""
    seen: dict[str, Path] = {}

    def lines() -> Iterator[bytes]:
        for part in parts:
            before = len(seen)
            for line, row in raw_lines(part.path / "trials.jsonl"):
                name = row["trial_id"]
                if name in seen:
                    raise UsageError(f"{part.path} and {seen[name]} both hold the trial {name!r}.")
                seen[name] = part.path
                yield line
            found = len(seen) - before
            if found != part.shard["trials"]:
                raise UsageError(f"{part.path} is damaged: it holds {found} of its {part.shard['trials']} trials.")

    _join(folder / "trials.jsonl", lines())


def _join(path: Path, lines: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(lines)


def _join_logs(folder: Path, parts: Sequence[Part]) -> None:
    logs = [part.path / "system.log" for part in parts if (part.path / "system.log").exists()]
    if logs:
        _join(folder / "system.log", (log.read_bytes() for log in logs))


def _link_audio(folder: Path, parts: Sequence[Part]) -> None:
    """The kept estimates, without another copy where the file system allows."""
    for path in (path for part in parts for path in (part.path / "audio").glob("*.wav")):
        (folder / "audio").mkdir(exist_ok=True)
        place = folder / "audio" / path.name
        try:
            os.link(path, place)
        except OSError:
            shutil.copyfile(path, place)


def _keep_worst(folder: Path, record: Mapping[str, Any]) -> None:
    """Of the worst that each part kept, the worst of all."""
    keeper, place = Keeper("worst", resolve(record["metrics"][0]["id"])), _Folder(folder)
    keeper.resume(place)
    keeper.drop(place)


@dataclass
class _Folder:
    path: Path

    def kept(self, trial_id: str) -> Path:
        return self.path / "audio" / f"{trial_id}.wav"


def _summary(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """With the bounds that are known here, and known hence if this run is of one."""
    instruments = {
        str(metric["parameters"]["instrument"]): str(metric["instrument"])
        for metric in record["metrics"]
        if metric.get("instrument")
    }
    with contextlib.closing(Baselines(instruments=instruments)) as baselines:
        if record["role"] == "bound" and "truth" in record["queries"]:
            system = record["identity"]["system"]
            remember_bound(folder, f"{UPPER}{system['name']}@{system['digest'][:8]}", baselines)
        return summarise(folder, baselines)
