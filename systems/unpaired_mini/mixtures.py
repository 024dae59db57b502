"""Mixtures of sounds that nobody labelled, each told by the vector that a conditioning gives its target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from tspbench.systems.clapsep_mini.data import Batch, Cast, Chances, MixtureMaker, Pick, Rng, Vectors
from tspbench.systems.clapsep_mini.model import Encoder
from tspbench.systems.unpaired.conditioning import Conditions

TARGETS_ONLY = Chances(absent=0, doubled=0, negative=0, negative_alone=0)
"""Every query is for one sound that is there, and says nothing of the others."""
Advance = Callable[[str, int, int], None]


def unlabelled(cast: Cast) -> Cast:
    """The same sounds, each under a name of its own, so that mixtures are drawn without regard to what they are."""
    named = [
        replace(library, names=tuple(f"{which}/{i}" for i in range(len(library))), kinds=(None,) * len(library))
        for which, library in enumerate(cast.libraries)
    ]
    return Cast(tuple(named), cast.weights)


def picks(cast: Cast) -> list[Pick]:
    """Every sound of every library, in the order of rows that :class:`Mixtures` counts by."""
    return [Pick(which, i) for which, library in enumerate(cast.libraries) for i in range(len(library))]


def heard(encoder: Encoder, cast: Cast, advance: Advance | None = None, at_once: int = 16) -> npt.NDArray[np.float32]:
    """Vectors (N, size) of all sounds, each as long as it is."""
    everything, parts = picks(cast), []
    for start in range(0, len(everything), at_once):
        clips = torch.from_numpy(np.stack([cast.sound(pick) for pick in everything[start : start + at_once]]))
        with torch.inference_mode():
            parts.append(encoder.embed(clips).numpy())
        if advance:
            advance("embedding sounds", min(start + at_once, len(everything)), len(everything))
    return np.concatenate(parts)


def captions(cast: Cast, seed: int) -> list[str]:
    """One caption for every sound, drawn from those that fit its class and kind: what a captioned corpus has."""
    rng = np.random.default_rng([seed, 7])
    return [cast.caption(rng, pick) for pick in picks(cast)]


@dataclass(frozen=True)
class _Rows(MixtureMaker):
    """Batches whose conditions are the rows of their targets, (B, 1)."""

    def _condition(self, positive: Pick | None, negatives: Sequence[Pick], rng: Rng) -> npt.NDArray[np.int64]:
        assert positive is not None
        before = [0, *accumulate(len(library) for library in self.cast.libraries)]
        return np.array([before[positive.library] + positive.index])


class Mixtures:
    """Batches for one conditioning. Mixtures depend on seed and step alone and are equal for all conditionings.

    Called with a step, it gives that step's batch; its noise, too, depends on
    seed and step alone. The negative half of a condition is empty.
    """

    def __init__(self, cast: Cast, conditions: Conditions, batch: int, seed: int = 0) -> None:
        size = conditions.vectors.shape[1]
        self.rows = _Rows(unlabelled(cast), Vectors({}, (), size), batch, seed, chances=TARGETS_ONLY)
        self.conditions, self.seed = conditions, seed

    def __call__(self, step: int) -> Batch:
        drawn = self.rows(step)
        noise = torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, 8, step]).generate_state(1)[0]))
        told = self.conditions(drawn.condition[:, 0], noise)
        return Batch(drawn.mixture, drawn.target, F.pad(told, (0, told.shape[1])))
