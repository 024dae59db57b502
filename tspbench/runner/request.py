"""From what a user asks to what will be done; everything that can be refused is refused here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

from tspbench import decode, environment
from tspbench.activity import CLASSES, FRAME_RATE, origins, rules
from tspbench.baselines import package_versions
from tspbench.dialect import spoken_on
from tspbench.errors import MissingExtra, MissingWeights, UsageError
from tspbench.metrics import Metric, Need, resolve_all
from tspbench.runner.answers import SystemInfo, Trouble
from tspbench.runner.keep import Policy
from tspbench.runner.plan import ORDER
from tspbench.runner.process import Child, ChildDied
from tspbench.runner.shard import Shard
from tspbench.sealed import file_name
from tspbench.system import Card
from tspbench.task import Task, load_task, servable
from tspbench.types import QueryKind, TaskKind

Device = Literal["auto", "cpu", "cuda"]
Executor = Literal["local", "ray"]
RUNS = Path("runs")


@dataclass(frozen=True)
class Request:
    """The options of ``tspbench run`` and ``tspbench score`` that are not about which system."""

    task: str
    limit: int | None = None
    metrics: tuple[str, ...] = ()
    device: Device = "auto"
    batch_size: int | None = None
    workers: int | None = None
    out: Path | None = None
    save_audio: Policy = "none"
    seed: int = 0
    fresh: bool = False
    time_limit_s: float = 600.0
    data_root: Path | None = None
    dialect: str | None = None
    available: bool = False
    task_options: tuple[str, ...] = ()
    force_aligned: bool = False
    executor: Executor = "local"
    ray_address: str | None = None
    ray_workers: int | None = None
    ray_gpus_per_worker: float = 0.0
    shard: str | None = None

    def __post_init__(self) -> None:
        closed = {"device": get_args(Device), "save_audio": get_args(Policy), "executor": get_args(Executor)}
        for name, choices in closed.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: choose {' or '.join(choices)}.")
        for name in ("batch_size", "workers", "ray_workers"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
        if not self.time_limit_s > 0:
            raise UsageError(f"--time-limit must be positive, got {self.time_limit_s}.")
        if not 0 <= self.ray_gpus_per_worker < float("inf"):
            raise UsageError(f"--ray-gpus-per-worker must not be negative, got {self.ray_gpus_per_worker}.")
        if self.executor != "ray" and (self.ray_address or self.ray_workers or self.ray_gpus_per_worker):
            raise UsageError("Options that begin with --ray- say how to run on a cluster: add --executor ray.")
        if self.shard is not None:
            Shard.parse(str(self.shard))  # from Python it may be anything

    def load_task(self) -> Task:
        """The trials that are asked for."""
        task = load_task(self.task, self.data_root, options=self.task_options, available=self.available)
        return task.limited(self.limit)


@dataclass(frozen=True)
class Chosen:
    """The metrics of a run, what their instruments are, and the task's metrics that lack a package here."""

    metrics: tuple[Metric, ...]
    instruments: Mapping[str, str]
    left_out: Mapping[str, str]


def choose_metrics(asked: Sequence[str], task: Task, dialect: str | None = None) -> Chosen:
    """The metrics that were asked for and those of a dialect; without either, the task's.

    Raises
    ------
    UnknownName
        A metric or the dialect does not exist.
    MissingExtra, MissingWeights
        A metric that was asked for by name needs a package or a checkpoint that is not there.
        (One that the task or the dialect brings is left out instead, and the table says so;
        of a task's, only for want of a package.)
    """
    spoken = spoken_on(dialect, task.info.kind, task.info.name) if dialect else ()
    brought = [metric.id for metric in spoken] or ([] if asked else task.info.metrics)
    required = {metric.id for metric in resolve_all(asked)}
    metrics = resolve_all([*brought, *asked])
    left_out = {}
    for metric in metrics:
        absent = _absent_package(metric)
        if absent and metric.id in required:
            raise MissingExtra(f"The metric {metric.id!r} ({absent} is not installed)", metric.extra or "")
        if absent:
            left_out[metric.id] = f"needs {absent}: pip install 'tspbench[{metric.extra}]'"
        elif metric in spoken and metric.id not in required:
            left_out |= _without_weights(metric)
    kept = tuple(metric for metric in metrics if metric.id not in left_out)
    return Chosen(kept, instrument_identities(kept), left_out)


