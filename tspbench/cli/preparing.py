"""What ``data prepare`` and ``data status`` print."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from tspbench.cli.outcome import console
from tspbench.errors import UnknownName
from tspbench.prepared.corpus import Inventory
from tspbench.prepared.prepare import Report
from tspbench.prepared.status import State, states

COLOURS = {"ready": "green", "partly": "yellow", "broken": "red", "not prepared": "dim"}


def show_report(report: Report) -> None:
    """Print what was prepared, the state of its audio and the command that runs it."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for key, value in _facts(report):
        table.add_row(key, value)
    console.print(table)
    for sentence in report.inventory.troubles():
        console.print(sentence, markup=False, style="yellow")
    partly = " --available" if report.available < report.total else ""
    task = report.label if "[" not in report.label else f"'{report.label}'"
    console.print(f"Next: tspbench run --system mixture --task {task}{partly}", markup=False, soft_wrap=True)


def _facts(report: Report) -> list[tuple[str, str]]:
    inventory = report.inventory
    clips = len(inventory.found)
    trials = f"{report.available:,} of {report.total:,}" if report.available < report.total else f"{report.total:,}"
    kind = "published" if report.published else "not the published one: results stand under its own digest"
    if report.expected_digest is not None:
        kind += "; trials are the published protocol's" if report.expected_digest else "; trials DIFFER from the pinned"
    return [
        ("task", report.label),
        ("trials", trials),
        ("list", kind),
        ("digest", report.digest),
        ("clips", f"{clips:,} found, {len(inventory.missing):,} missing"),
        ("audio", _audio(inventory)),
        ("silent", _named([clip for clip, found in inventory.found.items() if found.silent])),
        ("full scale", _named([clip for clip, found in inventory.found.items() if found.clipped])),
        ("folder", str(report.folder)),
    ]


def _audio(inventory: Inventory) -> str:
    found = [row for row in inventory.found.values() if row.rate]
    if not found:
        return "none"
    rates = Counter(row.rate for row in found)
    lengths = [row.seconds for row in found]
    spread = f"{min(lengths):.2f} to {max(lengths):.2f} s, {sum(lengths) / 3600:.2f} h in all"
    stereo = sum(row.channels > 1 for row in found)
    mixed = f"; {stereo:,} with several channels (averaged)" if stereo else ""
    return f"{spread}; {', '.join(f'{count:,} at {rate} Hz' for rate, count in rates.most_common())}{mixed}"


def _named(clips: list[str]) -> str:
    first = ", ".join(clip.partition("/")[2] for clip in clips[:3])
    return f"{len(clips):,}" + (f": {first}" + (", …" if len(clips) > 3 else "") if clips else "")


def show_states(task: str, data_root: Path | None, *, as_json: bool) -> None:
    """Print the state of every task; of one, what to bring and what to type."""
    found = states(data_root)
    chosen = [state for state in found if not task or task in (state.task, *(state.task.partition(c)[0] for c in ":["))]
    if not chosen:
        raise UnknownName("task", task, [state.task for state in found])
    if as_json:
        click.echo(json.dumps([asdict(state) for state in chosen], indent=1, ensure_ascii=False))
        return
    console.print(_table(chosen))
    if task:
        for state in chosen:
            console.print(state.advice, markup=False, soft_wrap=True)
    else:
        console.print("[dim]What to bring for one of them: tspbench data status TASK[/]")


def _table(chosen: list[State]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("task", "state", "trials"):
        table.add_column(column)
    for state in chosen:
        rows = state.trials or f"0 of {state.rows:,}"
        table.add_row(state.task.replace("[", "\\["), f"[{COLOURS[state.state]}]{state.state}[/]", rows)
    return table
