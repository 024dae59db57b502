"""A hundred thousand trials on one machine: ``python tests/benchmarks/soak.py``. About ten minutes on two cores.

Memory by the number of trials; a run that is killed half-way and gone on with;
the same run in parts, merged; the summary of a million made-up trials. What
must be equal is asserted, what is measured is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from test_runner_benchmark import LAUNCHER, METRICS, peak_memory, write_task

from tspbench.store import read_lines, read_record, read_summary, write_json

PARTS = 4
SUMMARY = "import sys; from pathlib import Path; from tspbench.summary import summarise; summarise(Path(sys.argv[1]))"


def tspbench(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "tspbench", *map(str, arguments)]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def count(path: Path) -> int:
    return sum(1 for _ in path.open("rb")) if path.exists() else 0


def memory(task: Path, folder: Path, trials: int) -> None:
    first = 0
    for limit in (trials // 500, trials // 50, trials // 5):
        peak = peak_memory(task, folder / f"of-{limit}", limit)
        first = first or peak
        print(f"{limit:,} trials: {peak / 2**20:.1f} MiB, {peak / first:.2f} times", flush=True)


def killed_and_resumed(task: Path, out: Path, trials: int) -> None:
    command = tspbench("run", "--system", "mixture", "--task", task, "--out", out)
    start = time.perf_counter()
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while count(out / "trials.jsonl") < trials // 2:
        if running.poll() is not None:
            raise SystemExit("The run ended before it could be killed.")
        time.sleep(0.5)
    running.send_signal(signal.SIGKILL)
    running.wait()
    print(f"killed after {time.perf_counter() - start:.0f} s with {count(out / 'trials.jsonl'):,} lines", flush=True)
    print(f"resumed and finished in {seconds(command):.0f} s", flush=True)
    done = Counter(row["trial_id"] for row in read_lines(out / "trials.jsonl"))
    scored = Counter((row["trial_id"], row["metric"]) for row in read_lines(out / "scores.jsonl"))
    assert (len(done), max(done.values())) == (trials, 1)
    assert (len(scored), max(scored.values())) == (trials * len(METRICS), 1)
    assert read_record(out)["status"] == "sealed"
    print(f"{trials:,} trials and {len(scored):,} scores, each once", flush=True)


def in_parts(task: Path, whole: Path, folder: Path) -> None:
    parts = [folder / f"part-{number}" for number in range(1, PARTS + 1)]
    took = [
        seconds(tspbench("run", "--system", "mixture", "--task", task, "--shard", f"{number}/{PARTS}", "--out", part))
        for number, part in enumerate(parts, start=1)
    ]
    merging = seconds(tspbench("merge", *parts, "--out", folder / "merged"))
    assert read_summary(folder / "merged") == read_summary(whole)
    print(f"{PARTS} parts, {', '.join(f'{each:.0f}' for each in took)} s, merged in {merging:.0f} s: equal", flush=True)


def made_up(folder: Path, like: Path, trials: int) -> Path:
    """A run folder of so many trials, with ids, digests, values and three more conditions drawn."""
    folder.mkdir()
    record = read_record(like)
    record["identity"]["task"]["trials"] = trials
    write_json(folder / "run.json", record)
    template, draw = next(iter(read_lines(like / "trials.jsonl"))), random.Random(0)
    with (folder / "trials.jsonl").open("w") as lines, (folder / "scores.jsonl").open("w") as scores:
        for i in range(trials):
            row: dict[str, Any] = {**template, "trial_id": f"trial-{i:07d}", "clusters": {"clip": str(i % 8)}}
            row["input_digest"] = f"{draw.getrandbits(128):032x}"
            row["conditions"] = {**row["conditions"], "kind": "xyz"[i % 3], "talkers": i % 7, "level": draw.random()}
            lines.write(json.dumps(row) + "\n")
            for metric in METRICS:
                score = {"trial_id": row["trial_id"], "metric": metric, "value": draw.gauss(3, 5)}
                scores.write(json.dumps({**score, "status": "ok", "reason": None}) + "\n")
    return folder


def summaries(like: Path, folder: Path, trials: int) -> None:
    for number in (trials, 10 * trials):
        run = made_up(folder / f"made-up-{number}", like, number)
        command = [sys.executable, "-c", LAUNCHER, sys.executable, "-c", SUMMARY, str(run)]
        start = time.perf_counter()
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024
        took = time.perf_counter() - start
        print(f"the summary of {number:,} made-up trials: {took:.1f} s, {peak / 2**20:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = write_task(folder / "task", trials, 0.2, 8000)
        memory(task, folder, trials)
        killed_and_resumed(task, folder / "whole", trials)
        print(f"its summary: {seconds([sys.executable, '-c', SUMMARY, str(folder / 'whole')]):.1f} s", flush=True)
        in_parts(task, folder / "whole", folder)
        summaries(folder / "whole", folder, trials)


if __name__ == "__main__":
    main()
