"""PESQ (ITU-T P.862, P.862.1, P.862.2) a signal at a time, to the values of the Recommendation's own program.

Stages as there: levels, filters, activity of speech, delays by utterance, and
the perceptual model. What that program computes sample by sample in single
precision is computed here with whole arrays, so values differ by its rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tspbench.metrics.p862 import filters
from tspbench.metrics.p862.activity import Activity, activity
from tspbench.metrics.p862.alignment import MOST, Aligner, NoUtterance, TooManyUtterances
from tspbench.metrics.p862.delays import Frames, hann
from tspbench.metrics.p862.filters import Inaudible, Single
from tspbench.metrics.p862.perception import Ear
from tspbench.metrics.p862.tables import NARROW, WIDE, Parameters
from tspbench.metrics.ratios import Samples

__all__ = [
    "MOST",
    "NARROW",
    "WIDE",
    "Inaudible",
    "NoUtterance",
    "Parameters",
    "Prepared",
    "TooManyUtterances",
    "mos_lqo",
    "prepare",
]


@dataclass(frozen=True, eq=False)
class Prepared:
    """One signal as both parts of the model want it: ``heard`` by the ear, ``aligned`` to find delays in."""

    heard: Single
    aligned: Single
    activity: Activity


def prepare(samples: Samples, parameters: Parameters) -> Prepared:
    """Prepare a target or an estimate, shape (T,) at the parameters' rate.

    Raises
    ------
    Inaudible
    """
    if not np.any(samples):
        raise Inaudible("a silent signal")
    single = (np.asarray(samples) / np.abs(samples).max()).astype(np.float32)
    levelled = filters.levelled(single, parameters)
    heard = filters.received(levelled, len(single), parameters)
    aligned = filters.for_alignment(heard, len(single), parameters)
    return Prepared(heard, aligned, activity(aligned[: -parameters.padding], parameters.window))


def mos_lqo(estimate: Prepared, target: Prepared, parameters: Parameters) -> float:
    """The listening quality of an estimate of the same length as its target, about 1 to 4.6.

    NaN where there is nothing to hear.

    Raises
    ------
    NoUtterance, TooManyUtterances
    """
    frames = Frames(target.aligned, estimate.aligned, parameters, hann(parameters.align))
    samples = len(target.heard) - parameters.padding
    utterances = Aligner(target.activity, estimate.activity, frames, samples, parameters).utterances()
    raw = Ear(target.heard, estimate.heard, utterances, parameters).score()
    slope, offset = (1.3669, 3.8224) if parameters is WIDE else (1.4945, 4.6607)
    return 0.999 + 4 / (1 + math.exp(offset - slope * raw))
