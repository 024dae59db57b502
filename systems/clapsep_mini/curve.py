"""A training's learning curve as a picture, from its logs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from tspbench.systems.training.trainer import LOSSES

PARTS = "parts.csv"
"""A row per validation: the step, then one column for each thing that was measured."""
PICTURE = "curve.svg"
WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 200, 60, 30, 50
COLOURS = ("#1b6ca8", "#c0561c", "#2e7d32", "#7b3fa0")
SMOOTH = 50
Points = Sequence[tuple[float, float]]


def draw(folder: Path) -> Path:
    """Draw ``curve.svg`` from ``losses.csv`` and, where it is, ``parts.csv``: shares in a panel of their own."""
    shown = [("loss, mean of 50 steps", {"loss": _smoothed(_columns(folder / LOSSES)["loss"])})]
    parts = _columns(folder / PARTS) if (folder / PARTS).exists() else {}
    for title, worse in (("validation", False), ("validation, share of trials made worse", True)):
        lines = {name: points for name, points in parts.items() if name.endswith("_worse") == worse}
        shown += [(title, lines)] if lines else []
    panels = [_panel(title, lines, TOP + i * (HEIGHT + GAP)) for i, (title, lines) in enumerate(shown)]
    height = TOP + len(panels) * (HEIGHT + GAP)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 150} {height}" font-family="sans-serif"'
    )
    text = f'{head} font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    path = folder / PICTURE
    path.write_text(text, encoding="utf-8")
    return path


def _columns(path: Path) -> dict[str, Points]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "step"] if rows else []
    return {name: [(float(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}


def _smoothed(points: Points) -> Points:
    blocks = [points[i : i + SMOOTH] for i in range(0, len(points), SMOOTH)]
    return [(block[-1][0], sum(y for _, y in block) / len(block)) for block in blocks]


def _panel(title: str, lines: dict[str, Points], top: float) -> str:
    whole = [point for points in lines.values() for point in points]
    (x_low, x_high), (y_low, y_high) = (_span([point[axis] for point in whole]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + WIDTH * (x - x_low) / (x_high - x_low), top + HEIGHT * (y_high - y) / (y_high - y_low)

    parts = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>']
    for i in range(5):
        y = y_low + (y_high - y_low) * i / 4
        x = x_low + (x_high - x_low) * i / 4
        (left, level), (across, _) = place(x_low, y), place(x, y_low)
        parts.append(f'<path d="M{left:.1f} {level:.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6:.1f}" y="{level + 4:.1f}" text-anchor="end">{y:.3g}</text>')
        parts.append(f'<text x="{across:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{x:.0f}</text>')
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        across, level = place(*points[-1])
        parts.append(
            f'<text x="{across + 6:.1f}" y="{level + 4:.1f}" fill="{colour}">{name} {points[-1][1]:.3g}</text>'
        )
    return "".join(parts)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
