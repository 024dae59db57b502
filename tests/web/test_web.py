"""Assets, escaping and the page's policy, as text; tests/report looks at them in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench import web

NASTY = "</script><script>alert(1)</script> <!-- \" ' & \u2028 \u2029 é 音 \ud800 \x00"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Scripts(HTMLParser):
    """The script elements of a page as an HTML parser sees them: (attributes, text)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[list[Any]] = []
        self.open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append([dict(attrs), ""])
            self.open = True

    def handle_endtag(self, tag: str) -> None:
        self.open = self.open and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.found[-1][1] += data


@given(JSON)
def test_data_in_a_page_comes_back_as_it_was(value: Any) -> None:
    [[attributes, text]] = Scripts(web.data_script("x", value)).found
    assert attributes == {"type": "application/json", "id": "data-x"}
    assert json.loads(text) == value


def test_no_text_ends_a_script() -> None:
    text = web.json_text({NASTY: [NASTY]})
    assert not set("<>&\u2028\u2029\ud800") & set(text)
    assert json.loads(text) == {NASTY: [NASTY]}
    text.encode("utf-8")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_what_json_has_no_number_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        web.data_script("x", value)


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "<", "a/b"])
def test_names_that_would_need_escaping_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name data"):
        web.data_file(name, 1)


def test_titles_are_text() -> None:
    page = web.page(NASTY.replace("\ud800", ""), "<p>body</p>")
    assert "<script>alert" not in page
    assert Scripts(page).found == []


def test_only_the_scripts_of_a_page_may_run() -> None:
    page = web.page("t", "<p></p>", inline=["tsp.a = 1 < 2;", "tsp.b = 2;"])
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "http" not in policy
    assert "'self'" in rules["script-src"]
    for _, text in Scripts(page).found:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules["script-src"]


@pytest.mark.parametrize("script", ["'</script>'", "'</SCRIPT '", "'<!--'"])
def test_an_inline_script_that_would_end_its_element_is_refused(script: str) -> None:
    with pytest.raises(ValueError, match="put it into a file"):
        web.page("t", "", inline=[script])


def test_vendored_files_are_those_that_were_published() -> None:
    listed = dict(re.findall(r"^\| `([^`]+)`.*`([0-9a-f]{64})` \|$", _vendor_readme(), re.MULTILINE))
    there = {path for path in web.ASSETS.values() if path.startswith("vendor/")}
    assert {f"vendor/{name}" for name in listed} == there
    for name, digest in listed.items():
        assert hashlib.sha256((web.HERE / "vendor" / name).read_bytes()).hexdigest() == digest


def test_assets_are_copied_with_their_licences(tmp_path: Path) -> None:
    web.copy_assets(tmp_path / "assets", *web.ASSETS)
    found = {path.name for path in (tmp_path / "assets").iterdir()}
    assert found == {*web.ASSETS, "LICENSE-d3.txt", "LICENSE-plot.txt", "LICENSE-tabulator.txt"}
    assert "Mike Bostock" in web.licence_text("d3.min.js")
    assert web.licence_text("theme.css") == ""


def test_an_unknown_asset_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"d3\.min\.js"):
        web.asset_text("d3.js")


def _vendor_readme() -> str:
    return (web.HERE / "vendor" / "README.md").read_text(encoding="utf-8")
