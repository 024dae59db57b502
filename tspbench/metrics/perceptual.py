"""STOI and ESTOI: intelligibility against the target."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from tspbench.metrics import intelligibility
from tspbench.metrics.declaration import Metric, Need
from tspbench.metrics.guards import NoValue, Pair, scored_pair
from tspbench.metrics.ratios import Double, Samples, as_pair
from tspbench.metrics.signals import Signals

STOI_RATE = intelligibility.RATE
_TOO_SHORT = "less than 0.4 s of the target is active, STOI's least"


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
        raise NoValue(_TOO_SHORT, system_at_fault=False)
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


def _declare(id: str, extended: bool, **rest: Any) -> Metric:
    return Metric(
        id=id,
        version=1,
        compute=partial(scored_pair, rate=STOI_RATE, compute=partial(_stoi_of, extended=extended)),
        needs=frozenset({Need.ESTIMATE, Need.TARGET, Need.ALIGNED}),
        unit="1",
        higher_is_better=True,
        bounds=(-1.0, 1.0),
        penalty=0.0,
        gain_penalty=-1.0,
        silence="undefined",
        improves=True,
        sample_rates=(STOI_RATE,),
        implementation="tspbench (numpy, scipy), the values of pystoi 0.4",
        packages=("numpy", "scipy"),
        **rest,
    )


METRICS = [
    _declare(
        "stoi",
        extended=False,
        summary="Short-time objective intelligibility",
        formula="mean correlation of clipped third-octave envelopes over 384 ms, where the target is active",
        citation="Taal, Hendriks, Heusdens, Jensen, TASLP 2011",
        parameters={"extended": False, "sample_rate": STOI_RATE},
        also_called={"ESPnet, times 100": "STOI", "VERSA": "stoi", "WeSep, times 100": "STOI"},
    ),
    _declare(
        "estoi",
        extended=True,
        summary="Extended short-time objective intelligibility",
        formula="mean correlation of row- and column-normalised third-octave envelopes over 384 ms",
        citation="Jensen, Taal, TASLP 2016",
        parameters={"extended": True, "sample_rate": STOI_RATE, "numpy_seed": 0},
        also_called={"ESPnet, times 100": "ESTOI", "URGENT": "ESTOI", "VERSA": "estoi"},
    ),
]
