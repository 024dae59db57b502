"""What a number was measured on: recorded with every run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "scipy", "soundfile", "soxr", "onnxruntime", "pesq", "pystoi", "jiwer", "pocketsphinx", "torch",
            "torchaudio", "transformers")  # fmt: skip


def version() -> str:
    """The version of tspbench."""
    return metadata.version("tspbench")


def code() -> dict[str, Any]:
    """Version, and the commit of the checkout that tspbench runs from (None when installed)."""
    home = Path(__file__).resolve().parents[1]
    commit = _git(home, "rev-parse", "HEAD") if (home / ".git").exists() else None
    dirty = bool(_git(home, "status", "--porcelain", "--untracked-files=no")) if commit else None
    return {"tspbench": version(), "commit": commit, "dirty": dirty}


def environment() -> dict[str, Any]:
    """Python, platform and the versions of the packages that numbers depend on."""
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": packages}


def hardware() -> dict[str, Any]:
    """Processor, cores this process may use, memory, and graphics cards with their driver."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _gpus(),
    }


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cuda_devices() -> int:
    """Number of CUDA devices, asked of the driver itself so that no framework is imported."""
    count = ctypes.c_int(0)
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        usable = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    except OSError:
        return 0
    return count.value if usable else 0


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    listing = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _git(home: Path, *arguments: str) -> str | None:
    with contextlib.suppress(OSError):
        done = subprocess.run(["git", "-C", str(home), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None
    return None
