"""Fixtures of the tasks that are made from published lists."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench.prepared.declaration import ListFile, Protocol
from tspbench.task import task_folder

LISTS = [Path(__file__).parents[2].parent / "shared" / "data" / "lists", os.environ.get("TSPBENCH_LISTS")]
"""Where published lists may lie: ../shared/data/lists, and the folder that TSPBENCH_LISTS names."""

Declared = Callable[[str, str], Protocol]
Published = Callable[[Protocol], dict[str, Path]]


@pytest.fixture(scope="session")
def declared() -> Declared:
    """A protocol of a task as its task.toml declares it."""

    def find(task: str, name: str) -> Protocol:
        return next(protocol for protocol in task_folder(task)[0].protocols if protocol.name == name)

    return find


@pytest.fixture(scope="session")
def published() -> Published:
    """The published lists of a protocol by role; skips where one that it needs is not on this machine."""

    def find(protocol: Protocol) -> dict[str, Path]:
        found = {file.role: path for file in protocol.files if (path := _locate(file))}
        lacking = [file.name for file in protocol.files if file.required and file.role not in found]
        if lacking:
            pytest.skip(f"needs {', '.join(lacking)} below ../shared/data/lists or TSPBENCH_LISTS")
        return found

    return find


def _locate(file: ListFile) -> Path | None:
    for folder in filter(None, LISTS):
        for path in sorted(Path(folder).rglob(file.name)):
            return path
    return None
