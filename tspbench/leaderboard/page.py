"""``index.html``: every table and every published number on one page that works from ``file://``."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tspbench.leaderboard.tables import Table
from tspbench.web import asset_text, copy_assets, data_script, page

SHARED = ("theme.css", "ui.js", "tabulator.min.js", "tabulator.min.css", "d3.min.js", "plot.umd.min.js")
OWN = ("leaderboard.js", "leaderboard.css")
ASSETS = (*SHARED, *OWN)
STYLES = ("tabulator.min.css", "theme.css", "leaderboard.css")
SCRIPTS = ("d3.min.js", "plot.umd.min.js", "tabulator.min.js", "ui.js", "leaderboard.js")

BODY = """<header class="wrap"><h1>tspbench leaderboards</h1>
<p class="soft">What was measured here and what was reported elsewhere never stand in one table.</p>
<nav role="tablist" aria-label="Origin of the numbers" class="tabs">
<button role="tab" id="tab-measured" aria-controls="measured">Measured here</button>
<button role="tab" id="tab-reported" aria-controls="reported">As reported</button>
</nav></header>
<main class="wrap">
<section id="measured" role="tabpanel" aria-labelledby="tab-measured"></section>
<section id="reported" role="tabpanel" aria-labelledby="tab-reported" hidden></section>
</main>
<noscript><p class="wrap">This page needs JavaScript.
The same tables are in the .md, .csv and .json files beside it.</p></noscript>
"""


def index_page(tables: Sequence[Table], reported: Mapping[str, Sequence[Mapping[str, str]]]) -> str:
    """The page; its libraries are beside it in ``assets/``."""
    head = "\n".join(f'<link rel="stylesheet" href="assets/{name}">' for name in STYLES)
    scripts = "\n".join(f'<script src="assets/{name}"></script>' for name in SCRIPTS)
    rows = [{"kind": kind, **row, "value": float(row["value"])} for kind, found in reported.items() for row in found]
    data = data_script("tables", list(tables)) + "\n" + data_script("reported", rows)
    return page("tspbench leaderboards", f"{BODY}{data}\n{scripts}", head)


def write_assets(root: Path) -> None:
    """Put libraries, styles and the page's own script into ``root/assets``."""
    copy_assets(root / "assets", *SHARED)
    for name in OWN:
        shutil.copyfile(Path(__file__).parent / name, root / "assets" / name)


def asset_source(name: str) -> str:
    """What an asset must hold."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8") if name in OWN else asset_text(name)
