"""A dialect beside our own definitions, as plain data."""

from __future__ import annotations

from typing import Any

from tspbench.dialect import Dialect, Figure, find_dialect, known_dialects
from tspbench.metrics import Metric, resolve


def dialect_rows() -> list[dict[str, Any]]:
    """One row per dialect, for the list."""
    return [
        {
            "name": dialect.name,
            "kinds": [kind.value for kind in dialect.kinds],
            "figures": [figure.label for figure in dialect.figures],
            "averaging": dialect.averaging,
        }
        for dialect in known_dialects().values()
    ]


def dialect_page(name: str) -> dict[str, Any]:
    """Everything declared about a dialect; ``figures`` has one entry per label."""
    dialect = find_dialect(name)
    return {
        "name": dialect.name,
        "summary": dialect.summary,
        "kinds": [kind.value for kind in dialect.kinds],
        "rate": dialect.rate,
        "span": dialect.span,
        "silent_estimate": dialect.silence,
        "clipping": dialect.clipping,
        "averaging": dialect.averaging,
        "not_reproduced": dict(dialect.not_reproduced),
        "citation": dialect.citation,
        "source": dialect.source,
        "figures": {figure.label: _figure(dialect, figure) for figure in dialect.figures},
    }


def _figure(dialect: Dialect, figure: Figure) -> dict[str, Any]:
    ours = resolve(figure.ours)
    return {
        "id": figure.metric.id,
        "unit": figure.metric.unit,
        "formula": _formula(figure.metric, dialect),
        "ours": ours.id,
        "our_formula": _formula(ours, None),
        "same_as": ours.id if figure.same else None,
        "differs": figure.differs,
        "measured_effect": figure.effect,
    }


def _formula(metric: Metric, dialect: Dialect | None) -> str:
    """A gain says what it is the gain of."""
    if metric.improvement_of is None:
        return metric.formula
    parts = {part.id: part for part in (*dialect.parts, *dialect.metrics)} if dialect else {}
    part = parts.get(metric.improvement_of) or resolve(metric.improvement_of)
    return f"gain over the mixture in: {part.formula}"
