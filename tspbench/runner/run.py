"""Runs: prepare all of them, then do them one after the other."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tspbench import environment, summary
from tspbench.baselines import UPPER, Baselines
from tspbench.errors import CannotMeasure, UsageError, nearest
from tspbench.manifest import LABEL, LABEL_RULE
from tspbench.results import Run
from tspbench.runner import request as ask
from tspbench.runner.answers import SystemInfo
from tspbench.runner.dispatch import Dispatcher
from tspbench.runner.engine import Engine
from tspbench.runner.estimates import EstimatesService
from tspbench.runner.inference import SystemService
from tspbench.runner.keep import Keeper
from tspbench.runner.lengths import planned_batches
from tspbench.runner.orders import DiskFull, Orders, Outage, Progress, Trials
from tspbench.runner.plan import Batch
from tspbench.runner.process import Child
from tspbench.runner.request import Request
from tspbench.runner.shard import Shard, Share, shard_record
from tspbench.runner.spool import Spool
from tspbench.runner.station import Post, versions
from tspbench.runner.workbench import Setting, Workbench
from tspbench.store import RunFolder, read_summary, refuse_foreign, refuse_other, set_aside, write_json
from tspbench.system import Card, SystemRef, find_system
from tspbench.task import Task
from tspbench.types import QueryKind

if TYPE_CHECKING:
    from tspbench.runner.cluster import RayCluster


class Observer:
    """Is told how things stand; the command line draws it. This one keeps quiet."""

    def checking(self, done: int, total: int) -> None:
        """Trials whose audio was looked at before the run."""

    def running(self, label: str, progress: Progress) -> None:
        """Called several times a second while a run is under way."""


@dataclass(frozen=True)
class Outcome:
    """How one run ended. ``status`` is that of ``run.json``; ``message`` says why it is not sealed.

    ``forced``: measured sample by sample though the system's output does not line up with the target.
    """

    label: str
    path: Path
    status: str
    summary: Mapping[str, Any]
    failed: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    already_done: bool = False
    stops_all: bool = False
    forced: bool = False


@dataclass
class Job:
    """One system on one task, ready to go: nothing is written yet."""

    request: Request
    task: Task
    chosen: ask.Chosen
    child: Child
    info: SystemInfo
    card: Card | None
    device: str
    batch_size: int
    path: Path
    identity: dict[str, Any]
    trials: Trials
    """Those of the task that are run here: all of them, or a shard's."""
    cluster: RayCluster | None = None
    """Where to run it, if not on this machine."""
    service: tuple[Any, ...] = ()
    """What ``child`` serves, to be served elsewhere too: a factory and its arguments."""


def run_systems(
    systems: Sequence[str], request: Request, options: Sequence[str] = (), observer: Observer | None = None
) -> list[Outcome]:
    """Run some systems on a task: what ``tspbench run`` does.

    Everything that can be refused is refused before anything is written.

    Raises
    ------
    UsageError
        The request cannot be served.
    """
    observer = observer or Observer()
    refs = [find_system(name) for name in dict.fromkeys(systems)]
    if not refs:
        raise UsageError("No system is named. Say --system mixture, for instance.")
    given = options_by_system(refs, options)
    task = request.load_task()
    chosen = ask.choose_metrics(request.metrics, task, request.dialect)
    with ExitStack() as stack:
        cluster = _cluster(stack, request)
        children = [_started(stack, SystemService, ref, given[ref.label]) for ref in refs]
        infos = [ask.describe(child) for child in children]
        jobs = [
            _job(request, task, chosen, child, info, ref.card, several=len(refs) > 1)
            for ref, child, info in zip(refs, children, infos, strict=True)
        ]
        _check_audio(jobs, observer)
        for job, ref in zip(jobs, refs, strict=True):
            job.cluster, job.service = cluster, (SystemService, ref, given[ref.label])
        return list(_executed(_checked(jobs), observer))


