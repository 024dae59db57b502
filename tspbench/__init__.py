"""tspbench: the benchmark for target sound processing.

>>> import tspbench
>>> runs = tspbench.run(["mixture", "nmf"], task="lass-demo", limit=8)  # doctest: +SKIP
>>> runs[0].scores  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tspbench.api import merge, run, score
    from tspbench.prefix import Prefix
    from tspbench.results import Run, load_run
    from tspbench.system import System
    from tspbench.types import Clip, Query, QueryKind, Source, TaskKind, Trial, Truth

__all__ = [
    "Clip",
    "Prefix",
    "Query",
    "QueryKind",
    "Run",
    "Source",
    "System",
    "TaskKind",
    "Trial",
    "Truth",
    "load_run",
    "merge",
    "run",
    "score",
]

_HOME = {
    "merge": "api",
    "run": "api",
    "score": "api",
    "Run": "results",
    "load_run": "results",
    "System": "system",
    "Prefix": "prefix",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: ``import tspbench`` stays instant."""
    if name not in __all__:
        raise AttributeError(f"module 'tspbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"tspbench.{_HOME.get(name, 'types')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
