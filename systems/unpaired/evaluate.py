"""A trained separator on mixtures it never heard, told by captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tspbench import stats
from tspbench.systems.training.losses import si_snr, snr
from tspbench.systems.training.mixing import Mixer
from tspbench.systems.unpaired.cache import Vectors
from tspbench.systems.unpaired.model import Network

Floats = Sequence[float]


@dataclass(frozen=True)
class Improvement:
    """In dB over the mixture, of every trial; and the clip that each trial's target is."""

    snr: tuple[float, ...]
    si_snr: tuple[float, ...]
    clips: tuple[int, ...]

    def mean(self, name: str) -> tuple[float, float, float]:
        """Mean and 95 % interval, trials of one clip being one cluster."""
        values = getattr(self, name)
        interval = stats.mean_interval(values, self.clips)
        low, high = (interval.low, interval.high) if interval else (float("nan"), float("nan"))
        return float(np.mean(values)), low, high


@torch.no_grad()
def evaluate(network: Network, mixer: Mixer, text: Vectors, batches: int) -> Improvement:
    """Improvements on the first batches of a mixer.

    Parameters
    ----------
    text
        (N, size): the vector of every clip's caption.
    """
    network.eval()
    device = next(network.parameters()).device
    told = torch.from_numpy(np.asarray(text))
    found: dict[str, list[float]] = {"snr": [], "si_snr": [], "clips": []}
    for step in range(batches):
        batch = mixer(step).to(device)
        estimate = network(batch.mixture, told[batch.clips.cpu()].to(device))
        for name, ratio in (("snr", snr), ("si_snr", si_snr)):
            gain = ratio(estimate, batch.target) - ratio(batch.mixture, batch.target)
            found[name] += gain.tolist()
        found["clips"] += batch.clips.tolist()
    return Improvement(tuple(found["snr"]), tuple(found["si_snr"]), tuple(map(int, found["clips"])))