def score_estimates(
    folder: Path, request: Request, name: str | None = None, observer: Observer | None = None
) -> Outcome:
    """Score waveforms or texts that were made elsewhere: what ``tspbench score`` does.

    Files are matched by trial id. Raises like :func:`run_systems`.
    """
    observer = observer or Observer()
    task = request.load_task()
    chosen = ask.choose_metrics(request.metrics, task, request.dialect)
    info = task.info
    with ExitStack() as stack:
        label = folder.resolve().name if name is None else name
        if not LABEL.fullmatch(label):
            raise UsageError(f"--name {label!r} cannot name a run. {LABEL_RULE}")
        child = _started(stack, EstimatesService, folder, label, info.kind, info.sample_rate, task.ids)
        job = _job(request, task, chosen, child, ask.describe(child), None, several=False)
        _check_audio([job], observer)
        return _execute(_checked([job])[0], observer)


def options_by_system(refs: Sequence[SystemRef], options: Sequence[str]) -> dict[str, dict[str, str]]:
    """``k=v`` goes to every system that is run, ``system.k=v`` to one of them."""
    given: dict[str, dict[str, str]] = {ref.label: {} for ref in refs}
    if len(given) < len(refs):
        labels = [ref.label for ref in refs]
        twice = next(label for label in labels if labels.count(label) > 1)
        raise UsageError(f"Two systems are both called {twice}. Run them one at a time.")
    for option in options:
        key, equals, value = option.partition("=")
        label, dot, name = key.rpartition(".")
        if not equals or not key:
            raise UsageError(f"--option {option}: write key=value.")
        if dot and label not in given:
            raise UsageError(f"--option {option}: {label!r} is not run here. {nearest(label, given)}")
        for chosen in [label] if dot else given:
            given[chosen][name] = value
    return given


def _started(stack: ExitStack, factory: Callable[..., Any], *arguments: Any) -> Child:
    child = Child(factory, *arguments)
    stack.callback(child.close)
    return child


def _cluster(stack: ExitStack, request: Request) -> RayCluster | None:
    if request.executor != "ray":
        return None
    from tspbench.runner.cluster import RayCluster

    cluster = RayCluster(request.ray_address, request.ray_workers, request.workers or 1, request.ray_gpus_per_worker)
    stack.callback(cluster.close)
    return cluster


def _job(
    request: Request, task: Task, chosen: ask.Chosen, child: Child, info: SystemInfo, card: Card | None, several: bool
) -> Job:
    ask.refuse_misfits(task, info, card)
    per_worker = request.ray_gpus_per_worker if request.executor == "ray" else None
    device = ask.choose_device(request.device, card, per_worker)
    batch_size = request.batch_size or (card.batch_size if card else 1)
    identity = ask.identity(task, info, request, device, batch_size)
    trials: Trials = task
    if request.shard is not None:
        trials = share = Share.of_batches(task, _batches(request, task, batch_size))
        identity["task"]["shard"] = shard_record(Shard.parse(request.shard), share)
    path = ask.default_folder(request, identity, several).absolute()  # a system may change the current folder
    return Job(request, task, chosen, child, info, card, device, batch_size, path, identity, trials)


def _planned(job: Job) -> tuple[Batch, ...]:
    return _batches(job.request, job.task, job.batch_size)


def _batches(request: Request, task: Task, batch_size: int) -> tuple[Batch, ...]:
    """What is run here. Nobody keeps them: there may be a million."""
    planned = planned_batches(task, batch_size)
    return planned if request.shard is None else Shard.parse(request.shard).batches(planned)


def _check_audio(jobs: Sequence[Job], observer: Observer) -> None:
    """Look at every recording that is going to be heard."""
    task = jobs[0].task
    only = None if jobs[0].request.shard is None else {name for job in jobs for name in job.trials.ids}
    task.check_audio(lambda done: observer.checking(done, len(task)), only)


def _checked(jobs: list[Job]) -> list[Job]:
    """Bounds first: the position of the others is read off them. Folders must be free for all."""
    for job in jobs:
        if job.request.fresh:
            refuse_foreign(job.path)
        else:
            refuse_other(job.path, _record(job))
    return sorted(jobs, key=lambda job: not (job.card and job.card.role == "bound"))


