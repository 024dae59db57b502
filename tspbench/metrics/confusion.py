"""Whether a system followed the wrong source, and what it lets through when the target is absent."""

from __future__ import annotations

import numpy as np

from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.guards import not_applicable, sounding_pair
from tspbench.metrics.ratios import Samples, si_sdr
from tspbench.metrics.signals import Signals

FLOOR_DB = -120.0


def wrong_target(estimate: Samples, target: Samples, interferers: Samples) -> bool:
    """Whether an estimate is closer, in SI-SDR, to some interferer than to the target.

    Parameters
    ----------
    estimate, target
        Shape (T,), neither silent.
    interferers
        Shape (n, T); silent ones are passed over. A tie goes to the target.
    """
    own = si_sdr(estimate, target)
    return any(si_sdr(estimate, other) > own for other in interferers if other.any())


def leakage(estimate: Samples) -> float:
    """Level in dB re full scale, ``10 log10(mean(e^2))``, not below -120 (silence).

    Raises
    ------
    ValueError
        The estimate holds no samples.
    """
    e = np.asarray(estimate, dtype=np.float64)
    if e.size == 0:
        raise ValueError("The estimate holds no samples.")
    power = float(e @ e) / e.size
    return max(FLOOR_DB, float(10 * np.log10(power))) if power else FLOOR_DB


def _wrong_target_score(signals: Signals) -> Score:
    pair = sounding_pair(signals)
    if isinstance(pair, Score):
        return pair
    if not signals.interferers.any():
        return not_applicable("every interferer is silent")
    return Score(float(wrong_target(pair.estimate, pair.target, signals.interferers)))


def _leakage_score(signals: Signals) -> Score:
    return Score(leakage(signals.at("estimate", signals.sample_rate)))


METRICS = [
    Metric(
        id="wrong_target",
        version=1,
        summary="The estimate is closer to an interferer than to the target; the mean is the wrong-target rate",
        formula="1 if max over interferers n of si_sdr(e, n) > si_sdr(e, s), else 0",
        compute=_wrong_target_score,
        needs=frozenset({Need.ESTIMATE, Need.TARGET, Need.INTERFERERS, Need.ALIGNED}),
        unit="rate",
        higher_is_better=False,
        bounds=(0.0, 1.0),
        penalty=1.0,
        silence="undefined: it is no source",
        implementation="tspbench (numpy)",
        citation="Zhao et al.: Target confusion in end-to-end speaker extraction, Interspeech 2022, for the phenomenon",
        parameters={"closeness": "si_sdr", "tie": "target"},
        packages=("numpy",),
    ),
    Metric(
        id="leakage",
        version=1,
        summary="Level of what comes out although the target is absent",
        formula="10 log10(mean(e^2)) in dB re full scale, not below -120",
        compute=_leakage_score,
        needs=frozenset({Need.ESTIMATE, Need.ABSENCE}),
        unit="dBFS",
        higher_is_better=False,
        bounds=(FLOOR_DB, None),
        penalty=0.0,
        silence="-120 dBFS, the best value: silence is the right answer here",
        implementation="tspbench (numpy)",
        citation="none: the mean power of the output",
        parameters={"floor_db": FLOOR_DB},
        level="raw",
        packages=("numpy",),
    ),
]
