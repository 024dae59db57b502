"""The demo tasks' ten voices say sentences that those tasks do not have."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tspbench.errors import UsageError
from tspbench.systems.td_speakerbeam.sentences import of_the_tasks, sentences
from tspbench.tasks.demo_voices.make_voices import PROGRAMS, VOICES, Voice, make_utterance

UTTERANCES = "utterances.csv"
PLAN = "plan.csv"
FIELDS = ("file", "speaker", "transcript")
PACKAGES = "flite, festival, festvox-kdlpc16k, festvox-us-slt-hts and sox"
Row = tuple[str, str, str]


def speak(folder: Path, each: int, seed: int, progress: Callable[[int], None] | None = None) -> Path:
    """Have every voice say sentences of its own; what is there already is kept.

    Parameters
    ----------
    folder
        For the FLAC files and the table.
    each
        Sentences per voice.
    progress
        Told how many are said.

    Returns
    -------
    The table: file, speaker, transcript.

    Raises
    ------
    UsageError
        A synthesiser is not installed, or the folder holds other sentences.
    """
    rows = _planned(folder, each, seed)
    voices = {voice.name: voice for voice in VOICES}
    lacking = [row for row in rows if not (folder / row[0]).exists()]
    if lacking:
        _refuse_without_programs()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_say, voices[speaker], text, folder / file) for file, speaker, text in lacking]
        for done, job in enumerate(jobs, start=len(rows) - len(lacking) + 1):
            job.result()
            if progress:
                progress(done)
    return _write(folder / UTTERANCES, rows)


def _planned(folder: Path, each: int, seed: int) -> list[Row]:
    """Who says what, in which file; a folder keeps to the plan it was begun with."""
    said = sentences(each * len(VOICES), seed, of_the_tasks())
    rows = []
    for place, text in enumerate(said):
        number, speaker = divmod(place, len(VOICES))
        name = VOICES[speaker].name
        rows.append((f"audio/{name}/{name}-{number + 1:04d}.flac", name, text))
    plan = folder / PLAN
    if not plan.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(plan, rows)
    elif _read(plan) != rows:
        raise UsageError(f"{folder} holds speech of another seed or number of sentences. Name another folder.")
    return rows


def _refuse_without_programs() -> None:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise UsageError(
            f"To make the training speech, {', '.join(missing)} must be installed. On Debian or Ubuntu: the packages "
            f"{PACKAGES}."
        )


def _say(voice: Voice, text: str, file: Path) -> None:
    part = file.with_suffix(".part")
    try:
        make_utterance(voice, text, part)
    except (subprocess.CalledProcessError, OSError) as error:
        raise UsageError(
            f"The voice {voice.name} ({voice.engine}, {voice.base}) could not speak: {error}. Needed are {PACKAGES}."
        ) from error
    part.replace(file)


def _write(path: Path, rows: list[Row]) -> Path:
    part = path.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerows([FIELDS, *rows])
    part.replace(path)
    return path


def _read(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as table:
        return [(row["file"], row["speaker"], row["transcript"]) for row in csv.DictReader(table)]
