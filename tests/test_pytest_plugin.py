"""The fixture in a test suite of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from tspbench import sealed
from tspbench.sealed import Sealed

SUITE = """
import sys

def test_nothing_heavy_is_imported():
    assert not {"numpy", "scipy", "rich", "click", "tspbench.gate"} & set(sys.modules)

def test_passes(tspbench_gate):
    held = tspbench_gate("run.json", "si_sdr > baseline - 0.2", baseline="run.json")
    assert held.outcome == "passed"

def test_has_regressed(tspbench_gate):
    tspbench_gate("run.json", "si_sdr > baseline - 0.2", "si_sdr > 99", baseline="run.json")

def test_cannot_tell(tspbench_gate):
    tspbench_gate("run.json", "estoi > 0.5")

def test_is_mistaken(tspbench_gate):
    tspbench_gate("nowhere.json", "si_sdr > 0")
"""


def registered() -> bool:
    return any(entry.value == "tspbench.pytest_plugin" for entry in metadata.entry_points(group="pytest11"))


def test_the_fixture_gates(sealed_result: Callable[..., Sealed], tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(10, 1, 40)
    sealed.write(tmp_path / "run.json", sealed_result({"si_sdr": list(values)}))
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    named = [] if registered() else ["-p", "tspbench.pytest_plugin"]
    own = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:benchmark", "-p", "no:anyio"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "--tb=short", *named, *own, "test_suite.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "3 failed" in done.stdout
    assert "tspbench gate: regressed\npassed     si_sdr > baseline - 0.2: shown at 95%" in done.stdout
    assert "regressed  si_sdr > 99: the contrary is shown at 95% confidence (value 9." in done.stdout
    assert "tspbench gate: unmeasured\nunmeasured estoi > 0.5: the run was not scored with estoi" in done.stdout
    assert "tspbench gate: There is no run folder and no sealed result at nowhere.json" in done.stdout
    assert "Traceback" not in done.stdout
