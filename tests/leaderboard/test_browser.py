"""The page as a person uses it: sorted, filtered, hovered, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tspbench.leaderboard import add, build

pytestmark = pytest.mark.slow
HEAD = "task,protocol,system,value,unit,metric,metric_id,dialect,conditions,training_data,source,certainty"
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture
def built(board: Path, finished: Callable[..., Path]) -> Path:
    add(
        finished("evil", {"si_sdr": [float(i % 7) for i in range(40)]}, code__dirty=True),
        board,
        name=EVIL,
        allow_dirty=True,
    )
    add(finished("other", identity__task__name="zebra"), board)
    (board / "reported").mkdir()
    rows = [
        "AudioCaps,audiocaps:audiosep,Net one,8.22,dB,SDRi,snr_i,audiosep,text,,a paper,read in the paper",
        f"AudioCaps,unknown,{EVIL},9.66,dB,SDRi,,,,,a digest,weak",
        "ESC-50,unknown,Net two,-1.5,dB,SDRi,,,,,a digest,second-hand",
    ]
    (board / "reported" / "lass.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    build(board)
    return board


def labels(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        "#grid .tabulator-row [tabulator-field=label]", "cells => cells.map(cell => cell.textContent)"
    )


def test_the_table_opens_ranked_with_bounds_apart(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    shown = labels(page)
    assert set(shown[:2]) == {"good", "alike"}
    assert shown[2:] == [EVIL, "weak", "oracle", "mixture"]
    groups = page.locator("#grid .tabulator-group").all_text_contents()
    assert ["Systems" in groups[0], "Bounds" in groups[1]] == [True, True]
    assert page.locator("#grid .tie").all_text_contents()[0] == "a"


def test_a_click_on_a_column_sorts_inside_the_groups(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    header = page.locator("#grid .tabulator-col[tabulator-field=score-0] .tabulator-col-content")
    header.click()
    best_first = labels(page)
    assert set(best_first[:2]) == {"good", "alike"}
    header.click()
    assert labels(page) == [*reversed(best_first[:4]), "mixture", "oracle"]
    latency = page.locator("#grid .tabulator-col[tabulator-field='cost-latency_p50_s'] .tabulator-col-content")
    latency.click()
    assert labels(page)[:4] == ["weak", "alike", "good", EVIL]  # what was not measured stays last
    latency.click()
    assert labels(page)[:4] == ["good", "alike", "weak", EVIL]


def test_filters_leave_the_bounds(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    page.fill("#search", "WEAK")
    assert labels(page) == ["weak", "oracle", "mixture"]
    page.fill("#search", "")
    page.check("[data-hide=dirty]")
    assert EVIL not in labels(page)
    assert len(labels(page)) == 5
    page.fill("#search", "no such")
    assert labels(page) == ["oracle", "mixture"]
    assert page.locator("#intervals svg").count() == 1


def test_hovering_tells_the_interval_and_the_counts(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    page.locator("#grid .tabulator-row [tabulator-field=score-0]").first.hover()
    text = page.locator(".tabulator-tooltip").inner_text()
    assert "95 % interval" in text
    assert "40 scored of 40 applicable" in text
    assert "position between mixture (0)" in text


def test_plots_are_drawn_and_follow_what_is_chosen(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    assert page.locator("#cost svg circle").count() == 3
    assert "alike" in page.locator("#cost").text_content()
    page.locator("#cost-bar select").first.select_option("parameters")
    assert "parameters" in page.locator("#cost").text_content()
    assert page.locator("#strata svg rect").count() == 12
    page.locator("#measured select").first.select_option(label="zebra")
    assert labels(page) == ["other"]
    assert "profiled" in page.locator("#cost").inner_text()


def test_reported_numbers_stand_apart_and_can_be_searched(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    page.click("#tab-reported")
    assert page.locator("#measured").is_hidden()
    page.wait_for_selector("#list .tabulator-row")
    assert "3 of 3 numbers" in page.locator("#found").inner_text()
    groups = page.locator("#list .tabulator-group").all_text_contents()
    assert any("protocol unknown" in group for group in groups)
    page.fill("#find", "digest")
    assert "2 of 3 numbers" in page.locator("#found").inner_text()
    page.locator("#reported select").nth(2).select_option("weak")
    rows = page.locator("#list .tabulator-row:not(.tabulator-group)").all_text_contents()
    assert len(rows) == 1
    assert EVIL in rows[0]
    page.keyboard.press("Tab")
    page.focus("#tab-reported")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#measured").is_visible()


def test_markup_in_names_is_text(built: Path, visit: Callable[..., Any]) -> None:
    page = visit(built)
    page.on("dialog", lambda dialog: pytest.fail("a script ran"))
    page.click("#tab-reported")
    page.wait_for_selector("#list .tabulator-row")
    assert page.locator("img").count() == 0
    assert EVIL in page.locator("#list").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(built: Path, visit: Callable[..., Any], scheme: str) -> None:
    page = visit(built, 390, scheme)
    for tab in ("#tab-measured", "#tab-reported"):
        page.click(tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 251, 250)"
    assert light == (scheme == "light")
