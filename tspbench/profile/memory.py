"""Memory of a process and of its GPU."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes. ``rss_peak`` and ``gpu_torch_peak`` are high-water marks since :func:`start_over`.

    ``gpu_torch_peak`` is what torch's tensors took, ``gpu_torch_reserved`` what
    its allocator held for them; None without a GPU.
    """

    rss: int | None
    rss_peak: int | None
    gpu_torch_peak: int | None = None
    gpu_torch_reserved: int | None = None


def measure(cuda: Any = None) -> Memory:
    """The memory of this process; ``cuda`` is ``torch.cuda`` where it is in use."""
    if cuda is None:
        return Memory(rss(), rss_peak())
    return Memory(rss(), rss_peak(), cuda.max_memory_allocated(), cuda.max_memory_reserved())


def rss() -> int | None:
    """Resident set size of this process in bytes; None where the system does not tell (not Linux)."""
    return _status("VmRSS")


def rss_peak() -> int | None:
    """High-water mark of the resident set size in bytes."""
    marked = _status("VmHWM")
    if marked is None:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        marked = used if sys.platform == "darwin" else used * 1024
    return marked


def start_over(cuda: Any = None) -> bool:
    """Give free memory back and let the high-water marks start again; False where the kernel does not let them.

    Linux: ``malloc_trim`` and ``/proc/self/clear_refs`` (proc(5): 5 resets the
    peak resident set size).
    """
    if cuda is not None:
        cuda.empty_cache()
        cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def driver_bytes(pid: int, before: int | None = None) -> tuple[int | None, str]:
    """GPU memory that the driver counts for a process, and how it was found.

    ``nvidia-smi`` lists processes by id; where it does not know this one (in a
    container, for instance), what all devices use now less ``before`` is taken.
    """
    for row in _nvidia_smi("--query-compute-apps=pid,used_memory"):
        if row[0] == str(pid) and row[1].isdecimal():
            return int(row[1]) * MEBIBYTE, "nvidia-smi, this process"
    used = driver_used()
    if used is None or before is None:
        return None, "nvidia-smi gives no figure"
    return max(0, used - before), "nvidia-smi, all processes, less what was in use before"


def driver_used() -> int | None:
    """Bytes in use on all devices, by the driver; None where ``nvidia-smi`` does not tell."""
    used = [row[0] for row in _nvidia_smi("--query-gpu=memory.used")]
    if not used or not all(number.isdecimal() for number in used):
        return None
    return sum(map(int, used)) * MEBIBYTE


def _nvidia_smi(query: str) -> list[list[str]]:
    command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return []
    rows = done.stdout.splitlines() if done.returncode == 0 else []
    return [[cell.strip() for cell in row.split(",")] for row in rows if row.strip()]


def _status(name: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
