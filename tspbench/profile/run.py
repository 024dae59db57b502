"""Profiles: one system after the other, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench.errors import CannotMeasure, UsageError
from tspbench.profile import machine
from tspbench.profile.extras import measure_extras
from tspbench.profile.latency import Row, cells, measure, reference_length
from tspbench.profile.material import Material, choose_task, gather
from tspbench.profile.record import First, Measured, default_path, make_record, save
from tspbench.profile.request import Request, runs_by_system
from tspbench.profile.service import Calls
from tspbench.profile.subject import Failed, Subject
from tspbench.runner import request as ask
from tspbench.runner.answers import SystemInfo
from tspbench.runner.run import options_by_system
from tspbench.system import find_system
from tspbench.task import Task

Progress = Callable[[str, int, int], None]
"""Is told a system's name, how many steps are done, and of how many."""


@dataclass(frozen=True)
class Outcome:
    """How one profile ended: its record and where it lies, or ``message``: why there is none."""

    label: str
    record: Mapping[str, Any] | None
    paths: tuple[Path, ...] = ()
    rows: tuple[Row, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class Job:
    """One system, built and known to fit; nothing is measured yet."""

    subject: Subject
    task: Task
    material: Material
    runs: tuple[Path, ...]


def profile_systems(
    systems: Sequence[str], request: Request, options: Sequence[str] = (), progress: Progress | None = None
) -> list[Outcome]:
    """Profile some systems: what ``tspbench profile`` does.

    All that can be refused is refused before anything is measured. A profile
    is written as soon as it is whole.

    Raises
    ------
    UsageError
        The request cannot be served.
    """
    refs = [find_system(name) for name in dict.fromkeys(systems)]
    if not refs:
        raise UsageError("No system is named. Say --system mixture, for instance.")
    if request.out is not None and request.out.suffix == ".json" and len(refs) > 1:
        raise UsageError(f"--out {request.out} is one file, but {len(refs)} systems are profiled. Name a folder.")
    given = options_by_system(refs, options)
    with ExitStack() as stack:
        subjects = []
        for ref in refs:
            subjects.append(Subject(ref, given[ref.label], machine.thread_variables(request.threads)))
            stack.callback(subjects[-1].close)
        jobs = _prepared(subjects, request)
        return [_profile(job, request, progress or (lambda *step: None)) for job in jobs]


def _prepared(subjects: Sequence[Subject], request: Request) -> list[Job]:
    runs = runs_by_system(request.runs, [system_identity(subject.info) for subject in subjects])
    jobs = []
    for subject in subjects:
        task = choose_task(request.task, subject.info, subject.card, request.data_root)
        device = ask.choose_device(request.device, subject.card)
        words, waveform = ask.answer_kinds(task, subject.info)
        material = gather(task, subject.info)
        subject.set_up(material, Calls(words, waveform, request.seed), device, request.time_limit_s)
        jobs.append(Job(subject, task, material, tuple(runs[subject.info.label, subject.info.digest])))
    return jobs


def system_identity(info: SystemInfo) -> dict[str, Any]:
    """The same as ``identity.system`` of a run."""
    return {
        "name": info.label,
        "digest": info.digest,
        "options": dict(info.options),
        "code": info.code_digest,
        "weights": dict(info.weights),
    }


def _profile(job: Job, request: Request, progress: Progress) -> Outcome:
    label = job.subject.info.label
    try:
        measured = _measured(job, request, progress)
    except CannotMeasure as error:
        return Outcome(label, None, message=str(error))
    finally:
        job.subject.close()
    identity = system_identity(job.subject.info)
    record = make_record(identity, measured, request, job.material)
    paths = [path / "profile.json" for path in job.runs] or [default_path(request.out, identity)]
    if job.runs and request.out is not None:
        paths.append(default_path(request.out, identity))
    for path in paths:
        save(path, record)
    return Outcome(label, record, tuple(paths), measured.rows)


def _measured(job: Job, request: Request, progress: Progress) -> Measured:
    subject = job.subject
    plan = cells(request.seconds, request.batch)
    total = len(plan) + 2

    def step(done: int) -> None:
        progress(subject.info.label, done, total)

    step(0)
    before = machine.state()
    loaded = subject.load()
    first = _first_call(subject, reference_length(request.seconds))
    step(1)
    rows = tuple(measure(subject, plan, request.budget_s, lambda done: step(1 + done)))
    if not any(row.ok for row in rows):
        reasons = dict.fromkeys(row.reason for row in rows)
        raise CannotMeasure(f"{subject.info.label} could not be measured: {'; '.join(reasons)}")
    measured = Measured(
        loaded=loaded,
        first=first,
        rows=rows,
        driver_source=subject.driver_bytes()[1] if subject.device == "cuda" else None,
        torch_threads=subject.ask("threads"),
        precision=subject.info.precision,
        calls=subject.calls,
        device=subject.device,
        before=before,
        after=machine.state(),
        extras=measure_extras(subject, job.task, job.material, rows, request.budget_s / 2),
    )
    step(total)
    return measured


def _first_call(subject: Subject, seconds: float) -> First:
    """The first call of a fresh process: what is made, compiled or looked up once is in it."""
    try:
        lap = subject.burst(seconds, 1, 1, 0.0)[0]
        return First(seconds, lap.wall_s, subject.memory())
    except Failed as failure:
        return First(seconds, reason=str(failure))
