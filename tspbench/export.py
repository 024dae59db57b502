"""A task as files, for systems outside tspbench: mixtures, queries and a table, without the answers."""

from __future__ import annotations

import contextlib
import csv
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tspbench import audio
from tspbench.corpus import Progress
from tspbench.errors import UsageError
from tspbench.stage import Stage
from tspbench.task import load_task
from tspbench.types import Audio, Query, QueryKind, Rendered, TaskKind, Trial

ASKED = frozenset(QueryKind) - {QueryKind.TRUTH}
SIGNALS = ("audio", "negative_audio", "enrolment")
ARRAYS = ("speaker_vector", "activity_mask")
RATES = (1_000, 768_000)
FOLDERS = ("mixtures", "queries", "truth")
TABLES = ("trials.jsonl", "trials.csv")


def export(
    task: str | Path,
    out: Path | str,
    *,
    limit: int | None = None,
    data_root: Path | None = None,
    available: bool = False,
    truth: bool = False,
    rate: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write what a system outside tspbench needs to process a task, and return the folder.

    All audio is mono float32 WAV. ``trials.jsonl`` and ``trials.csv`` hold a
    row per trial: ``trial_id``, ``mixture``, ``sample_rate``, ``duration_s``,
    ``text``, ``negative_text`` and the files of ``audio``, ``negative_audio``,
    ``enrolment``, ``speaker_vector`` and ``activity_mask`` (both ``.npy``),
    relative to the folder.
    In the CSV, spaces separate several files.

    Parameters
    ----------
    task
        A task's name or a path to a manifest.
    out
        A folder that does not exist or is empty.
    limit
        Only the first trials; score with the same limit.
    available
        Of a prepared task, only the trials whose audio is here.
    truth
        Add the answers: ``target`` (none where it is absent), ``interferers``
        and ``transcript``.
    rate
        Hz; by default the task's.

    Raises
    ------
    UsageError
        The request, the task or its audio does not do; nothing is left in ``out``.
    """
    loaded, out = load_task(str(task), data_root, available=available).limited(limit), Path(out)
    if rate is not None and not RATES[0] <= rate <= RATES[1]:
        raise UsageError(f"--rate is in Hz, from {RATES[0]} to {RATES[1]}; got {rate}.")
    _refuse_occupied(out)

    def tell(step: str, done: int) -> None:
        if progress:
            progress(step, done, len(loaded))

    loaded.check_audio(lambda done: tell("checking the audio", done))
    writer = Writer(out, loaded.stage, rate or loaded.info.sample_rate, truth)
    with _whole(out):
        rows = []
        for done, trial in enumerate(loaded, start=1):
            rows.append(writer.write(trial))
            tell("writing", done)
        _write_tables(out, rows)
    return out


def report(
    task: str | Path,
    out: Path | str,
    *,
    limit: int | None = None,
    data_root: Path | None = None,
    available: bool = False,
) -> str:
    """What was exported, how estimates must be named and, in the last line, how to score them."""
    loaded = load_task(str(task), data_root, available=available).limited(limit)
    estimates = Path(out) / "estimates"
    words = loaded.info.kind is TaskKind.TSASR
    command = ["tspbench", "score", "--task", str(task), "--estimates", str(estimates)]
    command += ["--limit", str(limit)] if limit is not None else []
    command += ["--data-root", str(data_root)] if data_root is not None else []
    command += ["--available"] if available else []
    example = estimates / loaded.ids[0]
    lines = {
        "trials": f"{len(loaded)}, listed in {Path(out) / TABLES[0]} and {TABLES[1]}",
        "estimates": "one file per trial, named by its id: "
        + (f"{example}.txt with the words, {example}.wav if there is a waveform" if words else f"{example}.wav"),
        "next": shlex.join(command),
    }
    return "\n".join(f"{name + ':':<12}{value}" for name, value in lines.items())


@dataclass(frozen=True)
class Writer:
    """Writes the files of one trial after another and says where they are."""

    out: Path
    stage: Stage
    rate: int
    truth: bool

    def write(self, trial: Trial) -> dict[str, Any]:
        """The row of a trial, its files written."""
        rendered = self.stage.render(trial)
        query = self.stage.query(trial, ASKED, self.rate, rendered)
        row = {
            "trial_id": trial.trial_id,
            "mixture": self._rendered(f"mixtures/{trial.trial_id}.wav", rendered, rendered.mixture),
            "sample_rate": self.rate,
            "duration_s": round(len(rendered.mixture) / rendered.sample_rate, 6),
            "text": query.text,
            "negative_text": query.negative_text,
        }
        row |= self._query(f"queries/{trial.trial_id}", query)
        return row | self._truth(f"truth/{trial.trial_id}", trial, rendered) if self.truth else row

    def _query(self, folder: str, query: Query) -> dict[str, Any]:
        files: dict[str, Any] = {
            kind: [self._signal(f"{folder}/{kind}-{i}.wav", signal) for i, signal in enumerate(getattr(query, kind))]
            for kind in SIGNALS
        }
        for kind in ARRAYS:
            array = getattr(query, kind)
            files[kind] = None if array is None else f"{folder}/{kind}.npy"
            if array is not None:
                np.save(self._place(files[kind]), array)
        return files

    def _truth(self, folder: str, trial: Trial, rendered: Rendered) -> dict[str, Any]:
        target, others = rendered.target, enumerate(rendered.interferers)
        return {
            "target": None if target is None else self._rendered(f"{folder}/target.wav", rendered, target),
            "interferers": [self._rendered(f"{folder}/interferer-{i}.wav", rendered, other) for i, other in others],
            "transcript": trial.transcript,
        }

    def _rendered(self, name: str, rendered: Rendered, signal: Audio) -> str:
        return self._signal(name, audio.resample(signal, rendered.sample_rate, self.rate))

    def _signal(self, name: str, signal: Audio) -> str:
        audio.write(self._place(name), signal, self.rate)
        return name

    def _place(self, name: str) -> Path:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _refuse_occupied(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder.")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"--out {out} is not empty. Name another folder, or remove what is in it.")


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[None]:
    """All of it or nothing: half an export would be scored as a whole one."""
    there = out.exists()
    try:
        yield
    except BaseException as error:
        for folder in FOLDERS:
            shutil.rmtree(out / folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            for table in TABLES:
                (out / table).unlink(missing_ok=True)
            if not there:
                out.rmdir()
        if isinstance(error, OSError):
            raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from error
        raise


def _write_tables(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with (out / TABLES[0]).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (out / TABLES[1]).open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(
            {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()} for row in rows
        )
