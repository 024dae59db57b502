"""Runs to report on, and a browser to look at reports with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tspbench

NASTY = "</script><script>window.broken = 1</script><img src=x onerror='window.broken=1'> \" & \u2028 <b>caption"


@pytest.fixture
def nasty() -> str:
    """A caption that tries to get out."""
    return NASTY


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves its runs for the others."""
    return tmp_path_factory.mktemp("made") / "all"


@pytest.fixture
def lass_runs(tiny: Callable[..., Path], tmp_path: Path, made_once: Path) -> list[Path]:
    """Three finished runs of ten noise mixtures, their estimates kept; ``t1`` has the nasty caption."""
    systems = ["mixture", "oracle-irm", "silence"]
    if not made_once.exists():
        manifest = tiny(10)
        head, *rows = manifest.read_text(encoding="utf-8").splitlines()
        rows[1] = json.dumps(json.loads(rows[1]) | {"query": {"text": NASTY}})
        manifest.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
        tspbench.run(systems, manifest, out=tmp_path / "runs", workers=1, save_audio="all")
        shutil.copytree(tmp_path, made_once)
    else:
        shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return [tmp_path / "runs" / system for system in systems]


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a report's page; at the end no error was logged and no request left the machine."""
    troubles: list[str] = []
    pages = []

    def open_page(path: Path, address: str = "", width: int = 1300, height: int = 900, scheme: str = "light") -> Any:
        page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("console", lambda m: troubles.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "requestfailed",
            lambda request: troubles.append(f"failed: {request.url}") if _is_file(request.url) else None,
        )
        page.on("request", lambda request: troubles.append(request.url) if _leaves(request.url) else None)
        page.goto(f"{path.resolve().as_uri()}{address}")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def _is_file(url: str) -> bool:
    return url.startswith("file:")  # a media element may break off the reading of a blob as it likes


def _leaves(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))
