"""Results and catalogues as rich tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tspbench.runner.run import Outcome
from tspbench.store import read_lines

SHOWN_TRIALS = 6


def result_tables(outcomes: Sequence[Outcome], title: str, console: Console) -> Iterator[Table]:
    """Rows are systems, columns are metrics: mean ± half of its 95 % interval, scored/attempted.

    As many tables as the width of the console asks for: no number is ever cut.
    """
    metrics = list(dict.fromkeys(name for outcome in outcomes for name in outcome.summary["metrics"]))
    rest = [name for name in metrics if any(_cell(outcome, name).get("applicable") for outcome in outcomes)]
    while True:
        fitting = len(rest)
        while fitting > 1 and _width(_result_table(outcomes, title, rest[:fitting])) > console.width:
            fitting -= 1
        yield _result_table(outcomes, title, rest[:fitting])
        rest, title = rest[fitting:], ""
        if not rest:
            return


def _width(table: Table) -> int:
    return Console(width=1000).measure(table).maximum


def _result_table(outcomes: Sequence[Outcome], title: str, shown: Sequence[str]) -> Table:
    table = Table(title=escape(title) or None, title_justify="left")
    table.add_column("system", no_wrap=True)
    for name in shown:
        table.add_column(_header(name, outcomes), justify="right", no_wrap=True)
    table.add_column("scored/\nattempted", justify="right", no_wrap=True)
    for outcome in outcomes:
        usual = _counts(outcome, shown)
        cells = [_value(_cell(outcome, name), usual) for name in shown]
        label = Text(outcome.label)
        if outcome.status != "sealed":
            label.append(f" ({outcome.status})", style="red")
        table.add_row(label, *cells, usual)
    return table


def estimate_problems(folder: Path) -> Table:
    """What was wrong with the estimates of a run folder: kind, how many, which (the first few)."""
    kinds: dict[str, list[str]] = {}
    for row in read_lines(folder / "trials.jsonl"):
        for kind in _problems(row):
            kinds.setdefault(kind, []).append(row["trial_id"])
    table = Table(title="Estimates", title_justify="left")
    for name in ("problem", "files", "trials"):
        table.add_column(name, justify="right" if name == "files" else "left")
    for kind, trials in sorted(kinds.items()):
        more = f" … and {len(trials) - SHOWN_TRIALS} more" if len(trials) > SHOWN_TRIALS else ""
        table.add_row(Text(kind), str(len(trials)), Text(", ".join(trials[:SHOWN_TRIALS]) + more))
    return table


def failure_reasons(folder: Path, most: int = 3) -> list[str]:
    """The most frequent reasons for failed trials, with their counts."""
    errors = (row["error"] for row in read_lines(folder / "trials.jsonl") if row["error"])
    counts = Counter(f"{error['type']}: {error['message']}" for error in errors)
    return [f"{count} × {reason}" for reason, count in counts.most_common(most)]


def _problems(row: Mapping[str, Any]) -> list[str]:
    if row["error"]:
        return [row["error"]["type"].replace("_", " ")]
    output = row["output"] or {}
    flags = [name for name in ("silent", "clipped") if output.get(name)]
    notes = {"resampled": "another rate", "cut": "slightly too long", "padded": "slightly too short"}
    return flags + [notes[note.split()[0]] for note in output.get("notes", ())]


def _cell(outcome: Outcome, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = outcome.summary["metrics"].get(name, {})
    return found


def _header(name: str, outcomes: Sequence[Outcome]) -> str:
    cell = next(cell for outcome in outcomes if (cell := _cell(outcome, name)))
    arrow = "↑" if cell["higher_is_better"] else "↓"
    return f"{name.replace('[', chr(10) + chr(92) + '[')} {arrow}" + (f"\n{cell['unit']}" if cell["unit"] else "")


def _counts(outcome: Outcome, names: Sequence[str]) -> str:
    """scored/attempted of most metrics; cells that differ say so themselves."""
    counts = [f"{c['scored']}/{c['attempted']}" for name in names if (c := _cell(outcome, name)).get("applicable")]
    return max(counts, key=counts.count) if counts else f"0/{outcome.summary['trials']['attempted']}"


def _value(cell: Mapping[str, Any], usual: str) -> Text:
    if not cell.get("applicable"):
        return Text("–", style="dim")
    if cell["mean"] is None:
        return Text(f"none ({cell['scored']}/{cell['attempted']})", style="red")
    if "published" in cell:
        return _published(cell, usual)
    text = Text(f"{round(cell['mean'], 2) + 0.0:.2f}")
    if cell["interval"]:
        half = (cell["interval"]["high"] - cell["interval"]["low"]) / 2
        text.append(f" ±{half:.2f}", style="dim")
    if cell["scored"] < cell["applicable"]:
        text.append(f" penalised {cell['penalised_mean']:.2f}", style="red")
    own = f"{cell['scored']}/{cell['attempted']}"
    if own != usual:
        text.append(f" ({own})", style="yellow")
    return text


def _published(cell: Mapping[str, Any], usual: str) -> Text:
    """A dialect's figure, as its publication averages: no interval, the standard deviation where it prints one."""
    figures = cell["published"]
    if figures["mean"] is None:
        text = Text("none", style="red")
        text.append(f" mean {cell['mean']:.2f} penalised {cell['penalised_mean']:.2f}", style="red")
    else:
        text = Text(f"{round(figures['mean'], 2) + 0.0:.2f}")
    if figures.get("std") is not None:
        text.append(f" sd {figures['std']:.2f}", style="dim")
    own = f"{cell['scored']}/{cell['attempted']}"
    if own != usual:
        text.append(f" ({own})", style="yellow")
    return text