def _without_weights(metric: Metric) -> dict[str, str]:
    """The metric and why its instrument cannot be loaded here; nothing where it can."""
    try:
        instrument_identities([metric])
    except (MissingExtra, MissingWeights) as why:
        return {metric.id: str(why)}
    return {}


class InstrumentService:
    """Loads instruments in a process of its own: some bring a whole framework along."""

    def identities(self, instruments: Sequence[str]) -> dict[str, str]:
        """Packages and model digest of each; raises what the user must know."""
        from tspbench.instruments import identity

        return {instrument: identity(instrument) for instrument in instruments}


def instrument_identities(metrics: Sequence[Metric]) -> dict[str, str]:
    """What the recognisers and speaker encoders of some metrics are, by name.

    Raises
    ------
    MissingWeights, MissingExtra
        An instrument's checkpoint or package is not on this machine.
    """
    names = sorted({str(m.parameters["instrument"]) for m in metrics if m.parameters.get("instrument")})
    if not names:
        return {}
    child = Child(InstrumentService)
    try:
        value = child.ask("identities", names)
    finally:
        child.close()
    if isinstance(value, Trouble):
        raise value.error or UsageError(f"An instrument cannot be loaded: {value.kind}: {value.message}")
    found: dict[str, str] = value
    return found


def describe(child: Child) -> SystemInfo:
    """What the system in a child process says of itself; UsageError when it cannot be built."""
    try:
        value = child.ask("describe")
    except ChildDied as death:
        raise UsageError(f"The system cannot be built: {death}.\n{death.log}") from death
    if isinstance(value, Trouble):
        raise value.error or UsageError(f"The system cannot be built: {value.kind}: {value.message}\n{value.trace}")
    assert isinstance(value, SystemInfo)
    return value


def _absent_package(metric: Metric) -> str | None:
    for package in metric.packages:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            if metric.extra:
                return package
    return None


def refuse_misfits(task: Task, info: SystemInfo, card: Card | None) -> None:
    """Refuse a system that cannot do this task, naming what is missing.

    Raises
    ------
    UsageError
        The kind of task, the kind of answer, or the query of a trial does not fit.
    """
    kind = task.info.kind
    if card and kind not in card.kinds:
        kinds = ", ".join(card.kinds)
        raise UsageError(f"The system {info.label!r} is for {kinds}; the task {task.info.name!r} is {kind}.")
    if not info.extracts and kind is not TaskKind.TSASR:
        raise UsageError(
            f"The system {info.label!r} returns words only; the task {task.info.name!r} ({kind}) asks for a waveform."
        )
    for trial in task:
        if not servable(info.queries, trial.query):
            wanted = " or ".join(sorted(k for k in info.queries if not k.negative))
            offered = ", ".join(sorted(k for k in trial.query.kinds if k != "truth")) or "nothing"
            said = (
                f"The system {info.label!r} needs to be told {wanted}; "
                f"trial {trial.trial_id!r} of {task.info.name!r} offers {offered}."
            )
            raise UsageError(" ".join(filter(None, (said, info.hint, _how_to(task, info)))))


CUE_OF = {QueryKind.ACTIVITY_MASK: "activity", QueryKind.ENROLMENT: "enrolment", QueryKind.SPEAKER_VECTOR: "vector"}
"""What the task option ``cue`` calls them."""


def _how_to(task: Task, info: SystemInfo) -> str:
    """What to type so that the trials offer what a system wants, where there is a way."""
    declared = task.info.protocols[0].options if task.info.protocols else task.info.options
    wanted = {CUE_OF[kind] for kind in info.queries if kind in CUE_OF}
    choices = [choice for option in declared if option.name == "cue" for choice in option.choices]
    fitting = next((choice for choice in choices if wanted & set(choice.split("+"))), None)
    if fitting:
        return f"Add --task-option cue={fitting}."
    if QueryKind.ACTIVITY_MASK in info.queries:
        return 'A trial list offers a mask by "activity_mask": {"rule": "energy"} in its queries.'
    return ""


