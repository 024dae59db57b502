"""Mixtures on their way into a network.

Those of one length go through it together: nothing is padded that it would hear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tspbench.types import Audio


def equal_lengths(lengths: Sequence[int] | npt.NDArray[np.int64]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each length that occurs, and the rows that have it, in ascending order."""
    every = np.asarray(lengths, dtype=np.int64)
    for length in np.unique(every):
        yield int(length), np.flatnonzero(every == length)


def on_device(samples: Audio, device: torch.device) -> Tensor:
    """Samples of any shape as a tensor on a device; onto a GPU from pinned memory, beside what it computes."""
    tensor = torch.from_numpy(np.ascontiguousarray(samples))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
