"""``compare``, ``power``, ``gate`` and ``show run`` as a user calls them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tspbench import sealed
from tspbench.cli import main
from tspbench.sealed import Sealed

Call = Callable[..., str]
GOLDEN = Path(__file__).parents[1] / "golden" / "run-schema-1"


@pytest.fixture
def tspbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Call the command line in this process, in a folder of its own; what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["tspbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        assert (stop.value.code or 0) == code, shown.out + shown.err
        return shown.out + shown.err

    return call


@pytest.fixture
def folder(sealed_result: Callable[..., Sealed], tmp_path: Path) -> Path:
    """``new.json`` is 1 dB better than ``old.json``; ``other.json`` has another trial list."""
    base = np.random.default_rng(0).normal(5, 3, 50)
    conditions = [{"class": "rain" if i % 2 else "bell"} for i in range(50)]
    new = sealed_result({"si_sdr": list(base + 1), "wer": [(1, 10)] * 50}, None, conditions, "new")
    old = sealed_result({"si_sdr": list(base), "wer": [(2, 10)] * 50}, None, conditions, "old")
    sealed.write(tmp_path / "new.json", new)
    sealed.write(tmp_path / "old.json", old)
    task = {**old.identity["task"], "trial_list": "b" * 64}
    sealed.write(tmp_path / "other.json", replace(old, identity={**old.identity, "task": task}))
    return tmp_path


def test_compare(tspbench: Call, folder: Path) -> None:
    shown = tspbench("compare", "new.json", "old.json", "--by", "class", "--margin", "wer=0.5")
    assert "class: rain" in shown
    assert shown.count("better") >= 3
    assert "Holm over 6 tests" in shown
    assert "±0.5 rate (wer)" in shown


def test_compare_for_programs(tspbench: Call, folder: Path) -> None:
    held = json.loads(tspbench("compare", "new.json", "old.json", "--json"))
    rows = list(csv.DictReader(io.StringIO(tspbench("compare", "new.json", "old.json", "--csv"))))
    assert [row["verdict"] for row in rows] == [row["verdict"] for row in held["comparisons"]] == ["better"] * 2
    assert float(rows[0]["difference"]) == pytest.approx(1.0, abs=1e-4)


def test_compare_refuses_in_words(tspbench: Call, folder: Path) -> None:
    assert "task.trial_list" in tspbench("compare", "new.json", "other.json", code=2)
    shown = tspbench("compare", "new.json", "other.json", "--allow-different")
    assert shown.count("NOT THE SAME MEASUREMENT") == 2
    assert "write NAME=NUMBER" in tspbench("compare", "new.json", "old.json", "--margin", "wer=much", code=2)
    assert "no sealed result at nothing.json" in tspbench("compare", "nothing.json", "old.json", code=2)


def test_power(tspbench: Call, folder: Path) -> None:
    shown = tspbench("power", "--run", "new.json", "--delta", "0.5")
    assert "to see a difference of 0.5 dB in si_sdr" in shown
    assert "50 trials in 50 clusters are here" in shown
    held = json.loads(tspbench("power", "--run", "new.json", "--delta", "0.5", "--json"))
    assert held["trials"] > 50
    assert "one run, or two" in tspbench("power", *["--run", "new.json"] * 3, "--delta", "1", code=2)


@pytest.mark.parametrize(
    ("run", "rule", "code"),
    [("new", "si_sdr > baseline - 0.2", 0), ("old", "si_sdr > baseline + 0.5", 1), ("other", "si_sdr > baseline", 3)],
)
def test_gate(tspbench: Call, folder: Path, run: str, rule: str, code: int) -> None:
    arguments = ("gate", f"{run}.json", "--baseline", "old.json", "--rule", rule)
    if run == "old":
        arguments = (*arguments[:3], "new.json", *arguments[4:])
    outcome = {0: "passed", 1: "regressed", 3: "unmeasured"}[code]
    assert f"gate: {outcome}" in tspbench(*arguments, code=code)
    assert json.loads(tspbench(*arguments, "--json", code=code))["outcome"] == outcome


def test_gate_writes_a_baseline(tspbench: Call, folder: Path) -> None:
    tspbench("gate", GOLDEN, "--save-baseline", "baselines/golden.json")
    assert sealed.read(folder / "baselines" / "golden.json") == sealed.read(GOLDEN)
    assert "Give a --rule" in tspbench("gate", GOLDEN, code=2)


def test_show_run(tspbench: Call, folder: Path) -> None:
    shown = tspbench("show", "run", GOLDEN)
    assert "si_sdr by condition" in shown
    summary = json.loads(tspbench("show", "run", GOLDEN, "--json"))
    assert summary == json.loads((GOLDEN / "summary.json").read_text())
    assert "There is no folder" in tspbench("show", "run", "nowhere", code=2)
