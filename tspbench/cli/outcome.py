"""How runs end on the screen: the table, what to know about it, where it lies, the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tspbench.cli.console import make_console
from tspbench.runner.run import Outcome
from tspbench.store import read_record
from tspbench.tables import estimate_problems, failure_reasons, result_tables

console = make_console()


def show_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print the table, the notes and the run folders."""
    title = run_title(read_record(outcomes[0].path))
    for table in result_tables(outcomes, title, console):
        console.print(table)
    console.print("[dim]mean ± half of its 95 % interval; – : does not apply[/]")
    for name, reason in outcomes[0].left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    if any(outcome.forced for outcome in outcomes):
        console.print("not aligned: measured sample by sample all the same (--force-aligned)", style="yellow")
    for outcome in outcomes:
        if outcome.failed:
            where = f"{_near(outcome.path)}/trials.jsonl"
            console.print(f"{outcome.label}: {outcome.failed} failed; all in {where}", markup=False, style="red")
            for reason in failure_reasons(outcome.path):
                console.print(f"  {reason}", markup=False)
        if outcome.message:
            console.print(f"{outcome.label} is {outcome.status}: {outcome.message}", markup=False, style="red")
        done = " (was done already)" if outcome.already_done else ""
        console.print(f"{outcome.label}: {_near(outcome.path)}{done}", markup=False, soft_wrap=True)


def run_title(record: Mapping[str, Any]) -> str:
    """The task of a run, and how much of it the run is of."""
    task = record["identity"]["task"]
    part = task["trials"] < task.get("of", task["trials"])
    notes = [f"{task['trials']:,} of {task['of']:,} trials"] if part else []
    if "shard" in task:
        shard = task["shard"]
        notes += [f"part {shard['number']} of {shard['of']}: {shard['trials']:,} trials"]
    notes += ["synthetic audio"] if record["synthetic"] else []
    return " — ".join([f"{task['name']} ({task['kind']})", *notes])


def _near(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def exit_code(outcomes: Sequence[Outcome], max_failed: int) -> int:
    """0 done, 1 too many failed trials, 3 broken off."""
    if any(outcome.message for outcome in outcomes):
        return 3
    return int(any(outcome.failed > max_failed for outcome in outcomes))


def show_problems(outcome: Outcome) -> None:
    """Print which estimates were missing, unusable, silent or adjusted, by kind."""
    table = estimate_problems(outcome.path)
    if table.row_count:
        console.print(table)
