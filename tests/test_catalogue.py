"""Rows and pages come from declarations alone, and are plain JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench import catalogue
from tspbench.errors import UnknownName
from tspbench.metrics import known_metrics
from tspbench.system import known_systems
from tspbench.task import known_tasks

KINDS = {"systems": known_systems, "tasks": known_tasks, "metrics": known_metrics}


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_has_a_row_with_a_summary(kind: catalogue.Kind) -> None:
    rows = catalogue.rows(kind)
    assert [row.get("name", row.get("id")) for row in rows] == list(KINDS[kind]())
    assert all(row["summary"] for row in rows)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


@pytest.mark.parametrize("name", known_systems())
def test_a_system_has_a_page(name: str) -> None:
    page = catalogue.page("system", name)
    assert page["name"] == name
    assert page["class"]
    assert json.loads(json.dumps(page, allow_nan=False)) == page


@pytest.mark.parametrize("name", known_metrics())
def test_a_metric_has_a_page(name: str) -> None:
    page = catalogue.page("metric", name)
    assert page["id"] == name
    assert page["better"] in ("higher", "lower")
    assert json.loads(json.dumps(page, allow_nan=False)) == page


def test_the_range_of_a_metric_is_in_words() -> None:
    assert catalogue.page("metric", "si_sdr")["range"] == "-100 to 100"
    assert catalogue.page("metric", "si_sdr_i")["range"] == "unbounded to unbounded"
    assert catalogue.page("metric", "wrong_target")["range"] == "0 to 1"


def test_a_bundled_task_has_a_page() -> None:
    page = catalogue.page("task", "lass-demo")
    assert page["trials"] == 64
    assert page["target_absent_trials"] == 4
    assert page["queries"] == ["audio", "negative_audio", "negative_text", "text"]
    assert page["synthetic"] is True
    assert json.loads(json.dumps(page, allow_nan=False)) == page


def test_the_page_of_a_manifest_counts_its_trials(tiny: Callable[..., Path]) -> None:
    page = catalogue.page("task", str(tiny(5)))
    assert (page["trials"], page["target_absent_trials"]) == (5, 0)
    assert page["queries"] == ["enrolment", "text"]
    assert page["conditions"] == ["parity", "snr_db"]
    assert len(page["trial_list_digest"]) == 64


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [("system", "mixtrue", "mixture"), ("task", "lass-dmeo", "lass-demo"), ("metric", "sisdr", "si_sdr")],
)
def test_an_unknown_name_gives_the_nearest(kind: str, name: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"no {kind} called '{name}'. Did you mean .*{near}"):
        catalogue.page(kind, name)


def test_reading_declarations_runs_no_code_of_systems_and_loads_no_framework() -> None:
    code = """
import sys
from tspbench import catalogue
for kind in ("systems", "tasks", "metrics"):
    assert catalogue.rows(kind)
for row in catalogue.rows("systems"):
    catalogue.page("system", row["name"])
for row in catalogue.rows("metrics"):
    catalogue.page("metric", row["id"])
heavy = {"torch", "transformers", "librosa", "onnxruntime", "pandas", "pocketsphinx", "resemblyzer"}
print(sorted(m for m in sys.modules if m.startswith("tspbench.systems.") or m.split(".")[0] in heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
