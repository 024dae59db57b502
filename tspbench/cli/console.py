"""The console that commands print on."""

from __future__ import annotations

from rich.console import Console

PIPE_WIDTH = 160
"""Columns where there is no terminal whose width could be asked."""


def make_console(*, stderr: bool = False) -> Console:
    """A console that never squeezes tables into the 80 columns of a pipe."""
    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console
