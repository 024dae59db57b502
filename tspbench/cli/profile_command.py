"""tspbench profile"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tspbench.cli.options import names
from tspbench.errors import UsageError

SEVERAL = ("--seconds", "--batch")


class SeveralNumbers(click.Command):
    """Lets ``--seconds 1 4 10`` stand for ``--seconds 1,4,10``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        joined: list[str] = []
        for arg in args:
            if len(joined) > 1 and joined[-2] in SEVERAL and _is_number(arg) and _is_number(joined[-1]):
                joined[-1] += f",{arg}"
            else:
                joined.append(arg)
        return super().parse_args(ctx, joined)


@click.command("profile", cls=SeveralNumbers)
@click.option(
    "--system", "systems", required=True, multiple=True, metavar="S[,S…]", help="Names, or path/to/file.py:ClassName."
)
@click.option("--seconds", multiple=True, default=["1,4,10,60"], show_default="1 4 10 60", metavar="S…",
              help="Lengths of audio.")  # fmt: skip
@click.option("--batch", multiple=True, default=["1,4,16"], show_default="1 4 16", metavar="B…",
              help="Mixtures per call; 1 is always measured.")  # fmt: skip
@click.option("--budget", type=float, default=60.0, show_default=True, metavar="S", help="Seconds for the latencies.")
@click.option("--task", metavar="TASK", help="Where mixtures and queries come from; default: a bundled one that fits.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="A system's option; SYSTEM.K=V: of one system.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=int, metavar="N", help="Threads of the system's libraries; default: their own choice.")
@click.option("--run", "runs", multiple=True, type=click.Path(path_type=Path), metavar="RUN",
              help="Put the profile into this run folder; it must be of the same system.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH", help="Folder, or a .json file for one system.")
@click.option(
    "--benchmark-json", type=click.Path(path_type=Path), metavar="FILE", help="As pytest-benchmark writes it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the profiles as JSON instead of tables.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--time-limit", type=float, default=600.0, show_default=True, metavar="S", help="Seconds per call.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where a manifest's paths start.")
def command(
    systems: tuple[str, ...], options: tuple[str, ...], benchmark_json: Path | None, as_json: bool, **settings: Any
) -> None:
    """Measure what systems cost: time, memory, parameters, MACs, look-ahead.

    Several systems are measured one after the other, each in a process of its own.
    """
    from tspbench.cli.console import make_console
    from tspbench.cli.steps import Steps
    from tspbench.profile.request import Request
    from tspbench.profile.run import profile_systems

    settings["seconds"] = tuple(_numbers("--seconds", settings["seconds"]))
    settings["batch"] = tuple(_whole("--batch", number) for number in _numbers("--batch", settings["batch"]))
    settings["budget_s"], settings["time_limit_s"] = settings.pop("budget"), settings.pop("time_limit")
    console = make_console(stderr=as_json)
    with Steps(console) as steps:
        outcomes = profile_systems(names(",".join(systems)), Request(**settings), options, steps)
    measured = [(outcome.record, outcome.rows) for outcome in outcomes if outcome.record]
    if benchmark_json is not None and measured:
        from tspbench.profile.benchmark_json import write_benchmark

        write_benchmark(benchmark_json, measured)
    _show(outcomes, console, as_json)
    sys.exit(3 if any(outcome.message for outcome in outcomes) else 0)


def _show(outcomes: Sequence[Any], console: Any, as_json: bool) -> None:
    import json

    from tspbench.profile.tables import figures_table, latency_table, notes

    records = [outcome.record for outcome in outcomes if outcome.record]
    if as_json:
        click.echo(json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        for record in records:
            console.print(latency_table(record))
            for note in notes(record):
                console.print(f"  {note}", markup=False)
        if records:
            console.print(figures_table(records))
    for outcome in outcomes:
        if outcome.message:
            console.print(f"{outcome.label}: {outcome.message}", markup=False, style="red")
        for path in outcome.paths:
            console.print(f"{outcome.label}: {path}", markup=False, soft_wrap=True)


def _numbers(option: str, given: Sequence[str]) -> list[float]:
    parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
    wrong = next((part for part in parts if not _is_number(part)), None)
    if wrong is not None:
        raise UsageError(f"{option} {wrong}: expected numbers, such as {option} 1 4 10.")
    return [float(part) for part in parts]


def _whole(option: str, number: float) -> int:
    if number != int(number):
        raise UsageError(f"{option} {number:g}: expected a whole number.")
    return int(number)


def _is_number(text: str) -> bool:
    try:
        return all(float(part) < float("inf") for part in text.split(",") if part)
    except ValueError:
        return False
