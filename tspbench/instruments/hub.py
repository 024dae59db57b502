"""Checkpoints for transformers: from a folder or the local hub cache, fetched only where the user said so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tspbench.instruments.base import may_download, missing_weights


def pretrained(transformers: Any, classes: tuple[str, ...], model: str, what: str, published: str, without: str) -> Any:
    """``from_pretrained`` of some transformers classes, by name; no code from the checkpoint is run.

    Raises
    ------
    MissingWeights
        ``model`` is neither a folder with the files nor in the local hub cache.
    """
    folder = Path(model).expanduser()
    source = str(folder) if folder.is_dir() else model
    try:
        with _quiet(transformers):
            return [
                getattr(transformers, name).from_pretrained(source, local_files_only=not may_download())
                for name in classes
            ]
    except OSError as error:
        raise missing_weights(what, model, published, without) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars: they would break into the command line's own."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
