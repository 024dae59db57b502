"""Writing the folder of a report: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tspbench import web
from tspbench.errors import TspbenchError, UsageError
from tspbench.report import content
from tspbench.report.listening import choose, sounds
from tspbench.report.runs import Runs, read_runs
from tspbench.task import Task, load_task

Progress = Callable[[str, int, int], None]
AUDIO = 50
"""How many trials can be listened to, unless another number is asked for."""

LIBRARIES = ("theme.css", "ui.js", "tabulator.min.js", "tabulator.min.css", "d3.min.js", "plot.umd.min.js")
SCRIPTS = ("model.js", "overview.js", "plots.js", "spectrogram.js", "player.js", "words.js", "blind.js", "trial.js",
           "listen.js", "main.js")  # fmt: skip
MARK = "data/report.js"
PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Built:
    """A report: its page, how many trials it plays, its size, and what it had to do without."""

    page: Path
    trials: int
    playable: int
    size_bytes: int
    audio_bytes: int
    notes: tuple[str, ...]


def build(
    runs: Sequence[Path],
    out: Path,
    *,
    task: str | None = None,
    data_root: Path | None = None,
    listen: int | Literal["none", "all"] = AUDIO,
    progress: Progress | None = None,
) -> Built:
    """Write a report of some runs of one task.

    Parameters
    ----------
    out
        A folder that is new, empty, or holds a report (which is replaced).
    task, data_root
        Where the trial list is, if the name that the runs give does not lead there.
    listen
        How many trials come with audio, see :func:`tspbench.report.listening.choose`.

    Raises
    ------
    UsageError
        The runs do not belong together or cannot be read, or ``out`` holds something else.
    CannotMeasure
        No trial was attempted.
    """
    _refuse_foreign(out)
    found = read_runs(runs)
    loaded, notes = _task(found, task, data_root)
    playable = [] if listen == "none" else choose(found, None if listen == "all" else listen)
    tell = progress or (lambda step, done, total: None)
    with _whole(out) as draft:
        _write_front_end(draft, found.task["name"])
        heard = list(_write_sounds(draft, found, loaded, playable, tell))
        _write_pages(draft, found, loaded, tell)
        notes = [*_part_notes(found), *notes, *_audio_notes(found, len(heard))]
        _write(draft / MARK, "report", content.overview(found, loaded, heard, notes))
    return Built(out / "index.html", len(found.trial_ids), len(heard), _size(out), _size(out / "audio"), tuple(notes))


def _task(runs: Runs, name: str | None, data_root: Path | None) -> tuple[Task | None, list[str]]:
    """The task of the runs, or why the report goes without it."""
    wanted = runs.task
    try:
        task = load_task(name or str(wanted["name"]), data_root, available=True)
        whole = len(task)
        task = task.limited(wanted["trials"]) if wanted["trials"] < whole else task
    except (TspbenchError, OSError) as error:
        if name is not None:
            raise
        hint = "" if data_root else " If it is a manifest, name it with --task."
        return None, [f"The task cannot be read here, so there are no mixtures, targets or queries. {error}{hint}"]
    if task.digest != wanted["trial_list"]:
        message = f"The trial list of {name or wanted['name']} is not the one of the runs"
        if name is not None:
            raise UsageError(f"{message} (digest {task.digest[:12]}…, theirs {wanted['trial_list'][:12]}…).")
        return None, [f"{message}, so there are no mixtures, targets or queries."]
    return task, []


def _part_notes(runs: Runs) -> list[str]:
    """How much of the task this is, where it is not all of it."""
    trials, of = runs.task["trials"], runs.task.get("of") or runs.task["trials"]
    shard = runs.task.get("shard")
    notes = [f"{trials:,} of the task's {of:,} trials."] if trials < of else []
    if shard:
        notes += [f"Part {shard['number']} of {shard['of']} of a run: {shard['trials']:,} of its {trials:,} trials."]
    return notes


def _audio_notes(runs: Runs, heard: int) -> list[str]:
    """What a listener may miss."""
    silent = [
        shown.label
        for shown in runs.shown
        if any(row["output"] for row in shown.trials.values()) and not any((shown.run.path / "audio").glob("*.wav"))
    ]
    if not heard or not silent:
        return []
    return [f"No estimates were kept of {', '.join(silent)}: run again with --save-audio all to hear them."]


def _write_front_end(folder: Path, name: str) -> None:
    web.copy_assets(folder / "assets", *LIBRARIES)
    for script in ("report.css", *SCRIPTS):
        shutil.copyfile(PAGE / script, folder / "assets" / script)
    styles = ("tabulator.min.css", "theme.css", "report.css")
    scripts = ("ui.js", "d3.min.js", "plot.umd.min.js", "tabulator.min.js", *SCRIPTS)
    head = "\n".join(f'<link rel="stylesheet" href="assets/{style}">' for style in styles)
    body = (PAGE / "body.html").read_text(encoding="utf-8")
    body += "\n".join(f'<script src="assets/{script}"></script>' for script in scripts)
    (folder / "index.html").write_text(web.page(f"{name} – tspbench report", body, head), encoding="utf-8")


def _write_sounds(
    folder: Path, runs: Runs, task: Task | None, chosen: Sequence[str], progress: Progress
) -> Iterator[str]:
    """Write the audio of some trials, and give those that have any."""
    places = {trial_id: i for i, trial_id in enumerate(runs.trial_ids)}
    for done, trial_id in enumerate(chosen, start=1):
        found = sounds(runs, task, trial_id)
        if found.signals or found.problems:
            name = f"audio-{places[trial_id]:06d}"
            _write(folder / "audio" / f"{name}.js", name, found.payload())
            yield trial_id
        progress("audio", done, len(chosen))


def _write_pages(folder: Path, runs: Runs, task: Task | None, progress: Progress) -> None:
    total = -(-len(runs.trial_ids) // content.PER_PAGE)
    for number, page in enumerate(content.pages(runs, task)):
        name = f"trials-{number:04d}"
        _write(folder / "data" / f"{name}.js", name, page)
        progress("trials", number + 1, total)


def _write(path: Path, name: str, value: Mapping[str, Any] | Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(web.data_file(name, value), encoding="utf-8")


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file. Name a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise UsageError(f"--out {out} is not empty and holds no report. Name another folder.")


@contextlib.contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` that takes its place once it is finished."""
    draft = out.with_name(f".{out.name}.draft-{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        yield draft
        if out.exists():
            shutil.rmtree(out)
        draft.rename(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
