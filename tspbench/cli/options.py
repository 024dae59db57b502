"""Options that ``run`` and ``score`` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tspbench.errors import UsageError

MEASURING = (
    click.option("--task", required=True, metavar="TASK", help="NAME[:PROTOCOL], or a path to a manifest (.jsonl)."),
    click.option(
        "--task-option",
        "task_options",
        multiple=True,
        metavar="K=V",
        help="A choice that a task offers, such as queries=text; makes another cell.",
    ),
    click.option("--available", is_flag=True, help="Go on with the trials whose audio is here (n of N)."),
    click.option("--limit", type=int, metavar="N", help="Only the first N trials (a trial list of its own)."),
    click.option("--shard", metavar="K/N", help="Only the K-th of N parts; put together with: tspbench merge."),
    click.option("--metrics", default="", metavar="M[,M…]", help="Metric ids; default: the task's."),
    click.option("--dialect", metavar="NAME", help="Score as a publication does; --metrics adds to it."),
    click.option("--workers", type=int, metavar="N", help="Processes that render and score; default: one per core."),
    click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder; default: below runs/."),
    click.option("--fresh", is_flag=True, help="Start over; an existing run folder is moved aside."),
    click.option(
        "--data-root",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where a manifest's paths start, or where prepared tasks lie.",
    ),
    click.option("--max-failed", type=int, default=0, show_default=True, help="More failed trials: exit code 1."),
)


def measuring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command."""
    for option in reversed(MEASURING):
        command = option(command)
    return command


def names(text: str) -> tuple[str, ...]:
    """``a,b[c,d]`` as ``("a", "b[c,d]")``: commas inside brackets do not separate."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return tuple(part.strip() for part in parts if part.strip())


def numbers(option: str, given: Sequence[str]) -> dict[str, float]:
    """``NAME=NUMBER`` several times as a mapping; the last ``=`` separates, for names may hold one."""
    found = {}
    for text in given:
        name, _, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"{option} {text}: write NAME=NUMBER.") from None
        if not name.strip():
            raise UsageError(f"{option} {text}: write NAME=NUMBER.")
    return found


def batch_size(text: str) -> int | None:
    """``auto`` (the system's own) or a number."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"--batch-size {text}: expected auto or a whole number.")
    return int(text)
