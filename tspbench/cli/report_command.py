"""tspbench report"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from tspbench.errors import UsageError


@click.command("report")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN…]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("report"),
    show_default=True,
    metavar="DIR",
    help="Where the report goes; an older report there is replaced.",
)
@click.option(
    "--audio",
    "listen",
    default="50",
    show_default=True,
    metavar="N|all|none",
    help="Trials to listen to: half of them the worst, half spread over the others.",
)
@click.option("--task", metavar="TASK", help="The task of the runs, where its name alone does not lead there.")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where a manifest's paths start.")
def command(runs: tuple[Path, ...], out: Path, listen: str, task: str | None, data_root: Path | None) -> None:
    """Make a folder to open in a browser: numbers, plots, and trials to listen to.

    RUN is a run folder; several must be runs of the same trials. Estimates can
    be heard where the run kept them (tspbench run --save-audio all).
    """
    from tspbench.cli.console import make_console
    from tspbench.cli.steps import Steps
    from tspbench.report import build

    console = make_console()
    with Steps(console) as steps:
        built = build(runs, out, task=task, data_root=data_root, listen=_number(listen), progress=steps)
    for note in built.notes:
        console.print(note, markup=False, style="yellow")
    size, audio = built.size_bytes / 1e6, built.audio_bytes / 1e6
    console.print(f"{built.trials} trials, {built.playable} of them with audio; {size:.1f} MB ({audio:.1f} MB audio)")
    console.print(f"open in a browser: {built.page}", markup=False, soft_wrap=True)


def _number(text: str) -> int | Literal["none", "all"]:
    if text == "none":
        return "none"
    if text == "all":
        return "all"
    if not text.isdecimal():
        raise UsageError(f"--audio {text}: expected a number of trials, all or none.")
    return int(text)
