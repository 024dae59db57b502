"""The nearest vector in a large cache: exact, block by block, in bounded memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from tspbench.errors import UsageError

Vectors = npt.NDArray[np.float32]
ROWS = 16_384
"""Rows of the cache in one product."""
QUERIES = 1024
"""Queries in one product."""


def nearest(
    queries: Vectors, vectors: Vectors, *, rows: int = ROWS, at_once: int = QUERIES, device: str = "cpu"
) -> tuple[npt.NDArray[np.int64], Vectors]:
    """For every query the row with the largest product, which among unit vectors is the nearest; of equals the first.

    Beside its arguments and its result it holds ``at_once * rows`` products
    and a copy of ``rows`` rows: 64 MiB and 32 MiB for vectors of 512, however
    large the cache is.

    Parameters
    ----------
    queries, vectors
        (Q, size) and (N, size), float32.

    Returns
    -------
    (rows, products)
        each (Q,).

    Raises
    ------
    UsageError
        The cache is empty, or the two are not of one size.
    """
    if not len(vectors) or queries.shape[1:] != vectors.shape[1:]:
        raise UsageError(f"Queries of shape {queries.shape} cannot be looked up in vectors of shape {vectors.shape}.")
    indices = np.zeros(len(queries), dtype=np.int64)
    products = np.full(len(queries), -np.inf, dtype=np.float32)
    asked = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).to(device)
    for start in range(0, len(vectors), rows):
        block = torch.from_numpy(np.array(vectors[start : start + rows], dtype=np.float32)).to(device)
        for first in range(0, len(queries), at_once):
            part = slice(first, first + at_once)
            found, where = (each.cpu().numpy() for each in (asked[part] @ block.T).max(dim=1))
            better = found > products[part]
            products[part][better] = found[better]
            indices[part][better] = start + where[better]
    return indices, products
