"""tspbench data"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tspbench.types import TaskKind


@click.group("data")
def command() -> None:
    """Prepare the field's tasks from your audio; make trial lists of your own; export audio for other systems."""


@command.command("prepare")
@click.argument("task", metavar="TASK[:PROTOCOL]")
@click.option("--audio", multiple=True, required=True, metavar="[NAME=]DIR", help="Where the corpus lies.")
@click.option("--list", "list_files", multiple=True, metavar="[ROLE=]FILE",
              help="A published list; told by its sha256.")  # fmt: skip
@click.option("--available", is_flag=True, help="Go on without clips that are missing or unusable.")
@click.option(
    "--checksums", type=click.Path(path_type=Path), metavar="FILE", help="sha256sum's output to check against."
)
@click.option("--headers-only", is_flag=True, help="Do not decode every file (misses truncated and silent ones).")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Default: TSPBENCH_DATA.")
def prepare_command(task: str, audio: tuple[str, ...], list_files: tuple[str, ...], **settings: Any) -> None:
    """Make a published task ready to run, from its list and your own copy of the audio.

    Nothing is downloaded and no mixture is written: trials are rendered as they are needed.
    """
    from tspbench.cli.outcome import console
    from tspbench.cli.preparing import show_report
    from tspbench.cli.steps import Steps
    from tspbench.prepared.prepare import prepare

    with Steps(console) as steps:
        report = prepare(task, audio, list_files, **settings, progress=steps)
    show_report(report)


@command.command("status")
@click.argument("task", required=False, default="", metavar="[TASK]")
@click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Default: TSPBENCH_DATA.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status_command(task: str, data_root: Path | None, as_json: bool) -> None:
    """Show which tasks are ready, and exactly what to bring for those that are not."""
    from tspbench.cli.preparing import show_states

    show_states(task, data_root, as_json=as_json)


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
@click.option("--activity", is_flag=True, help="Offer masks of who is active when, too: an oracle.")
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
@click.option("--available", is_flag=True, help="Only the trials whose audio is here.")
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
