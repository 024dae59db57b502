"""What a separator is told in training: the four ways that are compared, each under a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from tspbench.errors import UnknownName, UsageError
from tspbench.systems.unpaired.cache import CaptionCache, Vectors
from tspbench.systems.unpaired.noise import VARIANCE, inject
from tspbench.systems.unpaired.retrieval import nearest


@dataclass(frozen=True)
class Conditioning:
    """Which vector of a target stands for it, and whether noise is laid over it.

    ``text``: of its caption. ``audio``: of itself. ``retrieved``: of the
    cached caption whose vector is nearest to that of its audio.
    """

    name: str
    told: Literal["text", "audio", "retrieved"]
    noisy: bool
    what: str


CONDITIONINGS = {
    each.name: each
    for each in (
        Conditioning("text", "text", False, "the caption of each clip: supervised"),
        Conditioning("audio", "audio", False, "the clip itself"),
        Conditioning("audio_noise", "audio", True, "the clip itself, with noise"),
        Conditioning("retrieval", "retrieved", True, "the nearest cached caption, with noise: the method"),
    )
}


def conditioning(name: str) -> Conditioning:
    """One of the four by name; UnknownName when it is none of them."""
    if name not in CONDITIONINGS:
        raise UnknownName("conditioning", name, CONDITIONINGS)
    return CONDITIONINGS[name]


class Conditions:
    """The condition of a training example, from the vectors of all clips.

    Parameters
    ----------
    audio, text
        Unit vectors (N, size) of the clips, and of their captions where they have any.
    cache
        To retrieve from.
    variance
        Of the noise, for those that have noise.

    Raises
    ------
    UsageError
        The conditioning needs captions or a cache, and there are none.
    """

    def __init__(
        self,
        kind: Conditioning,
        audio: Vectors,
        text: Vectors | None = None,
        cache: CaptionCache | None = None,
        variance: float = VARIANCE,
    ) -> None:
        self.kind, self.variance = kind, variance
        self.vectors = torch.from_numpy(np.array(self._chosen(audio, text, cache), dtype=np.float32))

    def _chosen(self, audio: Vectors, text: Vectors | None, cache: CaptionCache | None) -> Vectors:
        if self.kind.told == "audio":
            return audio
        if self.kind.told == "text":
            if text is None:
                raise UsageError("The conditioning 'text' needs a caption or a label for every clip.")
            return text
        if cache is None:
            raise UsageError("The conditioning 'retrieval' needs a caption cache.")
        return cache.vectors[nearest(audio, cache.vectors)[0]]

    def __call__(self, clips: Tensor, generator: Generator | None = None) -> Tensor:
        """Conditions (B, size) for clips (B,); new noise at every call, where there is noise."""
        chosen = self.vectors[clips.cpu()]
        return inject(chosen, self.variance, generator) if self.kind.noisy else chosen
