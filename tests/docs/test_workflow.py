"""The GitHub Actions example of docs/quality-gate.md does locally what it would do there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quality-gate.md"
FUNCTIONS = 'tspbench() { "$PYTHON" -m tspbench "$@"; }; pip() { echo "not here: pip $*"; }\n'
MINE = """
class Mine:
    sample_rate = None
    queries = frozenset({"text"})

    def load(self, device):
        pass

    def extract(self, mixtures, lengths, queries):
        return 0.5 * mixtures
"""


def steps() -> list[str]:
    """The ``run`` entries of the workflow, as a shell would get them."""
    workflow = re.search(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert workflow is not None
    entry = re.compile(r"^ +run: (?P<style>[>|]?)(?P<line>.*)\n(?P<more>(?:^          .*\n)*)", re.MULTILINE)
    found = []
    for match in entry.finditer(workflow[1]):
        more = textwrap.dedent(match["more"])
        found.append(more.replace("\n", " ") if match["style"] == ">" else match["line"] + more)
    return found


def run(script: str, folder: Path) -> int:
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["bash", "-e", "-o", "pipefail", "-c", FUNCTIONS + script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode


def test_the_steps_are_found() -> None:
    assert [step.split()[:2] for step in steps()] == [
        ["pip", "install"],
        ["tspbench", "check"],
        ["tspbench", "run"],
        ["tspbench", "gate"],
    ]


@pytest.mark.slow
def test_the_workflow_passes_and_fails_where_it_should(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    metrics = "--task lass-demo --metrics si_sdr_i,wrong_target"
    for system, out in (("mine.py:Mine", "before"), ("oracle-irm", "better")):
        assert run(f"tspbench run --system {system} {metrics} --out {out}", tmp_path) == 0
    assert run("tspbench gate before --save-baseline baselines/mine.json", tmp_path) == 0
    assert [run(step, tmp_path) for step in steps()] == [0, 0, 0, 0]
    assert run("tspbench gate better --save-baseline baselines/mine.json", tmp_path) == 0
    assert run(steps()[-1], tmp_path) == 1
    assert run("tspbench run --system silence --limit 5 --out few " + metrics, tmp_path) == 0
    assert run(steps()[-1].replace("runs/mine", "few"), tmp_path) == 3
