"""PESQ: quality against the target, as this package computes it and as the ``pesq`` package does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

from tspbench.errors import UsageError
from tspbench.metrics import p862
from tspbench.metrics.declaration import Metric, Need
from tspbench.metrics.guards import NoValue, Pair, scored_pair
from tspbench.metrics.pesq_package import LONGEST_S, PESQ_RATES, TOO_LONG, Mode, pesq_outcome
from tspbench.metrics.ratios import Samples, as_pair
from tspbench.metrics.signals import Signals

_SHORTEST_S = 0.25
_TOO_SHORT = f"shorter than {_SHORTEST_S} s, PESQ's least"
_NO_SPEECH = "PESQ finds no utterance in the target"
_NOTHING_SAID = "PESQ finds no utterance of the target in the estimate"
_TOO_MANY = f"the target has more than {p862.MOST} utterances, PESQ's most"
_PARAMETERS = {"wb": p862.WIDE, "nb": p862.NARROW}


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
        The signals are too short, hold no speech, or more than 50 utterances.
    ValueError
        The shapes differ or are not (T,).
    """
    as_pair(estimate, target)
    prepared = partial(p862.prepare, parameters=_PARAMETERS[mode])
    return _pesq(Pair(estimate, target), mode, lambda: prepared(target), lambda: prepared(estimate))


Prepare = Callable[[], p862.Prepared]


def _pesq(pair: Pair, mode: Mode, target: Prepare, estimate: Prepare) -> float:
    if len(pair.target) / PESQ_RATES[mode] < _SHORTEST_S:
        raise NoValue(_TOO_SHORT, system_at_fault=False)
    parameters = _PARAMETERS[mode]
    try:
        known = target()
    except p862.Inaudible:
        raise NoValue(_NO_SPEECH, system_at_fault=False) from None
    try:
        value = p862.mos_lqo(estimate(), known, parameters)
    except p862.Inaudible:
        raise NoValue("the estimate has nothing in the band of speech", system_at_fault=True) from None
    except p862.TooManyUtterances:
        raise NoValue(_TOO_MANY, system_at_fault=False) from None
    except p862.NoUtterance:
        raise _silent_in(known, parameters) from None
    if not math.isfinite(value):
        raise NoValue(_NO_SPEECH, system_at_fault=False)
    return value


def _silent_in(target: p862.Prepared, parameters: p862.Parameters) -> NoValue:
    """Whose doing it is that there is no utterance: does the target have one for itself?"""
    try:
        p862.mos_lqo(target, target, parameters)
    except p862.NoUtterance:
        return NoValue(_NO_SPEECH, system_at_fault=False)
    return NoValue(_NOTHING_SAID, system_at_fault=True)


def _of(signals: Signals, pair: Pair, mode: Mode) -> float:
    """The mixture and the estimate share what is prepared of the target."""
    parameters = _PARAMETERS[mode]
    target = partial(signals.memo, f"pesq_{mode} of the target", lambda: p862.prepare(pair.target, parameters))
    return _pesq(pair, mode, target, lambda: p862.prepare(pair.estimate, parameters))


def _by_package(signals: Signals, pair: Pair, mode: Mode) -> float:
    if len(pair.target) / PESQ_RATES[mode] > LONGEST_S:
        raise NoValue(TOO_LONG, system_at_fault=False)
    outcome = pesq_outcome(pair.estimate, pair.target, mode)
    if isinstance(outcome, float):
        return outcome
    if outcome == "BufferTooShortError":
        raise NoValue(_TOO_SHORT, system_at_fault=False)
    if outcome == "NoUtterancesError" and pesq_outcome(pair.target, pair.target, mode) == outcome:
        raise NoValue(_NO_SPEECH, system_at_fault=False)
    if outcome == "crash":
        raise NoValue(f"PESQ crashed: it holds at most {p862.MOST} utterances", system_at_fault=False)
    raise NoValue(f"PESQ has no value for the estimate ({outcome})", system_at_fault=True)


_SUMMARIES: dict[Mode, str] = {
    "wb": "Wide-band PESQ: predicted quality against the target",
    "nb": "Narrow-band PESQ at 8 kHz: predicted quality against the target",
}
_FORMULAE: dict[Mode, str] = {
    "wb": "ITU-T P.862.2 MOS-LQO at 16 kHz, own time alignment",
    "nb": "ITU-T P.862 with the P.862.1 mapping, MOS-LQO at 8 kHz (not at 16 kHz), own time alignment",
}
_BOUNDS: dict[Mode, tuple[float, float]] = {"wb": (0.999, 4.644), "nb": (0.999, 4.549)}
"""The mapping of raw scores (at most 4.5) by the Recommendations."""
_CITATIONS: dict[Mode, str] = {
    "wb": "ITU-T P.862.2, 2007",
    "nb": "Rix, Beerends, Hollier, Hekstra: PESQ, ICASSP 2001; ITU-T P.862.1, 2003",
}
_CALLED: dict[Mode, dict[str, str]] = {
    "wb": {"URGENT": "PESQ", "WeSep at 16 kHz": "PESQ"},
    "nb": {"WeSep at 8 kHz": "PESQ"},
}


def _declare(mode: Mode, *, package: bool = False) -> Metric:
    rate = PESQ_RATES[mode]
    return Metric(
        id=f"pesq_{mode}[pesq]" if package else f"pesq_{mode}",
        version=1 if package else 2,
        summary=_SUMMARIES[mode],
        formula=_FORMULAE[mode],
        compute=partial(scored_pair, rate=rate, compute=partial(_by_package if package else _of, mode=mode)),
        # PESQ aligns in time by itself, so an estimate that drifts from the target may be judged too.
        needs=frozenset({Need.ESTIMATE, Need.TARGET}),
        unit="MOS-LQO",
        higher_is_better=True,
        bounds=_BOUNDS[mode],
        penalty=1.0,
        gain_penalty=-3.6,
        silence="undefined",
        improves=True,
        sample_rates=(rate,),
        implementation="pesq" if package else "tspbench (numpy, scipy), the values of pesq 0.0.4 up to its rounding",
        packages=("pesq",) if package else ("numpy", "scipy"),
        citation=_CITATIONS[mode],
        parameters={"mode": mode, "sample_rate": rate} | ({"longest_s": LONGEST_S} if package else {}),
        also_called=_CALLED[mode],
        parametrise=partial(_parametrise, mode),
    )


def _parametrise(mode: Mode, parameters: Mapping[str, str]) -> Metric:
    if parameters != {"instrument": "pesq"}:
        written = ",".join(f"{key}={value}" for key, value in parameters.items())
        raise UsageError(f"pesq_{mode} takes [pesq], for the values of the pesq package itself, got [{written}].")
    return _declare(mode, package=True)


METRICS = [_declare("wb"), _declare("nb")]
