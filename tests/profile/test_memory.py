"""Memory: of this process, and as a driver tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tspbench.profile import memory

MIB = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's marks are read from /proc")


@linux
def test_known_array_and_a_fresh_start() -> None:
    """In a process of its own: 120 MiB come, go, and are forgotten when the marks start over."""
    code = """
import numpy as np
from tspbench.profile import memory
a = memory.measure()
b = np.ones(120 << 17)
c = memory.measure()
del b
d = memory.measure()
reset = memory.start_over()
e = memory.measure()
print([a.rss_peak, c.rss - a.rss, c.rss_peak - a.rss, d.rss_peak - c.rss_peak, int(reset), e.rss_peak - a.rss])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    _, grown, peak, later, reset, after = (int(number) for number in done.stdout.strip("[]\n").split(","))
    assert 120 * MIB <= grown <= 128 * MIB
    assert 119 * MIB <= peak <= 128 * MIB
    assert abs(later) < MIB
    if reset:
        assert after < 8 * MIB


@linux
def test_agrees_with_resource() -> None:
    import resource

    marked = memory.rss_peak()
    assert marked is not None
    assert marked == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, rel=0.2)


class FakeCuda:
    def __init__(self) -> None:
        self.log: list[str] = []

    def empty_cache(self) -> None:
        self.log.append("empty")

    def reset_peak_memory_stats(self) -> None:
        self.log.append("reset")

    def max_memory_allocated(self) -> int:
        return 5 * MIB

    def max_memory_reserved(self) -> int:
        return 7 * MIB


def test_torchs_figures() -> None:
    cuda = FakeCuda()
    found = memory.measure(cuda)
    assert (found.gpu_torch_peak, found.gpu_torch_reserved) == (5 * MIB, 7 * MIB)
    memory.start_over(cuda)
    assert cuda.log == ["empty", "reset"]


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the driver's program: 900 and 100 MiB in use on two devices, 640 of them by process 4711."""
    program = tmp_path / "nvidia-smi"
    processes, devices = r"17, 12\n4711, 640\n99, [N/A]\n", r"900\n100\n"
    program.write_text(f"#!/bin/sh\ncase $1 in *compute-apps*) printf '{processes}';; *) printf '{devices}';; esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return program


def test_driver_by_process(nvidia_smi: Path) -> None:
    assert memory.driver_bytes(4711) == (640 * MIB, "nvidia-smi, this process")


def test_driver_by_difference(nvidia_smi: Path) -> None:
    assert memory.driver_used() == 1000 * MIB
    for pid in (1234, 99):
        used, how = memory.driver_bytes(pid, 300 * MIB)
        assert used == 700 * MIB
        assert "all processes" in how
    assert memory.driver_bytes(1234)[0] is None


def test_no_driver(nvidia_smi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'no devices were found'; exit 6\n")
    assert memory.driver_used() is None
    assert memory.driver_bytes(4711, 0)[0] is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert memory.driver_used() is None
