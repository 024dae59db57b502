"""The published tensors of every build, drawn from their names."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def recipe() -> ModuleType:
    """``make_fixtures.py``: how inputs and weights were made."""
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("make_bsrnn_fixtures", HERE / "make_fixtures.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="session")
def keys() -> Callable[[str], dict[str, tuple[int, ...]]]:
    """Names and shapes of a published build."""

    def found(label: str) -> dict[str, tuple[int, ...]]:
        content = json.loads((HERE / f"published-{label}-keys.json").read_text())
        return {name: tuple(shape) for name, shape in content.items()}

    return found


@pytest.fixture(scope="session")
def state(recipe: ModuleType, keys: Callable[[str], dict[str, tuple[int, ...]]]) -> Callable[[str], dict[str, Any]]:
    """The state dict that a published build was filled with."""

    def found(label: str) -> dict[str, Any]:
        return {name: recipe.drawn(name, shape) for name, shape in keys(label).items()}

    return found
