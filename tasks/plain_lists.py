"""Lists without a header: lines of fields between blanks, and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tspbench.prepared.material import ListError

Row = tuple[int, tuple[str, ...]]
"""Line number and fields."""


def read_fields(path: Path, width: int, form: str) -> list[Row]:
    """The lines of a list, each of ``width`` fields; ``form`` shows a line to whoever got it wrong.

    Raises
    ------
    ListError
        The file cannot be read, is empty, or has lines of another width.
    """
    rows = [(number, tuple(line.split())) for number, line in _lines(path)]
    wrong = [f"line {number} has {len(fields)} field(s)" for number, fields in rows if len(fields) != width]
    refuse(path, wrong, f"line(s) without the {width} fields of a list such as: {form}")
    return rows


def read_json_lines(path: Path, names: Sequence[str]) -> list[Row]:
    """The named texts of every line, in the names' order; ListError as :func:`read_fields`."""
    rows, wrong = [], []
    for number, line in _lines(path):
        try:
            held: Any = json.loads(line)
        except ValueError:
            held = None
        texts = tuple(held.get(name) for name in names) if isinstance(held, dict) else ()
        if texts and all(isinstance(text, str) and text.strip() for text in texts):
            rows.append((number, texts))
        else:
            wrong.append(f"line {number}")
    refuse(path, wrong, f"line(s) that are no JSON object with {', '.join(names)}")
    return rows


def refuse(path: Path, wrong: Sequence[str], what: str) -> None:
    """ListError with the count and the first three, where there are any."""
    if wrong:
        more = ", …" if len(wrong) > 3 else ""
        raise ListError(f"{path.name}: {len(wrong):,} {what}: {', '.join(wrong[:3])}{more}.")


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListError(f"{path.name} is not text in UTF-8.") from error
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}.") from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise ListError(f"{path.name} is empty.")
    return lines
