"""A quality gate inside a test suite: the fixture ``tspbench_gate``.

pytest imports this module in every session of every project that has tspbench
installed, so it imports nothing but pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tspbench.gate import Gate
    from tspbench.results import Run


@pytest.fixture(scope="session")
def tspbench_gate() -> Callable[..., Gate]:
    """Call it with a finished run and rules; the test fails unless every rule is shown.

    ``tspbench_gate(run, *rules, baseline=None, confidence=0.95)``: ``run`` and
    ``baseline`` are run folders, sealed files or what :func:`tspbench.run`
    returned. A gate that cannot tell (too few trials, another baseline) fails
    too, and says so. Returns the :class:`tspbench.gate.Gate`.
    """
    return _gate


def _gate(
    run: str | Path | Run, *rules: str, baseline: str | Path | Run | None = None, confidence: float = 0.95
) -> Gate:
    __tracebackhide__ = True
    from tspbench.errors import TspbenchError
    from tspbench.gate import gate
    from tspbench.sealed import read

    try:
        held = gate(read(_path(run)), None if baseline is None else read(_path(baseline)), rules, confidence)
    except TspbenchError as error:
        problem = str(error)
    else:
        problem = "" if held.outcome == "passed" else _message(held.outcome, held.results)
    if problem:
        pytest.fail(f"tspbench gate: {problem}", pytrace=False)
    return held


def _path(run: str | Path | Run) -> Path:
    return Path(run) if isinstance(run, str | Path) else run.path


def _message(outcome: str, results: Sequence[Any]) -> str:
    lines = [f"{each.outcome:<10} {each.rule}: {each.why}{_figures(each)}" for each in results]
    return "\n".join([outcome, *lines])


def _figures(each: Any) -> str:
    named = {"value": each.value, "baseline": each.baseline, "limit": each.limit}
    shown = ", ".join(f"{name} {figure:.4g}" for name, figure in named.items() if figure is not None)
    return f" ({shown})" if shown else ""
