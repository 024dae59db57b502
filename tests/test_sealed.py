"""Sealed results: a run folder and its file are the same thing, and other files are refused in words."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tspbench
from tspbench import sealed
from tspbench.errors import CannotMeasure, UsageError

GOLDEN = Path(__file__).parent / "golden" / "run-schema-1"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "baselines" / "golden.json"
    sealed.write(path, sealed.read(GOLDEN))
    return path


def test_a_folder_and_its_file_say_the_same(written: Path) -> None:
    one, two = sealed.read(GOLDEN), sealed.read(written)
    assert one == two
    scores = tspbench.load_run(GOLDEN).scores
    assert len(two.trial_ids) == 12
    assert list(two.trial_ids) == sorted(two.trial_ids)
    for name in ("si_sdr", "si_sdr_i", "snr"):
        lines = scores[scores.metric == name].set_index("trial_id")
        for trial_id, value, status in zip(two.trial_ids, two.values[name], two.statuses[name], strict=True):
            assert status == lines.loc[trial_id, "status"]
            assert value == (pytest.approx(lines.loc[trial_id, "value"], rel=1e-5) if status == "ok" else None)


def test_clusters_and_conditions_stand_with_their_trial() -> None:
    found = sealed.read(GOLDEN)
    rows = {row["trial_id"]: row for row in map(json.loads, (GOLDEN / "trials.jsonl").read_text().splitlines())}
    assert found.clusters == tuple(rows[name]["clusters"]["clip"] for name in found.trial_ids)
    assert found.conditions == tuple(rows[name]["conditions"] for name in found.trial_ids)


def test_what_is_written_twice_is_equal_byte_for_byte_and_small_numbers_are_short(written: Path) -> None:
    again = written.with_name("again.json")
    sealed.write(again, sealed.read(written))
    assert again.read_bytes() == written.read_bytes()
    assert not list(written.parent.glob("*.draft"))
    literals: list[str] = []
    json.loads(written.read_text(), parse_float=literals.append)
    assert len(literals) > 100
    assert max(len(text.split("e")[0].strip("-").replace(".", "").lstrip("0")) for text in literals) <= 6


def test_a_changed_trial_is_a_changed_line(written: Path) -> None:
    found = sealed.read(written)
    values = {**found.values, "snr": (1.5, *found.values["snr"][1:])}
    statuses = {**found.statuses, "snr": ("ok", *found.statuses["snr"][1:])}
    other = written.with_name("other.json")
    sealed.write(other, dataclasses.replace(found, values=values, statuses=statuses))
    lines, others = written.read_text().splitlines(), other.read_text().splitlines()
    assert sum(a != b for a, b in zip(lines, others, strict=True)) == 1


def test_pooled_counts_are_kept(tiny: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(GOLDEN, path)
    record = json.loads((path / "run.json").read_text())
    record["metrics"].append({**record["metrics"][0], "id": "wer", "aggregate": "pooled", "penalty": 1.0})
    (path / "run.json").write_text(json.dumps(record))
    with (path / "scores.jsonl").open("a") as file:
        for row in map(json.loads, (path / "trials.jsonl").read_text().splitlines()):
            failed = {"value": None, "status": "failed", "reason": "no words"}
            ok = {"value": 0.25, "status": "ok", "reason": None, "counts": {"errors": 1, "total": 4, "deletions": 1}}
            file.write(json.dumps({"trial_id": row["trial_id"], "metric": "wer"} | (failed, ok)[row["error"] is None]))
            file.write("\n")
    (path / "summary.json").unlink()
    found = sealed.read(path)
    sealed.write(tmp_path / "file.json", found)
    assert sealed.read(tmp_path / "file.json") == found
    assert set(zip(found.statuses["wer"], found.errors["wer"], found.totals["wer"], strict=True)) == {
        ("ok", 1, 4),
        ("failed", None, None),
    }
    assert set(found.errors) == {"wer"}


def test_a_profile_beside_a_run_travels_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(GOLDEN, path)
    profile = {"schema": 1, "kind": "profile", "hardware_key": "this one", "figures": {"latency_p50_s": 0.0123}}
    (path / "profile.json").write_text(json.dumps(profile))
    sealed.write(tmp_path / "file.json", sealed.read(path))
    assert sealed.read(tmp_path / "file.json").profile == profile
    assert sealed.read(GOLDEN).profile is None


def damaged(held: dict[str, Any], **changes: Any) -> str:
    return json.dumps({**held, **changes})


def test_what_is_no_sealed_result_is_refused_in_words(written: Path, tmp_path: Path) -> None:
    held = json.loads(written.read_text())
    cases = {
        "{": "no sealed result",
        "[]": "no sealed result",
        '{"kind": "profile"}': "no sealed result. Make one with",
        damaged(held, schema=99): "schema 99",
        damaged(held, trials=[{"id": "a"}]): "damaged",
        damaged(held, trials=[{**held["trials"][0], "scores": {"snr": "fine"}}]): "damaged",
        json.dumps({key: value for key, value in held.items() if key != "identity"}): "damaged",
    }
    for i, (text, message) in enumerate(cases.items()):
        path = tmp_path / f"{i}.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=message):
            sealed.read(path)
    with pytest.raises(UsageError, match="no run folder and no sealed result at"):
        sealed.read(tmp_path / "nowhere.json")


@pytest.mark.parametrize("value", ["NaN", "1e999", "null", '"five"', "[1]"])
def test_a_score_without_a_number_is_refused_not_passed_over(tmp_path: Path, written: Path, value: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(GOLDEN, path)
    lines = (path / "scores.jsonl").read_text().splitlines(keepends=True)
    place = next(i for i, line in enumerate(lines) if '"ok"' in line)
    lines[place] = re.sub(r'"value": ?[^,]+', f'"value": {value}', lines[place], count=1)
    (path / "scores.jsonl").write_text("".join(lines))
    with pytest.raises(UsageError, match="damaged"):
        sealed.read(path)
    text = re.sub(r'("si_sdr": )-?[0-9.]+', rf"\g<1>{value}", written.read_text(), count=1)
    assert text != written.read_text()
    written.write_text(text)
    with pytest.raises(UsageError, match=r"damaged|NaN is no number"):
        sealed.read(written)


@pytest.mark.parametrize(
    "change",
    [{"summary": None}, {"summary": {"metrics": {}}}, {"profile": [1]}, {"counts": None}, {"identity": {"system": 1}}],
)
def test_a_file_of_another_shape_is_refused_in_words(written: Path, change: dict[str, Any]) -> None:
    written.write_text(damaged(json.loads(written.read_text()), **change))
    with pytest.raises(UsageError, match="damaged"):
        sealed.read(written)


def test_a_run_folder_without_a_field_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("metrics", "identity", "counts", "side_information"):
        path = tmp_path / name
        shutil.copytree(GOLDEN, path)
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({key: value for key, value in record.items() if key != name}))
        with pytest.raises(UsageError, match=f"damaged.*{name}"):
            sealed.read(path)


@pytest.mark.parametrize("cut", ["scores.jsonl", "trials.jsonl"])
def test_an_unfinished_run_is_no_result(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "run"
    shutil.copytree(GOLDEN, path)
    lines = (path / cut).read_text().splitlines(keepends=True)
    (path / cut).write_text("".join(lines[:-1]))
    with pytest.raises(CannotMeasure, match="11 of 12 trials scored"):
        sealed.read(path)


@given(st.text(min_size=1))
def test_every_label_has_a_name_that_is_safe_in_a_path(label: str) -> None:
    name = sealed.file_name(label)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+@-")
    assert name[0] not in ".-"
    assert len(name) <= 120


def test_other_labels_have_other_names() -> None:
    labels = ["a:b", "a[b]", "a=b", "a-b", "a,b", "ä", "ö", ".", "..", "nmf", "nmf.", "x" * 200, "x" * 201]
    assert len({sealed.file_name(label) for label in labels}) == len(labels)
    assert sealed.file_name("nmf") == "nmf"
