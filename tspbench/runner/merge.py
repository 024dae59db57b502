"""``tspbench merge``: the parts of a run (``--shard``), each in a folder of its own, become one run folder."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tspbench.baselines import UPPER, Baselines
from tspbench.errors import TspbenchError, UsageError
from tspbench.metrics import resolve
from tspbench.results import Run, load_run
from tspbench.runner.keep import Keeper, Policy
from tspbench.store import differences, raw_lines, read_record, refuse_foreign, write_json
from tspbench.summary import remember_bound, summarise
from tspbench.system import find_system

OF_A_PART = ("created", "wall_time_s", "code", "environment", "hardware", "executors")
"""What may differ between parts; the merged record states it of each."""


@dataclass(frozen=True)
class Part:
    """One part's folder and its ``run.json``."""

    path: Path
    record: Mapping[str, Any]
    number: int
    of: int
    trials: int
    metrics: tuple[str, ...]

    def unfinished(self, how: str) -> UsageError:
        return UsageError(
            f"{self.path}, part {self.number} of {self.of}, is not finished ({how}). Give the command that began it "
            f"again: tspbench run … --shard {self.number}/{self.of} --out {self.path}"
        )


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
    parts = _all_of_one(sorted(map(_part, folders), key=lambda part: part.number))
    out = out.absolute()
    with _whole_or_nothing(out) as draft:
        _fill(draft, parts)
    return load_run(out)


