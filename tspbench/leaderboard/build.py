"""``leaderboard build``: results and published numbers become pages; the same input gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tspbench import sealed
from tspbench.errors import TspbenchError, UsageError
from tspbench.leaderboard.add import place, read_cards, result_files
from tspbench.leaderboard.cells import grouped
from tspbench.leaderboard.overlap import read_relations
from tspbench.leaderboard.page import ASSETS, asset_source, index_page, write_assets
from tspbench.leaderboard.reported import read_reported
from tspbench.leaderboard.tables import Context, Table, table_of
from tspbench.leaderboard.write import csv_text, json_text, markdown, reported_json, reported_markdown
from tspbench.sealed import Sealed

LIST = "built.json"


@dataclass(frozen=True)
class Built:
    """What a build made, or would have changed: names of files below the root."""

    tables: int
    reported: int
    changed: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def current(self) -> bool:
        return not (self.changed or self.stale)


def build(root: Path, *, check: bool = False) -> Built:
    """Write every page of a leaderboard; with ``check`` only say which are not up to date.

    Raises
    ------
    UsageError
        There is nothing to build from, or an input breaks the rules.
    """
    tables = read_tables(root)
    reported = read_reported(root)
    if not tables and not reported:
        raise UsageError(
            f"{root} holds no results/ and no reported/. Add a run: tspbench leaderboard add RUN --root {root}"
        )
    files = _files(tables, {name: [row.as_dict() for row in rows] for name, rows in reported.items()})
    changed = tuple(name for name, text in files.items() if _content(root / name) != text)
    stale = tuple(name for name in _listed(root) if name not in files and (root / name).exists())
    if not check:
        for name in changed:
            (root / name).write_text(files[name], encoding="utf-8", errors="backslashreplace", newline="\n")
        for name in stale:
            (root / name).unlink()
        write_assets(root)
    else:
        changed += tuple(f"assets/{name}" for name in ASSETS if _content(root / "assets" / name) != asset_source(name))
    return Built(len(tables), sum(map(len, reported.values())), changed, stale)


def read_tables(root: Path) -> list[Table]:
    """The tables of all results below a root."""
    context = Context(read_cards(root), read_relations(root))
    return [table_of(group, context) for group in grouped(_read(root, path) for path in result_files(root))]


def _read(root: Path, path: Path) -> Sealed:
    try:
        result = sealed.read(path)
    except TspbenchError as error:
        raise UsageError(f"{error} Take it off the board, or add its run again.") from error
    if place(root, result) != path:
        raise UsageError(f"{path} holds {result.label!r}, which belongs into {place(root, result)}.")
    return result


def _files(tables: list[Table], reported: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    files = {"index.html": index_page(tables, reported)}
    for table in tables:
        files[f"{table['slug']}.md"] = markdown(table)
        files[f"{table['slug']}.csv"] = csv_text(table)
        files[f"{table['slug']}.json"] = json_text(table)
    for name, rows in reported.items():
        files[f"reported-{name}.md"] = reported_markdown(name, rows)
        files[f"reported-{name}.json"] = reported_json(rows)
    files[LIST] = json.dumps(sorted([*files, LIST]), indent=1) + "\n"
    return files


def _content(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _listed(root: Path) -> list[str]:
    """What the last build made; only plain names are believed, so nothing outside the root is ever removed."""
    try:
        names = json.loads((root / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name and name != LIST]
