"""A report in a browser, used as a person would: by mouse, by keyboard, on a phone, with 5,000 trials."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tspbench
from tspbench.report import build
from tspbench.store import read_lines, write_json

pytestmark = pytest.mark.slow
Visit = Callable[..., Any]
OPEN = ".trial .conditions"
PLAYER = "tsp.listen.trial.player"


@pytest.fixture
def report(lass_runs: list[Path], tmp_path: Path) -> Path:
    return build(lass_runs, tmp_path / "report", task=str(tmp_path / "tiny" / "manifest.jsonl"), listen="all").page


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """Words, and waveforms of two systems."""
    for system in ("recogniser", "recogniser-clean"):
        tspbench.run(system, "tsasr-demo", limit=2, out=tmp_path / system, metrics=["wer"], workers=1)
    return build([tmp_path / "recogniser", tmp_path / "recogniser-clean"], tmp_path / "report").page


def until(page: Any, condition: str) -> None:
    """Wait for a condition; the page's policy forbids Playwright's own way, which evaluates texts in the page."""
    for _ in range(400):
        if page.evaluate(f"Boolean({condition})"):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never came true: {condition}")


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"#trial-table .tabulator-row .tabulator-cell:nth-child({number})").all_inner_texts()


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in texts if text != "–"]


def test_the_summary_sorts_and_shows_every_number(report: Path, visit: Visit) -> None:
    page = visit(report)
    rows = page.locator("#summary-table .tabulator-row")
    rows.first.wait_for()
    shown = page.locator("#summary-table").inner_text()
    run = tspbench.load_run(report.parents[1] / "runs" / "oracle-irm").summary["metrics"]["si_sdr"]
    assert f"{run['mean']:.2f}" in shown
    assert f"±{(run['interval']['high'] - run['interval']['low']) / 2:.2f}" in shown
    page.locator("#summary-table .tabulator-col", has_text="si_sdr dB").click()
    assert "oracle-irm" in rows.first.inner_text()
    assert page.locator("#overview figure svg").count() >= 3


def test_a_point_of_the_scatter_opens_its_trial(report: Path, visit: Visit) -> None:
    page = visit(report)
    page.locator(".clickable circle").first.wait_for()
    page.locator(".clickable circle").nth(4).scroll_into_view_if_needed()
    box = page.locator(".clickable circle").nth(4).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.up()
    page.locator(OPEN).wait_for()
    assert page.evaluate("location.hash") == "#trial=t4"


def test_the_list_is_ordered_searched_and_filtered(report: Path, visit: Visit) -> None:
    page = visit(report, "#listen")
    page.locator(OPEN).wait_for()
    page.locator("label", has_text="Of").locator("select").select_option("oracle-irm")
    values = numbers(column(page, 3))
    assert values == sorted(values)
    assert len(values) == 10
    page.locator("label", has_text="Order").locator("select").select_option("best")
    until(page, "tsp.listen.order === 'best'")
    values = numbers(column(page, 3))
    assert values == sorted(values, reverse=True)
    page.keyboard.press("Escape")
    page.locator("input[type=search]").fill("t7")
    page.locator("#shown-count", has_text="1 of 10").wait_for()
    page.locator("input[type=search]").fill("")
    page.locator("details.filters summary").click()
    page.locator("label", has_text="parity").locator("select").select_option(label="even")
    page.locator("#shown-count", has_text="5 of 10").wait_for()
    assert {text[-2:] for text in column(page, 1)} == {"t0", "t2", "t4", "t6", "t8"}


def test_playing_moves_on_and_switching_keeps_the_position(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    page.keyboard.press(" ")
    until(page, f"{PLAYER}.playing && {PLAYER}.position > 0.05")
    before, after = page.evaluate(f"(() => {{ const a = {PLAYER}.position; {PLAYER}.select('e:oracle-irm');"
                                  f" return [a, {PLAYER}.position]; }})()")  # fmt: skip
    assert before == pytest.approx(after, abs=0.02)
    sources = page.evaluate(f"[...{PLAYER}.tracks.values()].every((track) => track.source)")
    assert sources
    page.keyboard.press("3")
    assert page.evaluate(f"{PLAYER}.current") == "e:oracle-irm"
    assert page.locator('.signal[aria-pressed="true"]').inner_text().startswith("3")
    page.wait_for_timeout(60)
    gains = page.evaluate(f"[...{PLAYER}.tracks].map(([key, track]) => [key, track.gain.gain.value])")
    assert {key for key, gain in gains if gain > 0.5} == {"e:oracle-irm"}
    page.keyboard.press(" ")
    paused = page.evaluate(f"{PLAYER}.position")
    page.wait_for_timeout(60)
    assert page.evaluate(f"{PLAYER}.position") == paused
    page.keyboard.press("1")
    assert page.evaluate(f"{PLAYER}.position") == paused
    page.keyboard.press("ArrowDown")
    until(page, "tsp.listen.trial.id !== 't3' && tsp.listen.trial.player")


def test_a_query_plays_by_itself(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    page.evaluate(f"{PLAYER}.play()")
    audio = page.locator("audio").first
    audio.evaluate("(element) => { element.muted = true; return element.play(); }")
    until(page, "document.querySelector('audio').currentTime > 0.02")
    assert not page.evaluate(f"{PLAYER}.playing")


def test_the_residual_is_the_mixture_less_the_estimate(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    page.locator("#residuals").click()
    page.locator(".signal", has_text="Mixture − oracle-irm").click()
    tracks = page.evaluate(f"Object.fromEntries([...{PLAYER}.tracks].map(([key, t]) => [key, [...t.samples]]))")
    mixture, estimate, residual = (np.array(tracks[key]) for key in ("mixture", "e:oracle-irm", "r:oracle-irm"))
    np.testing.assert_allclose(residual, mixture - estimate, atol=1e-6)
    assert page.evaluate(f"{PLAYER}.current") == "r:oracle-irm"
    task = tspbench.task.load_task(str(report.parents[1] / "tiny" / "manifest.jsonl"))
    np.testing.assert_allclose(mixture, task.stage.render(task.trial("t3")).mixture, atol=3e-5)


def test_residuals_stay_on_where_a_trial_has_none(lass_runs: list[Path], tmp_path: Path, visit: Visit) -> None:
    page = visit(build(lass_runs, tmp_path / "report", listen="all").page, "#listen")  # no task: estimates only
    page.locator(OPEN).wait_for()
    page.keyboard.press("r")
    assert page.locator(".signal").count() == 3
    page.keyboard.press("ArrowDown")
    until(page, "tsp.listen.trial.place === tsp.listen.current[1] && tsp.listen.trial.rowByKey")


def test_trials_may_be_passed_over_quickly(report: Path, visit: Visit) -> None:
    page = visit(report, "#listen")
    page.locator(OPEN).wait_for()
    page.keyboard.press("r")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(40)
    until(page, "tsp.listen.trial.place === tsp.listen.current[9] && tsp.listen.trial.rowByKey")
    assert page.locator("#residuals").get_attribute("aria-pressed") == "true"


def test_spectrograms_show_a_tone_where_it_is(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    found = page.evaluate("""() => {
        const rate = 16000, tone = Float32Array.from({length: rate}, (_, i) => Math.sin(2 * Math.PI * 1000 * i / rate));
        const levels = tsp.spectrogram.compute(tone, rate, 10), rows = tsp.spectrogram.ROWS;
        const middle = [...levels.slice(5 * rows, 6 * rows)];
        const row = middle.indexOf(Math.max(...middle));
        return [middle[row], (row + 0.5) / rows, 1 - tsp.spectrogram.heightOf(1000, rate), Math.min(...middle)];
    }""")
    level, place, expected, floor = found
    assert level == pytest.approx(0, abs=0.5)  # a full-scale sine
    assert place == pytest.approx(expected, abs=1.5 / 96)
    assert floor < -60
    painted = page.locator(".lane canvas").nth(1).evaluate(
        "(c) => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size")  # fmt: skip
    assert painted > 50


def test_blind_votes_hide_names_and_are_kept(report: Path, visit: Visit, tmp_path: Path) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    page.locator("#blind").click()
    names = page.locator(".track .name").all_inner_texts()
    assert names == ["Mixture", "Target", "A", "B"]
    assert "oracle" not in page.locator("article.trial").inner_text()
    shown = page.evaluate("tsp.listen.blind.order")
    page.locator('button[data-vote="B"]').click()
    until(page, "tsp.listen.trial.id !== 't3' && tsp.listen.trial.player && tsp.listen.blind.votes.length === 1")
    page.locator('button[data-vote="A"]').wait_for()
    page.get_by_role("button", name="No difference").click()
    until(page, "tsp.listen.blind.votes.length === 2")
    page.locator("#reveal").click()
    assert "oracle-irm" in page.locator("#tally").inner_text()
    with page.expect_download() as download:
        page.locator("#votes-csv").click()
    download.value.save_as(tmp_path / "votes.csv")
    rows = list(csv.DictReader((tmp_path / "votes.csv").open(encoding="utf-8", newline="")))
    assert rows[0]["trial_id"] == "t3"
    assert (rows[0]["choice"], rows[0]["system"]) == ("B", shown[1])
    assert rows[1]["system"] == "no difference"
    page.reload()
    page.locator(OPEN).wait_for()
    assert page.evaluate("tsp.listen.blind.votes.length") == 2


def test_captions_stay_text(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t1")
    page.locator(OPEN).wait_for()
    assert "<script>window.broken = 1</script>" in page.locator("#trial-h").inner_text()
    assert "<b>caption" in page.locator("#trial-table").inner_text()
    assert page.evaluate("window.broken") is None
    assert page.locator("#trial-h img, #trial-table img").count() == 0


def test_words_are_marked(speech: Path, visit: Visit) -> None:
    page = visit(speech, "#listen")
    page.locator(OPEN).wait_for()
    trial = page.evaluate("tsp.listen.trial.id")
    counts = next(row["counts"] for row in read_lines(speech.parents[1] / "recogniser" / "scores.jsonl")
                  if row["trial_id"] == trial)  # fmt: skip
    answer = page.locator(".answer").first
    for name, parts in (("substituted", "substitutions"), ("deleted", "deletions"), ("inserted", "insertions")):
        assert answer.locator(f".{name}").count() == counts[parts]
    assert counts["errors"] > 0
    assert f"{counts['total']} words" in answer.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["#overview", "#listen"])
def test_a_phone_needs_no_sideways_scrolling(report: Path, visit: Visit, address: str, scheme: str) -> None:
    page = visit(report, address, width=390, height=844, scheme=scheme)
    page.locator("#summary-table .tabulator-row" if address == "#overview" else OPEN).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_keyboard_reaches_everything_and_focus_shows(report: Path, visit: Visit) -> None:
    page = visit(report, "#trial=t3")
    page.locator(OPEN).wait_for()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("""(() => { const e = document.activeElement, s = getComputedStyle(e);
            return [e.tagName, (e.getAttribute("aria-label") || e.innerText || "").trim(), s.outlineStyle]; })()""")
        )
    texts = " | ".join(text for _, text, _ in reached)
    for wanted in ("Overview", "Play", "Residuals", "Blind test", "Mixture", "oracle-irm"):
        assert wanted in texts
    outlines = {style for tag, _, style in reached if tag in ("BUTTON", "A", "SELECT")}
    assert outlines <= {"solid", "auto"}
    unnamed = page.locator("button, select, input, audio, a").evaluate_all(
        "(all) => all.filter((e) => !(e.ariaLabel || e.innerText || e.labels?.length)).length"
    )
    assert unnamed == 0


@pytest.fixture
def many(lass_runs: list[Path], tmp_path: Path) -> Path:
    """The same runs with 5,000 trials, as far as a report can tell."""
    rng = random.Random(0)
    for run in lass_runs:
        trials, scores = (list(read_lines(run / f"{name}.jsonl")) for name in ("trials", "scores"))
        with (run / "trials.jsonl").open("w") as lines, (run / "scores.jsonl").open("w") as more:
            for i in range(5000):
                lines.write(json.dumps(trials[i % 10] | {"trial_id": f"n{i:04d}", "status": "ok"}) + "\n")
                for row in scores[:3]:
                    value = None if row["value"] is None else rng.gauss(0, 5)
                    more.write(json.dumps(row | {"trial_id": f"n{i:04d}", "value": value}) + "\n")
        record = json.loads((run / "run.json").read_text())
        record["identity"]["task"] |= {"trials": 5000}
        write_json(run / "run.json", record)
        (run / "summary.json").unlink()
        for i in range(40):
            shutil.copyfile(run / "audio" / f"t{i % 10}.wav", run / "audio" / f"n{i:04d}.wav")
    return build(lass_runs, tmp_path / "report").page


def test_five_thousand_trials(many: Path, visit: Visit) -> None:
    page = visit(many)
    page.locator("#overview figure svg").first.wait_for()
    page.locator("[data-view=listen]").click()
    page.locator(OPEN).wait_for()
    assert page.locator("#shown-count").inner_text() == "5000 trials"
    assert page.locator("#trial-table .tabulator-row").count() < 200
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
    page.locator(".tabulator-tableholder").nth(1).evaluate("(holder) => { holder.scrollTop = holder.scrollHeight; }")
    last = page.evaluate("tsp.model.trials.ids[tsp.listen.current.at(-1)]")
    page.locator("#trial-table .tabulator-row", has_text=last).wait_for()
    page.locator("#trial-table .tabulator-row", has_text=last).click()
    until(page, f"tsp.listen.trial.id === '{last}' && tsp.listen.trial.details")
    loaded = page.evaluate("performance.getEntriesByType('resource').map((e) => e.name)")
    assert sum("audio-" in name for name in loaded) <= 2
    assert sum("trials-" in name for name in loaded) <= 2
