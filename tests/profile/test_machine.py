"""The state of the machine and the key that figures are compared under."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tspbench.profile import machine

QUIET = machine.State(0.1, "performance", 3000.0, 5, 7)
HARDWARE = {"cpu": "Ryzen 9", "cores": 16, "gpus": ["NVIDIA H200, 143771 MiB, 570.1", "NVIDIA T4, 1, 2"]}


def test_key() -> None:
    assert machine.hardware_key(HARDWARE, 4, "cpu") == "Ryzen 9, 16 cores, 4 threads, no GPU"
    assert machine.hardware_key({**HARDWARE, "cores": 1}, 1, "cuda") == "Ryzen 9, 1 core, 1 thread, NVIDIA H200"
    assert machine.hardware_key({**HARDWARE, "gpus": []}, 1, "cuda").endswith("unknown GPU")


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert (machine.threads_allowed(None), machine.threads_allowed(5)) == (3, 5)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine.threads_allowed(None) == machine.environment.cores()
    assert machine.thread_variables(None) == {}
    assert set(machine.thread_variables(2).values()) == {"2"}


def test_hints() -> None:
    assert machine.hints(QUIET, QUIET, 4) == []
    assert "busy: load average 1.5 on 4 cores" in machine.hints(replace(QUIET, load_average=1.5), QUIET, 4)[0]
    assert "powersave" in machine.hints(replace(QUIET, governor="powersave"), QUIET, 4)[0]
    after = replace(QUIET, throttled_by_heat=8, throttled_by_quota=9)
    assert machine.hints(QUIET, after, 4) == [
        "slowed down by heat 3 times while measuring",
        "held by a CPU quota 2 times while measuring",
    ]
    unknown = machine.State(None, None, None, None, None)
    assert machine.hints(unknown, unknown, 1) == []


def test_state_is_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for core, governor in enumerate(("powersave", "performance")):
        folder = tmp_path / f"cpu{core}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "cpufreq" / "scaling_governor").write_text(f"{governor}\n")
        (folder / "thermal_throttle").mkdir()
        (folder / "thermal_throttle" / "core_throttle_count").write_text(f"{core + 1}\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 5\nnr_throttled 42\n")
    monkeypatch.setattr(machine, "CPUS", tmp_path)
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    found = machine.state()
    assert (found.governor, found.throttled_by_heat, found.throttled_by_quota) == ("performance, powersave", 3, 42)
