"""A training's learning curve as a picture, from its logs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tspbench.systems.training.trainer import LOSSES, VALIDATIONS

PICTURE = "curve.svg"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 720, 240, 60, 150, 30, 50
COLOURS = ("#1b6ca8", "#c0561c", "#2e7d32", "#7b3fa0")
SMOOTH = 50
LINE = 13
"""Between two names at the ends of lines, at least."""
Points = Sequence[tuple[float, float]]


def draw(folder: Path, titles: Mapping[str, str], log: str = VALIDATIONS) -> Path:
    """Draw ``curve.svg``: a panel for ``losses.csv``, and panels for the columns of the validations.

    Parameters
    ----------
    titles
        What the panels are called, by the ending of the columns that they hold; a
        column goes where the longest ending fits, so ``""`` takes all others.
    log
        The file of the validations in the folder; without it there are no such panels.
    """
    shown = [(f"loss, mean of {SMOOTH} steps", {"loss": _smoothed(_columns(folder / LOSSES).get("loss", ()))})]
    columns = _columns(folder / log) if (folder / log).exists() else {}
    for ending, title in titles.items():
        lines = {name: points for name, points in columns.items() if _ending(name, titles) == ending}
        shown += [(title, lines)] if lines else []
    panels = [_panel(title, lines, TOP + i * (HEIGHT + GAP)) for i, (title, lines) in enumerate(shown)]
    size = f"0 0 {LEFT + WIDTH + RIGHT} {TOP + len(panels) * (HEIGHT + GAP)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif" font-size="12">'
    path = folder / PICTURE
    path.write_text(f'{head}<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n', encoding="utf-8")
    return path


def _ending(name: str, endings: Iterable[str]) -> str | None:
    return max((ending for ending in endings if name.endswith(ending)), key=len, default=None)


def _columns(path: Path) -> dict[str, Points]:
    """By name: what was logged, by step; empty places are left out."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "step"] if rows else []
    return {name: [(float(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}


def _smoothed(points: Points) -> Points:
    blocks = [points[i : i + SMOOTH] for i in range(0, len(points), SMOOTH)]
    return [(block[-1][0], sum(y for _, y in block) / len(block)) for block in blocks]


def _panel(title: str, lines: dict[str, Points], top: float) -> str:
    drawn = {name: points for name, points in lines.items() if points}
    parts = [f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{title}</text>']
    if not drawn:
        return parts[0]
    whole = [point for points in drawn.values() for point in points]
    (left, right), (low, high) = (_span([point[axis] for point in whole]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + WIDTH * (x - left) / (right - left), top + HEIGHT * (high - y) / (high - low)

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = left + (right - left) * share, low + (high - low) * share
        across, level = place(x, y)
        parts.append(f'<path d="M{LEFT} {level:.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{level + 4:.1f}" text-anchor="end">{y:.3g}</text>')
        parts.append(f'<text x="{across:.1f}" y="{top + HEIGHT + 16}" text-anchor="middle">{x:.0f}</text>')
    named: list[float] = []
    for (name, points), colour in zip(drawn.items(), COLOURS, strict=False):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(*point) for point in points))
        across, level = place(*points[-1])
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        while any(abs(level - other) < LINE for other in named):
            level -= LINE
        named.append(level)
        parts.append(
            f'<text x="{across + 6:.1f}" y="{level + 4:.1f}" fill="{colour}">{name} {points[-1][1]:.3g}</text>'
        )
    return "".join(parts)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
