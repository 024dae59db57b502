"""PESQ, STOI and ESTOI: quality and intelligibility against the target."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np

from tspbench.metrics import intelligibility
from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.guards import Pair, not_applicable, sounding_pair
from tspbench.metrics.ratios import Double, Samples, as_pair
from tspbench.metrics.signals import Signals

Mode = Literal["wb", "nb"]

PESQ_RATES: dict[Mode, int] = {"wb": 16_000, "nb": 8_000}
STOI_RATE = intelligibility.RATE

SAFE_S = 20.0
"""Up to here PESQ's C code cannot meet more utterances than the 50 it has room for (each takes 0.4 s)."""
LONGEST_S = 60.0

TOO_LONG = f"longer than {LONGEST_S:.0f} s, where PESQ may write beyond its memory"
_TOO_SHORT_FOR_PESQ = "shorter than 0.25 s, PESQ's least"
_NO_SPEECH = "PESQ finds no utterance in the target"
_TOO_SHORT_FOR_STOI = "less than 0.4 s of the target is active, STOI's least"


class NoValue(ValueError):
    """PESQ or STOI has no value; ``system_at_fault`` says whose doing that is."""

    def __init__(self, reason: str, *, system_at_fault: bool) -> None:
        super().__init__(reason)
        self.system_at_fault = system_at_fault


def pesq(estimate: Samples, target: Samples, mode: Mode) -> float:
    """PESQ MOS-LQO: wide band (P.862.2, 16 kHz) or narrow band (P.862.1, 8 kHz).

    Parameters
    ----------
    estimate, target
        Shape (T,), at 16 kHz for ``wb`` and at 8 kHz for ``nb``. (Narrow band
        on 16 kHz signals is another number.)

    Raises
    ------
    NoValue
        PESQ refuses the signals, or they last more than 60 s.
    """
    if len(target) / PESQ_RATES[mode] > LONGEST_S:
        raise NoValue(TOO_LONG, system_at_fault=False)
    outcome = pesq_outcome(estimate, target, mode)
    if isinstance(outcome, float):
        return outcome
    if outcome == "BufferTooShortError":
        raise NoValue(_TOO_SHORT_FOR_PESQ, system_at_fault=False)
    if outcome == "NoUtterancesError" and pesq_outcome(target, target, mode) == outcome:
        raise NoValue(_NO_SPEECH, system_at_fault=False)
    if outcome == "crash":
        raise NoValue("PESQ crashed: it holds at most 50 utterances", system_at_fault=False)
    raise NoValue(f"PESQ has no value for the estimate ({outcome})", system_at_fault=True)


def pesq_outcome(estimate: Samples, target: Samples, mode: Mode) -> float | str:
    """What the package makes of two signals, unguarded: the value, the name of its error, or ``crash``.

    Long signals go to a process of their own, which a crash of the C code may take down.
    """
    run = _pesq if len(target) / PESQ_RATES[mode] <= SAFE_S else _pesq_apart
    return run(estimate, target, mode)


def stoi(estimate: Samples, target: Samples, *, extended: bool = False) -> float:
    """STOI, or ESTOI when ``extended``, of signals at 16 kHz.

    Parameters
    ----------
    estimate, target
        Shape (T,) at 16 kHz; they are compared at 10 kHz.

    Raises
    ------
    NoValue
        Too little of the target is active (pystoi would answer 1e-5).
    ValueError
        The shapes differ or are not (T,).
    """
    e, s = as_pair(estimate, target)
    prepared = intelligibility.reference(s)
    heard = None if prepared is None else intelligibility.envelopes(e, prepared)
    return _stoi(Pair(estimate, target), prepared, heard, extended)