def _record(job: Job) -> dict[str, Any]:
    card = job.card
    told = QueryKind.TRUTH in job.info.queries  # by its options, whatever its card says
    cues = ask.cues(job.task, job.info)
    return {
        "run_id": job.identity["system"]["name"] + "-" + datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "identity": job.identity,
        "metrics": ask.metric_records(job.chosen),
        "role": "bound" if told else card.role if card else "system",
        "aligned": job.info.aligned,
        "queries": sorted(job.info.queries),
        "side_information": ask.side_information(job.task, job.info, card),
        **({"cues": cues} if cues else {}),
        "synthetic": job.task.info.synthetic,
        "code": environment.code(),
        "environment": environment.environment(),
        "hardware": environment.hardware(),
        "counts": {},
        "wall_time_s": 0.0,
        "edits": [],
    }


def _executed(jobs: Sequence[Job], observer: Observer) -> Iterator[Outcome]:
    """One run after the other; what stops one for a reason of the user's or the machine's stops all."""
    for job in jobs:
        outcome = _execute(job, observer)
        yield outcome
        if outcome.stops_all:
            return


def _execute(job: Job, observer: Observer) -> Outcome:
    if job.request.fresh:
        set_aside(job.path)
    folder = RunFolder(job.path, _record(job))
    baselines = Baselines(instruments=job.chosen.instruments)
    try:
        if folder.complete(job.trials.ids):
            Spool(folder.path / "spool").remove()
            return _outcome(job, folder, Broken(), baselines=baselines, already_done=folder.sealed)
        folder.begin(save_audio=job.request.save_audio)
        job.child.log_to = folder.path / "system.log"
        try:
            broken = _work(job, folder, baselines, observer)
        except UsageError:
            if not folder.states:  # refused after all, when its weights were asked for: leave nothing behind
                shutil.rmtree(folder.path)
            raise
        folder.states.clear()  # the summary needs the room
        return _outcome(job, folder, broken, baselines=baselines)
    finally:
        baselines.close()
        folder.close()


@dataclass(frozen=True)
class Broken:
    """Why a run stopped before its end; no message: it did not."""

    message: str = ""
    by_system: bool = False


