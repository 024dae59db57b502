"""What the one process that keeps the journal of a run on a cluster pays for a reply and for a trial.

Prints the figures of docs/scaling.md: python docs/journal_cost.py [TRIALS]

The real dispatcher and the real run folder; the stations answer at once, out of nothing. Processor time, so that
other work on the machine does not count. What Ray itself takes for a call is not in it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from tspbench import manifest
from tspbench.baselines import Baselines
from tspbench.metrics import Score, resolve_all
from tspbench.runner.answers import Answer, Output
from tspbench.runner.dispatch import Dispatcher, Lost
from tspbench.runner.keep import Keeper
from tspbench.runner.lines import trial_row
from tspbench.runner.orders import Orders
from tspbench.runner.plan import batches
from tspbench.runner.spool import Spool
from tspbench.runner.station import Done, Lot, Report
from tspbench.runner.workbench import RenderReport
from tspbench.store import RunFolder
from tspbench.task import Task, load_task
from tspbench.types import Mix, QueryRecipe, Role, Source, TaskKind, Trial

METRICS = ("si_sdr", "si_sdr_i", "snr", "snr_i", "sdr", "sdr_i")


class Oracle:
    """A crew that knows every answer."""

    size, pool = 8, 1

    def __init__(self) -> None:
        self.answers: deque[tuple[int, Report | Lost]] = deque()
        self.replies = 0

    def start(self, number: int) -> None:
        self.ask(number, ())

    def ask(self, number: int, lots: Sequence[Lot]) -> None:
        done = [_done(trial) for lot in lots for trial in lot.trials]
        learnt = [(each.trial_id, each.baselines) for each in done]
        self.answers.append((number, Report(done, learnt, 0, loaded=True)))

    def wait(self, seconds: float) -> list[tuple[int, Report | Lost]]:
        self.replies += 1
        return [self.answers.popleft()] if self.answers else []

    def offer(self) -> str:
        return ""

    def close(self) -> list[bytes]:
        return []


def _done(trial: Trial) -> Done:
    output = Output("0" * 32, 80000, 8000, 0.5, 0.1, silent=False, clipped=False)
    row = trial_row(trial, RenderReport("0" * 32, 10.0, 0.01), Answer(trial.trial_id, output=output, compute_s=1.0))
    baselines = {name: Score(1.2345678901234567) for name in METRICS if not name.endswith("_i")}
    return Done(trial.trial_id, row, {name: Score(12.345678901234567) for name in METRICS}, baselines)


def write_task(folder: Path, trials: int) -> Task:
    rows = (
        Trial(
            trial_id=f"trial-{number:07d}",
            sources=(Source("a.wav", role=Role.TARGET), Source("b.wav")),
            mix=Mix(snr_db=0.0),
            query=QueryRecipe(text="a dog barks"),
            conditions={"snr_db": 0.0},
            clusters={"clip": str(number // 10)},
        )
        for number in range(trials)
    )
    header = manifest.Header(kind=TaskKind.LASS, sample_rate=8000, cluster="clip", metrics=METRICS)
    manifest.write(folder / "manifest.jsonl", header, rows)
    return load_task(str(folder / "manifest.jsonl"))


def seconds(task: Task, folder: Path, batch_size: int) -> tuple[float, int]:
    """Processor time of a whole run, and the replies in it."""
    metrics = resolve_all(METRICS)
    record = {"identity": {}, "metrics": [{"id": metric.id} for metric in metrics]}
    orders = Orders(metrics, batch_size, seed=0, device="cpu", time_limit_s=1.0, words=False, waveform=True)
    run, crew, keeper = RunFolder(folder, record), Oracle(), Keeper("none", metrics[0])
    run.begin()
    spool = Spool(folder / "spool")
    dispatcher = Dispatcher(orders, task, run, spool, crew, Baselines(folder), keeper, lambda progress: None)
    start = time.process_time()
    dispatcher.run(batches(task.ids, batch_size))
    spent = time.process_time() - start
    run.close()
    assert dispatcher.progress.scored == len(task)
    return spent, crew.replies


def main(trials: int = 5_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        task = write_task(Path(name), trials)
        costs = {size: seconds(task, Path(name) / str(size), size) for size in (1, 8)}
    (one, many), (replies_one, replies_many) = zip(*costs.values(), strict=True)
    reply = (one - many) / (replies_one - replies_many)
    line = (one - reply * replies_one) / trials
    print(f"{1e6 * line:.0f} µs for a trial's lines ({len(METRICS)} metrics), {1e6 * reply:.0f} µs for a reply:")
    for size in (1, 8, 64):
        print(f"batches of {size}: at most {1 / (line + reply / size):.0f} trials/s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
