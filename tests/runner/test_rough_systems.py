"""Systems and folders that are rougher than any contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tspbench.runner.request import Request
from tspbench.runner.run import Outcome, run_systems
from tspbench.store import read_lines

BODIES = {
    "Wanders": "    def load(self, d):\n        os.chdir('/')\n    def extract(self, m, n, q):\n        return m\n",
    "Mumbles": "    def extract(self, m, n, q):\n        raise ValueError('bad \\udcff name')\n",
    "Forks": "    def extract(self, m, n, q):\n        os.fork()\n        return m / 2\n",
    "Nothing": "    def extract(self, m, n, q):\n        return m / 2\n",
}


def run(name: str, task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Outcome:
    monkeypatch.chdir(tmp_path)
    Path("rough.py").write_text(f"import os\nclass {name}:\n{BODIES[name]}")
    settings = {"metrics": ("snr",), "out": Path("out"), "time_limit_s": 30.0, **settings}
    return run_systems([f"rough.py:{name}"], Request(task=str(task), **settings))[0]


@pytest.mark.parametrize("name", ["Wanders", "Forks"])
def test_a_change_of_folder_or_a_fork_costs_nothing(
    name: str, tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(name, tiny(4), tmp_path, monkeypatch)
    assert (outcome.status, outcome.failed) == ("sealed", 0)
    assert len(list(read_lines(outcome.path / "scores.jsonl"))) == 4


def test_undecodable_messages_are_written_escaped(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run("Mumbles", tiny(2), tmp_path, monkeypatch)
    errors = [row["error"]["message"] for row in read_lines(outcome.path / "trials.jsonl")]
    assert errors == ["bad \udcff name"] * 2
    assert "\\udcff" in (outcome.path / "trials.jsonl").read_text()


@pytest.mark.parametrize("keep", [0, 30, 1000])
def test_a_damaged_trial_log_never_counts_a_trial_twice(
    keep: int, tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(6)
    first = run("Nothing", task, tmp_path, monkeypatch)
    log = first.path / "trials.jsonl"
    log.write_bytes(log.read_bytes()[:keep])
    second = run("Nothing", task, tmp_path, monkeypatch)
    assert second.summary["metrics"]["snr"] == first.summary["metrics"]["snr"]
    assert len(list(read_lines(second.path / "scores.jsonl"))) == 6


def test_the_worst_stay_the_worst_when_metrics_are_added(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(14)
    first = run("Nothing", task, tmp_path, monkeypatch, save_audio="worst")
    kept = sorted(path.name for path in (first.path / "audio").iterdir())
    run("Nothing", task, tmp_path, monkeypatch, save_audio="worst", metrics=("snr", "si_sdr"))
    assert sorted(path.name for path in (first.path / "audio").iterdir()) == kept
    assert len(kept) == 10


def test_a_damaged_summary_is_built_again(
    tiny: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny(3)
    first = run("Nothing", task, tmp_path, monkeypatch)
    (first.path / "summary.json").write_text("{")
    assert run("Nothing", task, tmp_path, monkeypatch).summary["metrics"] == first.summary["metrics"]
