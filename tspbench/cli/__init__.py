"""The command line. One file per command; each is imported when it is called."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Mapping
from typing import Any

import click

from tspbench.errors import TspbenchError, nearest

COMMANDS: Mapping[str, str] = {
    "run": "Run systems on a task and score them.",
    "score": "Score estimates that were made elsewhere.",
    "merge": "Put the parts of a run together that were made with --shard.",
    "compare": "Say which of some runs is better, trial by trial, and how sure that is.",
    "cpwer": "Set cpWER beside the word error rate of target-speaker transcripts.",
    "power": "Say how many trials a claim needs.",
    "gate": "Pass or fail a run against a baseline, for continuous integration.",
    "list": "List systems, tasks, metrics or dialects.",
    "report": "Make a folder to open in a browser: numbers, plots, and trials to listen to.",
    "show": "Show everything about one system, task, metric or dialect.",
    "profile": "Measure what systems cost: time, memory, parameters, MACs, look-ahead.",
    "check": "Check that a system keeps the contract.",
    "leaderboard": "Put finished runs on leaderboards and build their pages.",
    "data": "Prepare published tasks from your audio; make trial lists; export a task for systems elsewhere.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tspbench.cli.{cmd_name}_command")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            ctx.fail(f"There is no command {args[0]!r}. {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="tspbench")
def group() -> None:
    """Benchmark target sound processing: language-queried separation, target speaker extraction, target-speaker ASR.

    Start with: tspbench run --system mixture,oracle-irm,nmf --task lass-demo
    """


def main() -> None:
    """Entry point: errors that a user can act on become one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows a question mark
    try:
        sys.exit(group(standalone_mode=False))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TspbenchError as error:
        click.secho("Error: ", fg="red", err=True, nl=False)
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
