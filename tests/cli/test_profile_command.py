"""tspbench profile, as it is typed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMS = Path(__file__).resolve().parents[1] / "profile" / "profiled_systems.py"


def tspbench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tspbench", "profile", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_two_systems_tables_and_files(tmp_path: Path) -> None:
    done = tspbench("--system", "mixture,oracle-irm", "--seconds", "0.5", "1", "--batch", "1", "2", "--budget", "4",
                    "--benchmark-json", "b.json", folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in (
        "mixture: latency and throughput",
        "extract on lass-demo at 32000 Hz",
        "algorithmic latency",
        "0.0 ms",
    ):
        assert words in done.stdout
    files = sorted(path.name.partition("-")[0] for path in (tmp_path / "profiles").iterdir())
    assert files == ["mixture", "oracle"]
    record = json.loads(next((tmp_path / "profiles").glob("oracle*")).read_text())
    assert record["settings"]["seconds"] == [0.5, 1.0]
    assert [(row["seconds"], row["batch"]) for row in record["table"]] == [(0.5, 1), (1.0, 1), (0.5, 2), (1.0, 2)]
    assert 0.025 <= record["figures"]["algorithmic_latency_s"] <= 0.032  # its window lasts 32 ms
    compare(tmp_path / "b.json")


def compare(path: Path) -> None:
    """pytest-benchmark itself reads the file."""
    if importlib.util.find_spec("pytest_benchmark") is None:
        pytest.skip("pytest-benchmark is not installed")
    code = "from pytest_benchmark.cli import main; main()"
    command = [sys.executable, "-c", code, "compare", str(path), "--group-by=param", "--columns=median,rounds"]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for system in ("mixture", "oracle-irm"):
        assert sum(line.startswith(f"{system}[0.5 s x 1]") for line in done.stdout.splitlines()) == 1


def test_json_is_all_that_goes_to_standard_output(tmp_path: Path) -> None:
    done = tspbench("--system", "silence", "--seconds", "0.5,1", "--batch", "1", "--budget", "0.2", "--json",
                    "--out", "p.json", "--threads", "1", folder=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == [json.loads((tmp_path / "p.json").read_text())]
    assert printed[0]["reasons"]["algorithmic_latency"] == "the answer is silent"


def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    arguments = ["--seconds", "0.5", "--batch", "1", "--budget", "0.2", "--task", "lass-demo"]
    done = tspbench("--system", f"{SYSTEMS}:CannotLoad,silence", *arguments, folder=tmp_path)
    assert done.returncode == 3
    assert "the weights are somewhere else" in " ".join(done.stdout.split())
    assert [path.name.partition("-")[0] for path in (tmp_path / "profiles").iterdir()] == ["silence"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--system", "mixtrue"], "Did you mean mixture"),
        (["--system", "mixture", "--seconds", "long"], "--seconds long: expected numbers"),
        (["--system", "mixture", "--batch", "1.5"], "expected a whole number"),
        (["--system", "mixture", "--seconds", "-1"], "--seconds -1"),
        (["--system", "mixture,silence", "--out", "one.json"], "Name a folder"),
        (["--system", "mixture", "--run", "nowhere"], "holds no run"),
        (["--system", "recogniser", "--task", "lass-demo"], "the task 'lass-demo' is lass"),
        (["--system", "nmf", "--option", "rnak=3"], "has no option 'rnak'. Did you mean rank"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = tspbench(*arguments, folder=tmp_path)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
