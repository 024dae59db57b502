"""Options that ``run`` and ``score`` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tspbench.errors import UsageError

MEASURING = (
    click.option("--task", required=True, metavar="TASK", help="A task's name, or a path to a manifest (.jsonl)."),
    click.option("--limit", type=int, metavar="N", help="Only the first N trials (a trial list of its own)."),
    click.option("--metrics", default="", metavar="M[,M…]", help="Metric ids; default: the task's."),
    click.option("--workers", type=int, metavar="N", help="Processes that render and score; default: one per core."),
    click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run folder; default: below runs/."),
    click.option("--fresh", is_flag=True, help="Start over; an existing run folder is moved aside."),
    click.option("--data-root", type=click.Path(path_type=Path), metavar="DIR", help="Where a manifest's paths start."),
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


def batch_size(text: str) -> int | None:
    """``auto`` (the system's own) or a number."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"--batch-size {text}: expected auto or a whole number.")
    return int(text)
