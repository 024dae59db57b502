"""PESQ by the program of the Recommendation, as the ``pesq`` package has it: to the last digit, and with its limits."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Literal

import numpy as np

from tspbench.metrics.ratios import Samples

Mode = Literal["wb", "nb"]

PESQ_RATES: dict[Mode, int] = {"wb": 16_000, "nb": 8_000}

SAFE_S = 20.0
"""Up to here PESQ's C code cannot meet more utterances than the 50 it has room for (each takes 0.4 s)."""
LONGEST_S = 60.0
TOO_LONG = f"longer than {LONGEST_S:.0f} s, where the package may write beyond its memory"


def pesq_outcome(estimate: Samples, target: Samples, mode: Mode) -> float | str:
    """What the package makes of two signals, unguarded: the value, the name of its error, or ``crash``.

    Long signals go to a process of their own, which a crash of the C code may take down.
    """
    run = _pesq if len(target) / PESQ_RATES[mode] <= SAFE_S else _pesq_apart
    return run(estimate, target, mode)


def _pesq(estimate: Samples, target: Samples, mode: Mode) -> float | str:
    """The value, or the name of the error that PESQ raised."""
    from pesq import PesqError
    from pesq import pesq as compute

    try:
        value = float(compute(PESQ_RATES[mode], np.asarray(target), np.asarray(estimate), mode))
    except (PesqError, ValueError) as error:
        return type(error).__name__
    return value if np.isfinite(value) else "not a number"


def _pesq_apart(estimate: Samples, target: Samples, mode: Mode) -> float | str:
    """:func:`_pesq` in a process of its own, which a crash of the C code may take down."""
    signals = io.BytesIO()
    np.save(signals, np.stack([estimate, target]))
    code = (
        "import io, json, sys, numpy; from tspbench.metrics.pesq_package import _pesq; "
        f"print(json.dumps(_pesq(*numpy.load(io.BytesIO(sys.stdin.buffer.read())), {mode!r})))"
    )
    child = subprocess.run(
        [sys.executable, "-P", "-c", code], input=signals.getvalue(), capture_output=True, check=False
    )
    if child.returncode < 0:
        return "crash"
    if child.returncode:
        raise RuntimeError(f"PESQ's process failed: {child.stderr.decode().strip().splitlines()[-1:]}")
    outcome: float | str = json.loads(child.stdout)
    return outcome