def choose_device(asked: Device, card: Card | None, per_worker: float | None = None) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes CUDA where there is a device and the system can use it.

    ``per_worker``: the GPUs that each worker of a cluster is given; None to ask this machine.
    """
    can_use = "cuda" in card.devices if card else True
    there = environment.cuda_devices() if per_worker is None else per_worker
    if asked == "cuda" and not there:
        why = "the driver reports no CUDA device here" if per_worker is None else "workers get no GPU"
        what = "Use --device cpu" if per_worker is None else "Add --ray-gpus-per-worker 1"
        raise UsageError(f"--device cuda: {why}. {what}.")
    if asked != "auto":
        return asked
    return "cuda" if can_use and there and importlib.util.find_spec("torch") else "cpu"


def identity(task: Task, info: SystemInfo, request: Request, device: str, batch_size: int) -> dict[str, Any]:
    """What makes two runs the same measurement. Results that differ here are never put together."""
    return {
        "system": {"name": info.label, "digest": info.digest, "options": dict(info.options), "code": info.code_digest,
                   "weights": dict(info.weights)},
        "task": {"name": task.info.name, "kind": task.info.kind.value, "trial_list": task.digest,
                 "trials": len(task), "of": task.whole or len(task.trials), "cluster": task.info.cluster,
                 "reader": task.reader_digest},
        "protocol": {"sample_rate": task.info.sample_rate, "batch_size": batch_size, "seed": request.seed,
                     "device": device, "precision": info.precision,
                     **({"batch_order": ORDER} if batch_size > 1 else {}),
                     **({"alignment": "forced"} if forced(info, request) else {})},
    }  # fmt: skip


def side_information(task: Task, info: SystemInfo, card: Card | None) -> list[str]:
    """What the system is told beyond the common cue: by its card, by its options, by the trials' masks."""
    told = list(card.side_information if card else ())
    if not told and QueryKind.TRUTH in info.queries:
        told = ["the target"]  # by its options, whatever its card says
    masks = origins(trial.query for trial in task) if QueryKind.ACTIVITY_MASK in info.queries else []
    return [*told, *(text for text in masks if text not in told)]


def cues(task: Task, info: SystemInfo) -> dict[str, Any]:
    """How cues were prepared that the harness makes, as ``run.json`` states it."""
    found: dict[str, Any] = {}
    if QueryKind.ACTIVITY_MASK in info.queries and (made := rules(trial.query for trial in task)):
        found["activity_mask"] = {"frames_per_s": FRAME_RATE, "classes": list(CLASSES), "made_by": made}
    if info.prefix is not None:
        found["enrolment_prefix"] = asdict(info.prefix)
    return found


def forced(info: SystemInfo, request: Request) -> bool:
    """Is an output that does not line up with the target to be compared with it sample by sample all the same?"""
    return request.force_aligned and not info.aligned


def metric_records(chosen: Chosen) -> list[dict[str, Any]]:
    """The metrics as ``run.json`` states them."""
    return [
        {
            "id": metric.id,
            "version": metric.version,
            "parameters": dict(metric.parameters),
            "level": metric.level,
            "penalty": metric.penalty,
            "aggregate": metric.aggregate,
            "dialect": metric.dialect,
            "implementation": metric.implementation,
            "packages": package_versions(metric),
            "instrument": chosen.instruments.get(str(metric.parameters.get("instrument"))),
        }
        for metric in chosen.metrics
    ]


def answer_kinds(task: Task, info: SystemInfo) -> tuple[bool, bool]:
    """(words, waveform): what to ask the system for."""
    return info.transcribes and task.info.kind is TaskKind.TSASR, info.extracts


def needs_enrolment(metrics: Sequence[Metric]) -> bool:
    return any(Need.ENROLMENT in metric.needs for metric in metrics)


def default_folder(request: Request, identity: Mapping[str, Any], several: bool) -> Path:
    """``--out`` itself for one system, a folder of it for several; else below ``runs/``."""
    label: str = identity["system"]["name"]
    if request.out is not None:
        return request.out / label if several else request.out
    return RUNS / file_name(str(identity["task"]["name"])) / f"{label}-{decode.digest(identity)[:8]}"