@contextlib.contextmanager
def _whole_or_nothing(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place in the end."""
    draft = out.with_name(f".{out.name}.merging-{os.getpid()}")
    made = [folder for folder in draft.parents if not folder.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
        draft.rename(out)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError):
            raise UsageError(f"{out} cannot be written ({error.strerror or error}).") from error
        raise


@contextlib.contextmanager
def _reading(what: object) -> Iterator[None]:
    """A field or a line that no run writes is told in one sentence."""
    try:
        yield
    except TspbenchError:
        raise
    except OSError as error:
        raise UsageError(f"{what} cannot be read ({error.strerror or error}).") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{what} is damaged ({type(error).__name__}: {error}).") from error


def _part(folder: Path) -> Part:
    record = read_record(folder)
    with _reading(folder / "run.json"):
        shard = record["identity"]["task"].get("shard")
        if shard is None:
            raise UsageError(
                f"{folder} is a whole run, not a part of one. Parts are made with: tspbench run --shard K/N"
            )
        metrics = tuple(str(metric["id"]) for metric in record["metrics"])
        part = Part(folder, record, int(shard["number"]), int(shard["of"]), int(shard["trials"]), metrics)
        _record([part])  # every field that is needed is there
    if record["status"] not in ("sealed", "failed"):  # a failed part may have all its lines
        raise part.unfinished(f"status {record['status']}")
    return part


def _all_of_one(parts: Sequence[Part]) -> Sequence[Part]:
    """Refuse parts of different runs, a part twice, and too few."""
    if not parts:
        raise UsageError("No part is named. Say tspbench merge runs/part-* --out DIR, for instance.")
    first = parts[0]
    for part in parts[1:]:
        _refuse_another_run(first, part)
    for before, part in itertools.pairwise(parts):
        if part.number == before.number:
            raise UsageError(f"{before.path} and {part.path} are both part {part.number} of {part.of}.")
    missing = sorted(set(range(1, first.of + 1)) - {part.number for part in parts})
    if missing:
        raise UsageError(f"{_numbered(missing)} of {first.of} {'is' if len(missing) == 1 else 'are'} missing.")
    return parts


def _numbered(numbers: Sequence[int]) -> str:
    """``Part 2``; ``Parts 4 and 7``; ``Parts 2, 4 and 7``."""
    *others, last = map(str, numbers)
    return f"Parts {', '.join(others)} and {last}" if others else f"Part {last}"


def _refuse_another_run(first: Part, part: Part) -> None:
    """By the rule that a run must pass to go on in a folder, save that it may not bring metrics of its own."""
    pair = f"{first.path} and {part.path}"
    lacking = set(first.metrics) ^ set(part.metrics)
    if lacking:
        raise UsageError(
            f"{pair} have not the same metrics: {', '.join(sorted(lacking))} stands in one of them only. "
            "Give the other's command again with --metrics."
        )
    found = differences(_definition(first), _definition(part))
    if found:
        raise UsageError(f"{pair} are not parts of one run. What differs: {'; '.join(found)}.")


def _definition(part: Part) -> dict[str, Any]:
    """What all parts of a run must have in common."""
    identity = part.record["identity"]
    task = {name: value for name, value in identity["task"].items() if name != "shard"}
    metrics = {metric["id"]: metric for metric in part.record["metrics"]}
    return {**identity, "task": {**task, "parts": part.of}, "metrics": metrics}


def _fill(folder: Path, parts: Sequence[Part]) -> None:
    """Write the run into an empty folder."""
    record = _record(parts)
    _join_lines(folder, parts, record["identity"]["task"]["trials"])
    _join_logs(folder, parts)
    _link_audio(folder, parts)
    write_json(folder / "run.json", {**record, "status": "started"})  # what follows reads the folder
    with _reading("One of the parts"):
        if record["save_audio"] == "worst":
            _keep_worst(folder, record)
        found = _summary(folder, record)
    write_json(folder / "summary.json", found)
    status = "sealed" if found["trials"]["ok"] else "failed"
    write_json(folder / "run.json", {**record, "status": status, "counts": found["trials"]})


def _record(parts: Sequence[Part]) -> dict[str, Any]:
    """``run.json`` of the whole, less its end."""
    first = parts[0].record
    identity = {**first["identity"], "task": {k: v for k, v in first["identity"]["task"].items() if k != "shard"}}
    policies = get_args(Policy)  # from the one that keeps least
    return {
        **first,
        "identity": identity,
        "created": min(part.record["created"] for part in parts),
        "wall_time_s": round(sum(part.record["wall_time_s"] for part in parts), 3),
        "code": {**first["code"], "dirty": any(part.record["code"].get("dirty") for part in parts)},
        "executors": [each for part in parts for each in part.record.get("executors", [])],
        "save_audio": min((part.record.get("save_audio", "none") for part in parts), key=policies.index),
        "parts": [_of_part(part) for part in parts],
    }


def _of_part(part: Part) -> dict[str, Any]:
    return {"number": part.number, **{name: part.record[name] for name in OF_A_PART if name in part.record}}


def _join_lines(folder: Path, parts: Sequence[Part], expected: int) -> None:
    """Copy the lines as they stand: each trial once, with each of its scores once."""
    holders: dict[str, Part] = {}
    with (folder / "trials.jsonl").open("wb") as trials, (folder / "scores.jsonl").open("wb") as scores:
        for part in parts:
            trials.writelines(_trial_lines(part, holders))
            scores.writelines(_score_lines(part, [name for name, holder in holders.items() if holder is part]))
    if len(holders) != expected:
        raise UsageError(f"The parts hold {len(holders)} trials together, the run has {expected}: one is damaged.")


def _trial_lines(part: Part, holders: dict[str, Part]) -> Iterator[bytes]:
    """The lines of a part's trials, which are added to ``holders``."""
    before = len(holders)
    with _reading(part.path / "trials.jsonl"):
        for line, row in raw_lines(part.path / "trials.jsonl"):
            trial_id = row["trial_id"]
            if trial_id in holders:
                raise _held_twice(trial_id, holders[trial_id], part)
            holders[trial_id] = part
            yield line
    found = len(holders) - before
    if found != part.trials:
        raise part.unfinished(f"{found} of its {part.trials} trials are there")


def _held_twice(trial_id: str, before: Part, part: Part) -> UsageError:
    if before is part:
        return UsageError(f"{part.path / 'trials.jsonl'} is damaged: the trial {trial_id!r} stands in it twice.")
    return UsageError(f"{before.path} and {part.path} both hold the trial {trial_id!r}.")


def _score_lines(part: Part, trial_ids: Sequence[str]) -> Iterator[bytes]:
    """The lines of a part's scores; of every trial, a bit for each metric says that it was there."""
    bits = {metric: 1 << place for place, metric in enumerate(part.metrics)}
    there = dict.fromkeys(trial_ids, 0)
    path = part.path / "scores.jsonl"
    with _reading(path):
        for line, row in raw_lines(path):
            trial_id, metric = row["trial_id"], row["metric"]
            if there[trial_id] & bits[metric]:
                raise UsageError(f"{path} is damaged: {metric} of the trial {trial_id!r} stands in it twice.")
            there[trial_id] |= bits[metric]
            yield line
    scored = sum(found == sum(bits.values()) for found in there.values())
    if scored != part.trials:
        raise part.unfinished(f"{scored} of its {part.trials} trials have all their scores")


def _join_logs(folder: Path, parts: Sequence[Part]) -> None:
    logs = [part.path / "system.log" for part in parts if (part.path / "system.log").exists()]
    if logs:
        with (folder / "system.log").open("wb") as file:
            for log in logs:
                with log.open("rb") as source:
                    shutil.copyfileobj(source, file)


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


def _is_upper_bound(record: Mapping[str, Any]) -> bool:
    """By its card, as in a run in one go: a system may be told the truth by its options alone."""
    try:
        card = find_system(record["identity"]["system"]["name"]).card
    except UsageError:
        return False
    return card is not None and card.role == "bound" and "truth" in record["queries"]


def _summary(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """With the bounds that are known here, and known hence if this run is of one."""
    instruments = {
        str(metric["parameters"]["instrument"]): str(metric["instrument"])
        for metric in record["metrics"]
        if metric.get("instrument")
    }
    with contextlib.closing(Baselines(instruments=instruments)) as baselines:
        if _is_upper_bound(record):
            system = record["identity"]["system"]
            remember_bound(folder, f"{UPPER}{system['name']}@{system['digest'][:8]}", baselines)
        return summarise(folder, baselines)
