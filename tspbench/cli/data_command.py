"""tspbench data"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tspbench.types import TaskKind


@click.group("data")
def command() -> None:
    """Make trial lists from your own recordings; write a task's audio for systems outside tspbench."""


@command.command("mix")
@click.option("--corpus", required=True, type=click.Path(path_type=Path), metavar="CSV|DIR",
              help="CSV with file and label (lass) or speaker (tse, tsasr), or a folder of sub-folders.")  # fmt: skip
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in TaskKind]))
@click.option("--trials", required=True, type=int, metavar="N")
@click.option("--snr", required=True, type=float, nargs=2, metavar="LO HI", help="dB, drawn evenly between the two.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR")
@click.option("--absent", type=int, default=0, show_default=True, metavar="N", help="Target-absent trials on top.")
@click.option("--sample-rate", type=int, metavar="HZ", help="Default: the corpus's most common.")
@click.option("--length", metavar="target|min|max|S", help="Default: target for lass, max for tse and tsasr.")
@click.option("--apart", multiple=True, nargs=2, metavar="A B", help="Labels or speakers too alike to be mixed.")
@click.option("--force", is_flag=True, help="Overwrite a manifest that is there.")
def mix_command(**settings: Any) -> None:
    """Write a manifest of mixtures: recipes, no audio.

    A CSV's other columns: caption (lass); sex, transcript or text (tse, tsasr).
    """
    from tspbench.cli.outcome import console
    from tspbench.cli.steps import Steps
    from tspbench.mix import mix, report

    with Steps(console) as steps:
        path = mix(**settings, progress=steps)
    click.echo(report(path))


@command.command("export")
@click.option("--task", required=True, metavar="TASK", help="A task's name, or a path to a manifest (.jsonl).")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="New or empty.")
@click.option("--limit", type=int, metavar="N", help="Only the first N trials (a trial list of its own).")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where a manifest's paths start.")
@click.option("--truth", is_flag=True, help="Add the answers: targets, interferers, transcripts.")
@click.option("--rate", type=int, metavar="HZ", help="Default: the task's.")
def export_command(truth: bool, rate: int | None, **settings: Any) -> None:
    """Write a task's mixtures and queries as files, for a system outside tspbench.

    DIR gets mixtures/TRIAL_ID.wav, queries/TRIAL_ID/ and a table, trials.jsonl
    and trials.csv. What the system makes of them, tspbench score scores.
    """
    from tspbench.cli.outcome import console
    from tspbench.cli.steps import Steps
    from tspbench.export import export, report

    with Steps(console) as steps:
        export(**settings, truth=truth, rate=rate, progress=steps)
    click.echo(report(**settings))
