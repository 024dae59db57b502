"""The state of the machine while it measures, and the key under which figures may be compared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tspbench import environment

CPUS = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup")
BUSY = 0.25
"""Load average per core before the start, above which other work takes part in the figures."""


@dataclass(frozen=True)
class State:
    """What may disturb a measurement; None where the system does not tell.

    ``throttled_by_heat`` and ``throttled_by_quota`` count since the machine (or
    the container) was started.
    """

    load_average: float | None
    governor: str | None
    frequency_mhz: float | None
    throttled_by_heat: int | None
    throttled_by_quota: int | None


def state() -> State:
    """How things stand now. Linux tells all of it, other systems the load average."""
    load = None
    with contextlib.suppress(OSError):
        load = round(os.getloadavg()[0], 2)
    governors = {path.read_text().strip() for path in CPUS.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    heat = [int(path.read_text()) for path in CPUS.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return State(
        load_average=load,
        governor=", ".join(sorted(governors)) or None,
        frequency_mhz=_frequency(),
        throttled_by_heat=sum(heat) if heat else None,
        throttled_by_quota=_quota(),
    )


def hints(before: State, after: State, cores: int) -> list[str]:
    """What to know before the figures are believed."""
    found = []
    if before.load_average is not None and before.load_average > BUSY * cores:
        found.append(f"the machine was busy: load average {before.load_average:g} on {cores} cores before the start")
    if before.governor and before.governor != "performance":
        found.append(f"the frequency governor is {before.governor}")
    for name, what in (("throttled_by_heat", "slowed down by heat"), ("throttled_by_quota", "held by a CPU quota")):
        was, now = getattr(before, name), getattr(after, name)
        if was is not None and now is not None and now > was:
            found.append(f"{what} {now - was} times while measuring")
    return found


def threads_allowed(asked: int | None) -> int:
    """Threads that a framework would use: asked for, in ``OMP_NUM_THREADS``, or one per core."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return asked or (int(given) if given.isdecimal() and int(given) > 0 else environment.cores())


def thread_variables(asked: int | None) -> dict[str, str]:
    """Environment of the child: every library gets the threads that were asked for."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {name: str(asked) for name in names} if asked else {}


def hardware_key(hardware: Mapping[str, Any], threads: int, device: str) -> str:
    """Costs are compared between equal keys only: processor, cores, threads, and the GPU if one is used."""
    gpus = [str(gpu).partition(",")[0].strip() for gpu in hardware["gpus"]]
    gpu = (gpus[0] if gpus else "unknown GPU") if device == "cuda" else "no GPU"
    return f"{hardware['cpu']}, {_counted(hardware['cores'], 'core')}, {_counted(threads, 'thread')}, {gpu}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" + ("s" if number != 1 else "")


def _frequency() -> float | None:
    """Mean of the cores' frequencies in MHz, as the kernel shows it."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return round(sum(found) / len(found), 1) if found else None
    return None


def _quota() -> int | None:
    with contextlib.suppress(OSError):
        for line in (CGROUP / "cpu.stat").read_text().splitlines():
            if line.startswith("nr_throttled "):
                return int(line.split()[1])
    return None
