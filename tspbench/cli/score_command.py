"""tspbench score"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from tspbench.cli.options import measuring, names


@click.command("score")
@click.option(
    "--estimates", type=click.Path(path_type=Path), required=True, metavar="DIR", help="wav, flac or txt files."
)
@click.option("--name", metavar="LABEL", help="How the row is called; default: the folder's name.")
@measuring
def command(estimates: Path, name: str | None, max_failed: int, **settings: Any) -> None:
    """Score estimates that were made elsewhere.

    DIR holds one file per trial, named by its id: TRIAL_ID.wav (or .flac), or
    TRIAL_ID.txt with the words. What is missing or unusable is listed.
    """
    from tspbench.cli.outcome import console, exit_code, show_outcomes, show_problems
    from tspbench.cli.progress import Bars
    from tspbench.runner.request import Request
    from tspbench.runner.run import score_estimates

    settings["metrics"] = names(settings["metrics"])
    request = Request(**settings)
    with Bars(console) as bars:
        outcome = score_estimates(estimates, request, name, bars)
    show_problems(outcome)
    show_outcomes([outcome])
    sys.exit(exit_code([outcome], max_failed))