def stoi_value(estimate: Samples, target: Samples, rate: int, *, extended: bool = False) -> float:
    """What pystoi makes of signals at ``rate`` Hz, unguarded: 1e-5 where too little of the target is active.

    Raises
    ------
    numpy.exceptions.AxisError
        The signals are shorter than one of its frames (25.6 ms).
    """
    from pystoi import stoi as compute

    with _fixed_numpy_seed(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(compute(np.asarray(target), np.asarray(estimate), rate, extended=extended))


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
        "import io, json, sys, numpy; from tspbench.metrics.perceptual import _pesq; "
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


@contextmanager
def _fixed_numpy_seed() -> Iterator[None]:
    """ESTOI adds noise from NumPy's global generator: the same at every call, and nobody else's draw moves."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def _stoi(pair: Pair, prepared: intelligibility.Reference | None, heard: Double | None, extended: bool) -> float:
    if prepared is None or heard is None:
        raise NoValue(_TOO_SHORT_FOR_STOI, system_at_fault=False)
    value = (intelligibility.estoi if extended else intelligibility.stoi)(heard, prepared)
    if value is None:
        value = stoi_value(pair.estimate, pair.target, STOI_RATE, extended=True)
    if not np.isfinite(value):
        raise NoValue("STOI has no value for the estimate", system_at_fault=True)
    return value


def _stoi_of(signals: Signals, pair: Pair, extended: bool) -> float:
    """STOI and ESTOI share their envelopes, the mixture and the estimate the target's."""
    prepared = signals.memo("stoi reference of the target", lambda: intelligibility.reference(pair.target))
    heard = signals.memo(
        "stoi envelopes of the estimate",
        lambda: None if prepared is None else intelligibility.envelopes(pair.estimate, prepared),
    )
    return _stoi(pair, prepared, heard, extended)


def _pesq_of(signals: Signals, pair: Pair, mode: Mode) -> float:
    return pesq(pair.estimate, pair.target, mode)


def _score(signals: Signals, rate: int, compute: Callable[[Signals, Pair], float]) -> Score:
    pair = sounding_pair(signals, rate)
    if isinstance(pair, Score):
        return pair
    try:
        return Score(compute(signals, pair))
    except NoValue as why:
        return Score.undefined(str(why)) if why.system_at_fault else not_applicable(str(why))


def _declare(id: str, rate: int, compute: Callable[[Signals, Pair], float], **rest: Any) -> Metric:
    return Metric(
        id=id,
        version=1,
        compute=partial(_score, rate=rate, compute=compute),
        higher_is_better=True,
        silence="undefined",
        improves=True,
        sample_rates=(rate,),
        **rest,
    )


# PESQ aligns in time by itself, so an estimate that drifts from the target may be judged too.
_PESQ = {
    "needs": frozenset({Need.ESTIMATE, Need.TARGET}),
    "unit": "MOS-LQO",
    "penalty": 1.0,
    "gain_penalty": -3.6,
    "implementation": "pesq",
    "packages": ("pesq",),
}
_STOI = {
    "needs": frozenset({Need.ESTIMATE, Need.TARGET, Need.ALIGNED}),
    "unit": "1",
    "bounds": (-1.0, 1.0),
    "penalty": 0.0,
    "gain_penalty": -1.0,
    "implementation": "tspbench (numpy, scipy), the values of pystoi 0.4",
    "packages": ("numpy", "scipy"),
}

METRICS = [
    _declare(
        "pesq_wb",
        16_000,
        partial(_pesq_of, mode="wb"),
        summary="Wide-band PESQ: predicted quality against the target",
        formula="ITU-T P.862.2 MOS-LQO at 16 kHz, own time alignment",
        # The mapping of raw scores (at most 4.5) by the Recommendation.
        bounds=(0.999, 4.644),
        citation="ITU-T P.862.2, 2007",
        parameters={"mode": "wb", "sample_rate": 16_000, "longest_s": LONGEST_S},
        also_called={"URGENT": "PESQ", "WeSep at 16 kHz": "PESQ"},
        **_PESQ,
    ),
    _declare(
        "pesq_nb",
        8_000,
        partial(_pesq_of, mode="nb"),
        summary="Narrow-band PESQ at 8 kHz: predicted quality against the target",
        formula="ITU-T P.862 with the P.862.1 mapping, MOS-LQO at 8 kHz (not at 16 kHz), own time alignment",
        bounds=(0.999, 4.549),
        citation="Rix, Beerends, Hollier, Hekstra: PESQ, ICASSP 2001; ITU-T P.862.1, 2003",
        parameters={"mode": "nb", "sample_rate": 8_000, "longest_s": LONGEST_S},
        also_called={"WeSep at 8 kHz": "PESQ"},
        **_PESQ,
    ),
    _declare(
        "stoi",
        STOI_RATE,
        partial(_stoi_of, extended=False),
        summary="Short-time objective intelligibility",
        formula="mean correlation of clipped third-octave envelopes over 384 ms, where the target is active",
        citation="Taal, Hendriks, Heusdens, Jensen, TASLP 2011",
        parameters={"extended": False, "sample_rate": STOI_RATE},
        also_called={"ESPnet, times 100": "STOI", "VERSA": "stoi", "WeSep, times 100": "STOI"},
        **_STOI,
    ),
    _declare(
        "estoi",
        STOI_RATE,
        partial(_stoi_of, extended=True),
        summary="Extended short-time objective intelligibility",
        formula="mean correlation of row- and column-normalised third-octave envelopes over 384 ms",
        citation="Jensen, Taal, TASLP 2016",
        parameters={"extended": True, "sample_rate": STOI_RATE, "numpy_seed": 0},
        also_called={"ESPnet, times 100": "ESTOI", "URGENT": "ESTOI", "VERSA": "estoi"},
        **_STOI,
    ),
]