def _work(job: Job, folder: RunFolder, baselines: Baselines, observer: Observer) -> Broken:
    """Run to the end, or to the reason why not."""
    start = time.monotonic()
    spent = folder.record["wall_time_s"]
    broken = Broken()
    try:
        _drive(job, folder, baselines, observer)
    except KeyboardInterrupt:
        broken = Broken("Interrupted. The same command goes on where it stopped.")
    except Outage as error:
        broken = Broken(str(error))
    except (CannotMeasure, UsageError) as error:
        if isinstance(error, UsageError) and not folder.states:
            raise
        broken = Broken(str(error), by_system=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        broken = Broken(str(DiskFull(str(error))))
    with contextlib.suppress(OSError):
        folder.write_record(wall_time_s=round(spent + time.monotonic() - start, 3))
    return broken


def _drive(job: Job, folder: RunFolder, baselines: Baselines, observer: Observer) -> None:
    words, waveform = ask.answer_kinds(job.task, job.info)
    setting = Setting(
        stage=job.task.stage,
        queries=job.info.queries,
        sample_rate=job.info.sample_rate or job.task.info.sample_rate,
        aligned=job.info.aligned or job.request.force_aligned,
        keep_enrolment=ask.needs_enrolment(job.chosen.metrics),
    )
    orders = Orders(
        metrics=job.chosen.metrics,
        batch_size=job.batch_size,
        seed=job.request.seed,
        device=job.device,
        time_limit_s=job.request.time_limit_s,
        words=words,
        waveform=waveform,
        aligned=setting.aligned,
    )
    keeper = Keeper(job.request.save_audio, job.chosen.metrics[0])
    keeper.resume(folder)
    spool = Spool(folder.path / "spool")
    observe = partial(observer.running, job.info.label)
    if job.cluster is None:
        size = job.request.workers or environment.cores()
        _note_executor(folder, {"name": "local", "workers": size})
        with _pool(size, setting) as pool:
            Engine(orders, job.trials, folder, spool, job.child, pool, baselines, keeper, observe).run(_planned(job))
    else:
        crew = job.cluster.crew(_post(job, job.cluster, orders, setting))
        _note_executor(folder, job.cluster.record())
        dispatcher = Dispatcher(orders, job.trials, folder, spool, crew, baselines, keeper, observe)
        try:
            dispatcher.run(_planned(job))
        finally:
            folder.record["executors"][-1]["lost"] = dispatcher.lost  # written when the wall time is
    spool.remove()


def _post(job: Job, cluster: RayCluster, orders: Orders, setting: Setting) -> Post:
    """What the stations of a cluster are told."""
    factory, *arguments = job.service
    return Post(
        factory=factory,
        arguments=tuple(arguments),
        digest=job.info.digest,
        setting=setting,
        orders=replace(orders, metrics=()),
        metrics=tuple(metric.id for metric in orders.metrics),
        save_audio=job.request.save_audio,
        pool=cluster.pool,
        versions=versions(orders.metrics),
    )


def _note_executor(folder: RunFolder, executor: Mapping[str, Any]) -> None:
    """Say how this stretch of the run is carried out: no part of its identity."""
    before = folder.record.get("executors", [])
    if before[-1:] != [executor]:
        folder.write_record(executors=[*before, executor])


@contextlib.contextmanager
def _pool(size: int, setting: Setting) -> Iterator[list[Child]]:
    children = [Child(Workbench, setting, background=True) for _ in range(size)]
    try:
        yield children
    finally:
        for child in children:
            child.close()


def _outcome(
    job: Job, folder: RunFolder, broken: Broken, *, baselines: Baselines | None = None, already_done: bool = False
) -> Outcome:
    """Write the summary, seal the folder (or say that it is partial), and tell."""
    found = read_summary(folder.path) if already_done else None
    forced = ask.forced(job.info, job.request)
    if found is not None:
        return Outcome(job.info.label, folder.path, "sealed", found, _failures(found), job.chosen.left_out,
                       already_done=True, forced=forced)  # fmt: skip
    is_bound = job.card is not None and job.card.role == "bound"
    if baselines and is_bound and QueryKind.TRUTH in job.info.queries and not broken.message:
        label = f"{UPPER}{job.info.label}@{job.info.digest[:8]}"
        summary.remember_bound(folder.path, label, baselines)
    found = summary.summarise(folder.path, baselines)
    nothing = found["trials"]["ok"] == 0
    status = "partial" if broken.message else "sealed"
    if nothing and (broken.by_system or not broken.message):
        status = "failed"
    unfinished = [name for name, column in found["metrics"].items() if column["attempted"] < len(job.trials)]
    if unfinished and status == "sealed":
        status = "partial"
        broken = Broken(f"{', '.join(unfinished)} did not get to the end; give --metrics with them again.", True)
    with contextlib.suppress(OSError):
        write_json(folder.path / "summary.json", found)
        folder.seal(status, counts=found["trials"])
    message = broken.message or _nothing_applies(found)
    return Outcome(job.info.label, folder.path, status, found, _failures(found), job.chosen.left_out, message,
                   stops_all=bool(broken.message) and not broken.by_system, forced=forced)  # fmt: skip


def outcome_of(run: Run) -> Outcome:
    """What is told of a run that lies in a folder."""
    label = str(run.record["identity"]["system"]["name"])
    was_forced = run.record["identity"]["protocol"].get("alignment") == "forced"
    return Outcome(label, run.path, run.status, run.summary, _failures(run.summary), forced=was_forced)


def _nothing_applies(found: Mapping[str, Any]) -> str:
    """Why a finished run has no number, if it has none."""
    columns = found["metrics"].values()
    if any(column["applicable"] for column in columns):
        return ""
    reasons = dict.fromkeys(reason for column in columns for reason in column["reasons"])
    return f"no metric applies: {'; '.join(reasons)}. Choose others with --metrics."


def _failures(found: Mapping[str, Any]) -> int:
    trials = found["trials"]
    return int(trials["failed"] + trials["timed_out"])
