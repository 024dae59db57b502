"""A worker of a cluster: the engine at work on batches that are handed to it.

A station holds what a local run holds, one process with the system and a pool
that renders and scores, and a folder of its own for samples. What a trial
leaves, its lines and its estimate if that is to be kept, goes home in the
reply to the request for more work. A system that dies or hangs is dealt with
here, by the same rules as locally; only the death of the station itself is
seen from outside.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from tspbench import environment
from tspbench.baselines import package_versions
from tspbench.errors import CannotMeasure, TspbenchError, UsageError
from tspbench.metrics import Metric, Score, resolve_all
from tspbench.runner.engine import Engine
from tspbench.runner.keep import Keeper, Policy
from tspbench.runner.orders import Orders, Outage
from tspbench.runner.plan import Batch, Todo
from tspbench.runner.process import Child
from tspbench.runner.request import describe
from tspbench.runner.spool import Spool, write_over
from tspbench.runner.workbench import Setting, Workbench
from tspbench.store import FINISHED, TrialState
from tspbench.types import Trial

POLL = 2.0
"""Seconds after which a station that has nothing to tell says so."""
MARK, LOCK = "tspbench-station-", ".lock"
SETTLED = 60.0
"""Seconds by which a new station holds the lock of its folder."""


@dataclass(frozen=True)
class Post:
    """What every station of a run is told. ``orders`` come without metrics, which do not travel; their ids do."""

    factory: Callable[..., Any]
    arguments: tuple[Any, ...]
    digest: str
    setting: Setting
    orders: Orders
    metrics: tuple[str, ...]
    save_audio: Policy
    pool: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Lot:
    """A batch to answer, or (``estimates`` given) answered trials to score, with what is known of their trials."""

    batch: Batch
    trials: tuple[Trial, ...]
    states: Mapping[str, TrialState] = field(default_factory=dict)
    finished: frozenset[str] = frozenset()
    estimates: Mapping[str, bytes] | None = None


@dataclass(frozen=True)
class Done:
    """What one trial leaves: its line (None where it has one), its scores, the estimate where that is kept."""

    trial_id: str
    row: Mapping[str, Any] | None
    scores: Mapping[str, Score]
    baselines: Mapping[str, Score]
    kept: bytes | None = None


@dataclass
class Report:
    """What a station has to tell. ``unanswered`` batches lie before its system; ``trouble`` ends the run."""

    done: list[Done]
    learnt: list[tuple[str, Mapping[str, Score]]]
    unanswered: int
    loaded: bool
    log: bytes = b""
    trouble: TspbenchError | None = None


class Outbox:
    """Stands in for the run folder (:class:`Journal`), the table of baselines and the trial list of an engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: dict[str, TrialState] = {}
        self.done: list[Done] = []
        self.learnt: list[tuple[str, Mapping[str, Score]]] = []
        self._trials: dict[str, Trial] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}

    @property
    def ids(self) -> list[str]:
        return list(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def trial(self, trial_id: str) -> Trial:
        return self._trials[trial_id]

    def expect(self, lot: Lot) -> None:
        self._trials |= {trial.trial_id: trial for trial in lot.trials}
        self.states |= {**lot.states, **dict.fromkeys(lot.finished, FINISHED)}

    def kept(self, trial_id: str) -> Path:
        return self.folder / f"{trial_id}.wav"

    def add_trial(self, row: Mapping[str, Any]) -> None:
        self._rows[row["trial_id"]] = row
        self.states[row["trial_id"]] = TrialState(row["status"])

    def add_scores(self, trial_id: str, scores: Mapping[str, Score], baselines: Mapping[str, Score]) -> None:
        self.done.append(Done(trial_id, self._rows.pop(trial_id, None), dict(scores), dict(baselines)))
        self.states[trial_id] = FINISHED

    def find(self, input_digest: str, metrics: Iterable[Metric]) -> dict[str, Score]:
        """Nothing: the table lies with the run."""
        return {}

    def add(self, input_digest: str, scores: Mapping[str, Score]) -> None:
        if scores:
            self.learnt.append((input_digest, scores))

    def empty(self) -> tuple[list[Done], list[tuple[str, Mapping[str, Score]]]]:
        """What has come since the last time, with the estimates that are to be kept."""
        done = [self._with_audio(each) for each in self.done]
        for each in done:
            del self._trials[each.trial_id], self.states[each.trial_id]
        learnt, self.done, self.learnt = self.learnt, [], []
        return done, learnt

    def _with_audio(self, done: Done) -> Done:
        path = self.kept(done.trial_id)
        if not path.exists():
            return done
        samples = path.read_bytes()
        path.unlink()
        return replace(done, kept=samples)


class Station:
    """Serves :meth:`exchange`. Nothing is started before the first call."""

    def __init__(self, post: Post, name: str) -> None:
        self.post, self.name = post, name
        self._children: list[Child] = []
        self._engine: Engine | None = None
        self._told = 0

    def exchange(self, lots: Sequence[Lot] = ()) -> Report:
        """Take more work; come back as soon as there is something to tell, or after :data:`POLL`."""
        trouble: TspbenchError | None = None
        try:
            engine = self._open() if self._engine is None else self._engine
            for lot in lots:
                self._take_in(lot, engine)
            self._work(engine)
        except Outage as error:
            trouble = Outage(f"On {self.name}: {error}")
        except CannotMeasure as error:
            trouble = CannotMeasure(f"On {self.name}: {error}")
        except UsageError as error:
            trouble = UsageError(f"On {self.name}: {error}")
        return self._report(trouble)

    def close(self) -> bytes:
        """End the processes; what they printed since the last report."""
        for child in self._children:
            child.close()
        if self._engine is None:
            return b""
        log = self._log()
        self._lock.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return log

    def _open(self) -> Engine:
        """Start the processes, make sure that they measure what the run measures, load the system."""
        post = self.post
        self._same_versions()
        sweep(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=MARK))
        self._lock = _locked(self.folder / LOCK)
        self.outbox = Outbox(self.folder)
        system = self._child(Child(post.factory, *post.arguments))
        system.log_to = self.folder / "system.log"
        if describe(system).digest != post.digest:
            raise UsageError("the system's code, options or weights are not those of the run. Bring them up to date.")
        pool = [self._child(Child(Workbench, post.setting, background=True)) for _ in range(post.pool)]
        metrics = resolve_all(post.metrics)
        self._engine = Engine(
            orders=replace(post.orders, metrics=metrics),
            trials=self.outbox,
            folder=self.outbox,
            spool=Spool(self.folder / "spool"),
            system=system,
            pool=pool,
            baselines=self.outbox,
            keeper=Keeper(post.save_audio, metrics[0]),
            observe=lambda progress: None,
        )
        self._engine.load()
        return self._engine

    def _child(self, child: Child) -> Child:
        self._children.append(child)
        return child

    def _same_versions(self) -> None:
        here = versions(resolve_all(self.post.metrics))
        for package, wanted in self.post.versions.items():
            found = here.get(package, "not there")
            if found != wanted:
                raise UsageError(f"{package} is {found}, but {wanted} where the run was started. Install the same.")

    def _take_in(self, lot: Lot, engine: Engine) -> None:
        for trial in lot.trials:
            self._must_see(trial)
        self.outbox.expect(lot)
        if lot.estimates is None:
            engine.take_up(Todo((lot.batch,), (), ()))
            return
        for trial_id, samples in lot.estimates.items():
            write_over(engine.spool.estimate(trial_id), samples)
        engine.take_up(Todo((), tuple(name for name in lot.batch.trial_ids if name not in lot.finished), ()))

    def _must_see(self, trial: Trial) -> None:
        """A recording that the run sees and this node does not is the node's fault, not the trial's."""
        locate: Callable[..., Path] | None = getattr(self.post.setting.stage.reader, "locate", None)
        for path in map(locate, trial.clips()) if locate else ():
            if not path.exists():
                raise UsageError(
                    f"there is no {path} (trial {trial.trial_id!r}). "
                    "Every node must see the recordings in the same place; see docs/scaling.md."
                )

    def _work(self, engine: Engine) -> None:
        """Until a trial is done, a batch answered, the system loaded, or the time is up."""
        until = time.monotonic() + POLL
        unanswered, loaded = engine.unanswered, engine.loaded
        while engine.step() and time.monotonic() < until:
            if self.outbox.done or engine.unanswered < unanswered or engine.loaded != loaded:
                break
        engine.dispatch()  # the system works on while this travels

    def _report(self, trouble: TspbenchError | None) -> Report:
        if self._engine is None:
            return Report([], [], 0, loaded=False, trouble=trouble)
        done, learnt = self.outbox.empty()
        return Report(done, learnt, self._engine.unanswered, self._engine.loaded, self._log(), trouble)

    def _log(self) -> bytes:
        """What the system's processes printed, known once they have ended."""
        path = self.folder / "system.log"
        if not path.exists():
            return b""
        with path.open("rb") as file:
            file.seek(self._told)
            new = file.read()
        self._told += len(new)
        return new


def versions(metrics: Sequence[Metric]) -> dict[str, str]:
    """What must be the same on every node of a run."""
    found = {"tspbench": environment.version(), "Python": environment.environment()["python"]}
    for metric in metrics:
        found |= package_versions(metric)
    return found


def sweep(place: Path) -> None:
    """Remove the folders that killed stations left on this node."""
    for folder in place.glob(f"{MARK}*"):
        with contextlib.suppress(OSError):
            lasted = time.time() - (folder / LOCK).stat().st_mtime
            if lasted > SETTLED:
                _locked(folder / LOCK).close()
                shutil.rmtree(folder)


def _locked(path: Path) -> IO[bytes]:
    """Held as long as its owner lives; BlockingIOError where another holds it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file
