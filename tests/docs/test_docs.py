"""The pages in docs/ are run: what they show is what happens.

In a page, a ``python`` block is executed (all of a page in one namespace); an
``output`` block after it is what it printed. In a ``console`` block, lines that
start with ``$ `` are run and the others are lines of what they print, in order,
``…`` standing for anything. A comment before a block says more::

    <!-- file: halve.py -->      the block is written to this file instead
    <!-- exit: 1 -->             the exit code that is expected
    <!-- needs: torch -->        passed over where this package is not installed
    <!-- slow: yes -->           run with ``-m slow`` only
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tspbench.metrics import known_metrics, resolve

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"((?:^<!-- .*? -->\n)?)^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = ("python", "console", "output")
SHELL = 'tspbench() { "$PYTHON" -m tspbench "$@"; }; pip() { "$PYTHON" -m pip "$@"; }; python() { "$PYTHON" "$@"; }; '


@dataclass(frozen=True)
class Block:
    where: str
    language: str
    text: str
    notes: dict[str, str]

    @property
    def lacking(self) -> list[str]:
        needs = filter(None, self.notes.get("needs", "").split(", "))
        return [name for name in needs if importlib.util.find_spec(name) is None]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        notes = dict(part.split(": ", 1) for part in match[1].strip("<>-! \n").split("; ") if part)
        yield Block(f"{page.name}, line {line}", match[2], match[3], notes)


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["quick", "whole"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for block in blocks(page):
        if block.lacking or ("slow" in block.notes and not slow):
            continue
        if "file" in block.notes:
            path = tmp_path / block.notes["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            printed = run_python(block, namespace)
        elif block.language == "output":
            compare(block.where, block.text.splitlines(), printed)
        elif block.language == "console":
            run_console(block, tmp_path)


def run_python(block: Block, namespace: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.text, block.where, "exec"), namespace)
    return out.getvalue()


def run_console(block: Block, folder: Path) -> None:
    for command, expected in commands(block.text):
        done = subprocess.run(
            ["bash", "-c", SHELL + command],
            cwd=folder,
            env=environment(folder),
            capture_output=True,
            text=True,
            check=False,
        )
        shown = f"{done.stdout}\n{done.stderr}"
        assert done.returncode == int(block.notes.get("exit", "0")), f"{block.where}: {command}\n{shown}"
        compare(f"{block.where}: {command}", expected, shown)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Every command of a console block with the lines that it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def environment(folder: Path) -> dict[str, str]:
    """Packages that a page installs go into a folder of its own, from this machine alone."""
    site = str(folder / "site")
    pip = {"PIP_TARGET": site, "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_QUIET": "1"}
    return {**os.environ, **pip, "PYTHON": sys.executable, "PYTHONPATH": site, "COLUMNS": "160"}


def compare(where: str, expected: list[str], shown: str) -> None:
    """Every expected line is among those shown, in order; spaces do not count."""
    rest = iter([" ".join(line.split()) for line in shown.splitlines()])
    for line in expected:
        pattern = ".*".join(re.escape(part) for part in " ".join(line.split()).split("…"))
        assert any(re.fullmatch(pattern, one) for one in rest), f"{where}: not printed: {line}\n{shown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_run_or_a_file(page: Path) -> None:
    idle = [block.where for block in blocks(page) if block.language not in RUNNABLE and "file" not in block.notes]
    assert not idle
    assert len(list(blocks(page))) * 2 == page.read_text(encoding="utf-8").count("\n```")


def test_compare_finds_what_is_wrong() -> None:
    compare("page", ["a … c", "d"], "a  b  c\nx\nd\n")
    with pytest.raises(AssertionError, match="not printed: d"):
        compare("page", ["d", "a b"], "a b\nc\n")


def test_metrics_page_has_every_metric_and_its_penalty() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|.*\| (\S+) \| (-?\d\S*|–) \|$", page, re.MULTILINE)
    said = {name: penalties for names, *penalties in rows for name in re.findall(r"`(.+?)`", names)}
    declared = {name: metric for name, metric in known_metrics().items() if metric.improvement_of is None}
    assert set(said) == set(declared)
    for name, metric in declared.items():
        base, _, rest = name.partition("[")
        gain = resolve(f"{base}_i[{rest}" if rest else f"{base}_i").penalty if metric.improves else None
        assert [None if cell == "–" else float(cell) for cell in said[name]] == [metric.penalty, gain], name


def test_same_name_page_holds_the_numbers() -> None:
    pytest.importorskip("torchmetrics")
    spec = importlib.util.spec_from_file_location("same_name", DOCS / "same_name.py")
    assert spec is not None
    assert spec.loader is not None
    same_name = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(same_name)
    page = (DOCS / "same-name.md").read_text(encoding="utf-8").splitlines()
    assert set(same_name.labels()) <= set(page)
    for row in same_name.numbers():
        said = next(line for line in page if line.split("|")[1:2] == row.split("|")[1:2])
        for cell, now in zip(re.split(r"[|/]", said), re.split(r"[|/]", row), strict=True):
            assert cell.strip() == now.strip() or float(cell) == pytest.approx(float(now), abs=0.02), (said, row)
