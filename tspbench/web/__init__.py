"""What the HTML pages share: vendored libraries, the theme, and the one way to put data into a page.

Pages are opened from ``file://``. Nothing they do sends a request: their
content security policy forbids it, and forbids every script that did not come
with the page.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tspbench.errors import nearest

HERE = Path(__file__).parent
ASSETS = {
    "theme.css": "theme.css",
    "ui.js": "ui.js",
    "tabulator.min.js": "vendor/tabulator/tabulator.min.js",
    "tabulator.min.css": "vendor/tabulator/tabulator.min.css",
    "d3.min.js": "vendor/d3/d3.min.js",
    "plot.umd.min.js": "vendor/plot/plot.umd.min.js",
}
"""Asset names and where they lie; ``vendor/README.md`` says which versions they are."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPES = str.maketrans({**_IN_SCRIPT, **{chr(code): f"\\u{code:04x}" for code in range(0xD800, 0xE000)}})


def copy_assets(folder: Path, *names: str) -> None:
    """Put assets into a folder, each library's licence beside it as ``LICENSE-<library>.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = _located(name)
        shutil.copyfile(source, folder / name)
        licence = source.parent / "LICENSE"
        if licence.exists():
            shutil.copyfile(licence, folder / f"LICENSE-{source.parent.name}.txt")


def asset_text(name: str) -> str:
    """The text of an asset, for pages that are one file; name licences there with :func:`licence_text`."""
    return _located(name).read_text(encoding="utf-8")


def licence_text(name: str) -> str:
    """The licence that an asset came with; empty for our own."""
    path = _located(name).parent / "LICENSE"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def page(title: str, body: str, head: str = "", *, inline: Sequence[str] = ()) -> str:
    """A whole HTML page.

    Parameters
    ----------
    title
        Any text; escaped here.
    body, head
        HTML, whose texts the caller has escaped (:func:`html.escape`). Scripts in
        them must be files (``<script src>``); a ``<script>`` with code in it will not run.
    inline
        Scripts to put into the page, after ``body``. Only these may run besides files.

    Raises
    ------
    ValueError
        An inline script holds ``</script`` or ``<!--``, which would end or change it.
    """
    for script in inline:
        if re.search(r"</script|<!--", script, re.IGNORECASE):
            raise ValueError("An inline script holds </script or <!--; put it into a file.")
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in inline)
    scripts = "\n".join(f"<script>{script}</script>" for script in inline)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(hashes)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
{head}
</head>
<body>
{body}
{scripts}
</body>
</html>
"""


def data_script(name: str, value: Any) -> str:
    """A value as an element that does not run; ``tsp.data(name)`` of ``ui.js`` reads it.

    Raises
    ------
    ValueError
        The value holds NaN or infinity, or the name is not made of ``A-Z a-z 0-9 _ -``.
    """
    _check(name)
    return f'<script type="application/json" id="data-{name}">{json_text(value)}</script>'


def data_file(name: str, value: Any) -> str:
    """A value as the text of a ``.js`` file; ``tsp.load(path, name)`` of ``ui.js`` reads it.

    ``fetch`` is not allowed on ``file://``; a script file is.
    """
    _check(name)
    return f'tsp.put("{name}", {json_text(value)});\n'


def json_text(value: Any) -> str:
    """JSON that may stand inside any script element; ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPES)


def _located(name: str) -> Path:
    if name not in ASSETS:
        raise ValueError(f"There is no asset {name!r}. {nearest(name, ASSETS)}")
    return HERE / ASSETS[name]


def _policy(hashes: str) -> str:
    local = "'self' file:"
    return (
        f"default-src 'none'; script-src {local} {hashes}; style-src {local} 'unsafe-inline'; "
        f"img-src {local} data: blob:; media-src {local} data: blob:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name data: use letters, digits, _ and -.")
