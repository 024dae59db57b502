"""tspbench from Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tspbench
from tspbench.errors import UsageError


def test_run_then_score_its_estimates_again(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(5)
    run = tspbench.run("clean", task, out=tmp_path / "one", save_audio="all", metrics=["si_sdr", "snr"])[0]
    again = tspbench.score(run.path / "audio", task, name="again", out=tmp_path / "two", metrics=["si_sdr", "snr"])
    assert again.record["identity"]["system"]["name"] == "again"
    columns = ["trial_id", "metric", "value"]
    one = run.scores.sort_values(columns[:2])[columns].reset_index(drop=True)
    two = again.scores.sort_values(columns[:2])[columns].reset_index(drop=True)
    assert one.equals(two)


def test_a_class_in_a_script_without_main_guard_runs(tiny: Callable[..., Path], tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "class Half:\n"
        "    def extract(self, mixtures, lengths, queries):\n"
        "        return mixtures / 2\n"
        "if __name__ == '__main__':\n"
        "    import tspbench\n"
        f"    run = tspbench.run(Half, {str(tiny(3))!r}, out={str(tmp_path / 'out')!r})[0]\n"
        "    print(run.status, len(run.scores))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sealed", "9"]


def test_unknown_settings_and_nameless_classes_are_refused(tiny: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="no setting 'batchsize'"):
        tspbench.run("mixture", tiny(3), batchsize=2)

    class Local:
        pass

    with pytest.raises(UsageError, match="top level of a file"):
        tspbench.run(Local, tiny(3))


@pytest.mark.parametrize("options", ["a=b", ["a=b"], {"a": "b"}])
def test_task_options_in_every_form(tiny: Callable[..., Path], options: object) -> None:
    with pytest.raises(UsageError, match="--task-option is for tasks with protocols"):
        tspbench.run("mixture", tiny(3), task_options=options)


def test_no_task_options(tiny: Callable[..., Path], tmp_path: Path) -> None:
    assert len(tspbench.run("mixture", tiny(3), task_options=None, metrics="si_sdr", out=tmp_path / "o")[0].scores) == 3
