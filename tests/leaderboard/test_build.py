"""The pages: equal input gives equal bytes, ``--check`` finds what is not up to date, text stays text."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.errors import UsageError
from tspbench.leaderboard import add, build
from tspbench.leaderboard.write import csv_text, number, plain

Finished = Callable[..., Path]
BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"
WILD = "<script>alert(1)</script>|`x`*_[a](b) &lt; =1+1 \u2028 </script>"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_rebuild_changes_no_byte_and_check_agrees(board: Path) -> None:
    assert not build(board, check=True).current
    first = build(board)
    before = contents(board)
    assert {"index.html", "small.md", "small.csv", "small.json", "built.json"} <= set(first.changed)
    assert build(board).current
    assert contents(board) == before
    assert build(board, check=True).current


def test_check_writes_nothing_and_names_what_differs(board: Path, finished: Finished) -> None:
    build(board)
    add(finished("late", {"si_sdr": [1.0] * 40}), board)
    before = contents(board)
    built = build(board, check=True)
    assert set(built.changed) == {"index.html", "small.md", "small.csv", "small.json"}
    assert contents(board) == before
    (board / "assets" / "leaderboard.js").write_text("changed")
    assert "assets/leaderboard.js" in build(board, check=True).changed


def test_pages_that_are_no_longer_built_go_and_foreign_files_stay(board: Path, finished: Finished) -> None:
    add(finished("other", identity__task__name="passing"), board)
    (board / "notes.md").write_text("mine")
    build(board)
    assert (board / "passing.md").exists()
    (board / "results" / "passing" / "other.json").unlink()
    assert build(board, check=True).stale == ("passing.csv", "passing.json", "passing.md")
    build(board)
    assert not (board / "passing.md").exists()
    assert (board / "notes.md").read_text() == "mine"


def test_a_list_of_built_files_that_points_elsewhere_removes_nothing(board: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (board / "built.json").write_text('["../precious.txt", "/etc/hostname", 7]')
    build(board)
    assert (tmp_path / "precious.txt").exists()


def test_a_result_that_lies_in_the_wrong_place_or_is_damaged_is_named(board: Path) -> None:
    path = board / "results" / "small" / "good.json"
    path.rename(path.with_name("better.json"))
    with pytest.raises(UsageError, match=r"better\.json holds 'good', which belongs into"):
        build(board)
    path.with_name("better.json").write_text("{}")
    with pytest.raises(UsageError, match=r"better\.json is no sealed result"):
        build(board)


def test_an_empty_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no results/ and no reported/"):
        build(tmp_path)


def test_a_system_named_like_markup_stays_text_everywhere(root: Path, finished: Finished) -> None:
    name = WILD.replace("\u2028", " ")
    add(finished("mine"), root, name=name)
    build(root)
    page = (root / "index.html").read_text()
    assert "<script>alert" not in page
    held = re.search(r'<script type="application/json" id="data-tables">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    assert json.loads(held[1])[0]["rows"][0]["label"] == name
    assert "<script" not in (root / "small.md").read_text()
    assert json.loads((root / "small.json").read_text())["rows"][0]["label"] == name
    assert next(csv.DictReader(io.StringIO((root / "small.csv").read_text())))["system"] == name


def shown(markdown: str) -> str:
    """What a reader of Markdown sees of a run of escaped text."""
    return html.unescape(re.sub(r"\\([\\`*_\[\]|~$&])", lambda match: f"&#{ord(match[1])};", markdown))


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=40))
def test_escaped_text_reads_as_it_was(text: str) -> None:
    escaped = plain(text)
    assert shown(escaped) == " ".join(text.split())
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", escaped)
    assert "<" not in escaped


def test_a_formula_is_quoted_for_spreadsheets(root: Path, finished: Finished) -> None:
    add(finished("mine"), root, name="=cmd")
    build(root)
    assert next(csv.DictReader((root / "small.csv").open()))["system"] == "'=cmd"


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0001, "0.000"), (0.0, "0.00"), (12.345, "12.35"), (-1.0, "-1.00"), (0.0504, "0.050")]
)
def test_numbers_have_no_negative_zero(value: float, text: str) -> None:
    assert number(value) == text


def test_the_csv_holds_the_figures_of_the_json(board: Path) -> None:
    build(board)
    table = json.loads((board / "small.json").read_text())
    rows = list(csv.DictReader((board / "small.csv").open()))
    assert csv_text(table) == (board / "small.csv").read_text()
    assert len(rows) == 5
    for line, row in zip(rows, table["rows"], strict=True):
        cell = row["cells"]["si_sdr"]
        assert (line["system"], float(line["penalised_mean"]), float(line["low"])) == (
            row["label"],
            cell["penalised_mean"],
            cell["low"],
        )


def test_measured_and_reported_stand_in_different_files(board: Path) -> None:
    (board / "reported").mkdir()
    head = "task,protocol,system,value,unit,metric,metric_id,dialect,conditions,training_data,source,certainty"
    (board / "reported" / "lass.csv").write_text(f"{head}\nsmall,unknown,published one,77.7,dB,SDR,,,,,a paper,weak\n")
    build(board)
    assert "published one" not in (board / "small.md").read_text()
    text = (board / "reported-lass.md").read_text()
    assert "| published one | 77.7 | – | – | a paper | weak |" in text
    assert "good" not in text


def test_the_boards_of_the_repository_are_up_to_date() -> None:
    built = build(BOARDS, check=True)
    assert built.current, f"tspbench leaderboard build; differs: {built.changed}, no longer built: {built.stale}"
    assert {path.name for path in (BOARDS / "results").iterdir()} >= {"lass-demo", "tse-demo", "tsasr-demo"}


def test_the_boards_of_the_repository_tell_nothing_of_the_machine_but_its_processor() -> None:
    told = re.compile(r"/(?:home|root|tmp|work|Users|mnt|var|opt)/|\b[A-Z]:\\|Linux-|macOS-")
    built = [*BOARDS.glob("*.json"), *BOARDS.glob("*.md"), *BOARDS.glob("*.csv"), BOARDS / "index.html"]
    for path in [*built, *(BOARDS / "results").rglob("*.json")]:
        assert told.search(path.read_text(encoding="utf-8")) is None, path
