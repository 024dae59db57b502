"""Results and catalogues as rich tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tspbench.store import read_lines

if TYPE_CHECKING:
    from tspbench.compare import Comparison, Report
    from tspbench.gate import Gate
    from tspbench.runner.run import Outcome

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
        if outcome.forced:
            label.append(" (not aligned)", style="yellow")
        table.add_row(label, *cells, usual)
    return table


def summary_parts(summary: Mapping[str, Any]) -> Iterator[Table | Text]:
    """What a run's summary says beyond its means: strata of the first metric, positions, wrong targets, worst."""
    name, cell = next(iter(summary["metrics"].items()))
    yield _strata_table(name, cell)
    for metric, each in summary["metrics"].items():
        position = each["bounds"]["position"]
        if position:
            ends = f"{position['lower']} = 0, {position['upper']} = 1"
            yield Text(f"{metric} lies at {position['value']:.2f} between its bounds ({ends})")
    wrong = summary.get("wrong_target")
    if wrong:
        right = wrong["right_target"]
        mean = "none" if right["mean"] is None else f"{right['mean']:.2f}"
        yield Text(
            f"wrong target in {wrong['rate']:.1%} of {wrong['scored']} trials; {right['metric']} of the rest {mean}"
        )
    worst = summary.get("worst")
    if worst:
        table = Table(title=f"worst trials by {worst['metric']}", title_justify="left")
        table.add_column("trial")
        table.add_column("value", justify="right")
        for row in worst["trials"]:
            table.add_row(Text(row["trial_id"]), "none" if row["value"] is None else f"{row['value']:.2f}")
        yield table


def _strata_table(name: str, cell: Mapping[str, Any]) -> Table:
    table = Table(title=Text(f"{name} by condition"), title_justify="left")
    for column in ("condition", "stratum", "mean", "scored/\napplicable", "clusters"):
        table.add_column(column, justify="left" if column in ("condition", "stratum") else "right", no_wrap=True)
    groups = {"all": {"": cell}, **cell["strata"]}
    for condition, strata in groups.items():
        for label, each in strata.items():
            clusters = str(each["interval"]["clusters"]) if each["interval"] else "–"
            counts = f"{each['scored']}/{each['applicable']}"
            table.add_row(Text(condition), Text(label), _mean(each), counts, clusters)
        table.add_section()
    return table


def _mean(cell: Mapping[str, Any]) -> Text:
    if cell["mean"] is None:
        return Text("none", style="red")
    text = Text(f"{round(cell['mean'], 2) + 0.0:.2f}")
    if cell["interval"]:
        text.append(f" {cell['interval']['low']:.2f} to {cell['interval']['high']:.2f}", style="dim")
    return text


VERDICTS = {"better": "green", "worse": "red", "equal": "cyan", "undecided": "dim"}


def comparison_table(report: Report) -> Table:
    """A row for each comparison: means, difference with its interval, corrected p, verdict about the first."""
    table = Table(title="NOT THE SAME MEASUREMENT" if report.different else None, title_style="bold red")
    strata = any(each.stratum is not None for each in report.comparisons)
    for name in ("system", "than", "metric", *(["where"] if strata else [])):
        table.add_column(name, no_wrap=True)
    for name in ("trials/\nclusters", "means", "difference", "95 % interval", "p\ncorrected"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    last = None
    for each in report.comparisons:
        if last not in (None, (each.first, each.second, each.metric)) and strata:
            table.add_section()
        last = (each.first, each.second, each.metric)
        where = "all" if each.stratum is None else f"{each.condition}: {each.stratum}"
        table.add_row(Text(each.first), Text(each.second), Text(f"{each.metric} {_arrow(each.higher_is_better)}"),
                      *([Text(where)] if strata else []), *_comparison_cells(each))  # fmt: skip
    return table


def _comparison_cells(each: Comparison) -> tuple[str, str, str, str, str, Text]:
    digits = 2 if each.unit.startswith("dB") else 3
    interval = f"{each.interval.low:+.{digits}f} to {each.interval.high:+.{digits}f}" if each.interval else "–"
    p = "–" if each.p_corrected is None else "<0.0001" if each.p_corrected < 1e-4 else f"{each.p_corrected:.4f}"
    return (
        f"{each.trials}/{each.clusters}",
        " vs ".join(f"{round(mean, digits) + 0.0:.{digits}f}" for mean in each.means),
        f"{round(each.difference, digits) + 0.0:+.{digits}f}",
        interval,
        p,
        Text(each.verdict, style=VERDICTS[each.verdict]),
    )


OUTCOMES = {"passed": "green", "regressed": "bold red", "undecided": "yellow", "unmeasured": "yellow"}


def gate_table(gate: Gate) -> Table:
    """A row for each rule: figure, baseline, limit, the bound that decided, outcome and why."""
    table = Table(title=f"gate: {gate.outcome}", title_justify="left", title_style=OUTCOMES[gate.outcome])
    for name in ("rule", "outcome"):
        table.add_column(name, no_wrap=True)
    for name in ("value", "baseline", "limit", f"bound at {gate.confidence:.0%}", "trials/\nclusters"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for each in gate.results:
        bound = None if each.bound is None or each.limit is None else each.limit + each.bound
        figures = (each.value, each.baseline, each.limit, bound)
        counts = "–" if each.trials is None else f"{each.trials}/{each.clusters}"
        outcome = Text(each.outcome, style=OUTCOMES[each.outcome])
        table.add_row(Text(each.rule), outcome, *map(_figure, figures), counts, Text(each.why))
    return table


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value + 0.0:.4g}"


def _arrow(higher_is_better: bool) -> str:
    return "↑" if higher_is_better else "↓"


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
    arrow = _arrow(cell["higher_is_better"])
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
