"""Non-negative matrix factorisation under the generalised Kullback-Leibler divergence.

A spectrogram V (frames, bins) is explained as H @ W, activations (frames, k)
times a dictionary (k, bins) whose rows sum to 1. The multiplicative updates are
those of Lee and Seung (2001); they never raise the divergence of V from H @ W.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

TINY = np.float32(1e-10)
"""Keeps divisions finite; spectrograms are scaled to a mean near 1."""


def learn(spectrogram: Matrix, rank: int, iterations: int) -> Matrix:
    """Dictionary (rank, bins) of a spectrogram (frames, bins). The start is the same on every call."""
    rng = np.random.default_rng(0)
    dictionary = normalised(0.1 + rng.random((rank, spectrogram.shape[1]), dtype=np.float32))
    activations = 0.1 + rng.random((len(spectrogram), rank), dtype=np.float32)
    for _ in range(iterations):
        activations *= ratio(spectrogram, activations, dictionary) @ dictionary.T
        dictionary *= activations.T @ ratio(spectrogram, activations, dictionary)
        # What the rows lose when they are normalised, the activations gain: the model stays the same.
        activations *= dictionary.sum(axis=1) / (activations.sum(axis=0) + TINY)
        dictionary = normalised(dictionary)
    return dictionary


def explain(
    spectrogram: Matrix, known: Matrix, free: Matrix, iterations: int, sparsity: float = 0.0
) -> tuple[Matrix, Matrix]:
    """Activations of a known dictionary, beside a few components that are learned on the spot.

    Parameters
    ----------
    spectrogram, known, free
        Shapes (frames, bins), (k, bins) and (m, bins); k or m may be 0.
    sparsity
        Weight of an L1 penalty on the activations of the free components, so
        that they take only what the known ones explain badly.

    Returns
    -------
    Activations (frames, k + m), the known components first, and the free components as learned.
    """
    dictionary = np.concatenate([known, free])
    split, size = len(known), len(dictionary)
    activations = np.repeat(spectrogram.sum(axis=1, keepdims=True) / np.float32(max(size, 1)), size, axis=1)
    shrink = np.ones(size, dtype=np.float32)
    shrink[split:] += np.float32(sparsity)
    for _ in range(iterations):
        if len(free):
            quotient = ratio(spectrogram, activations, dictionary)
            dictionary[split:] = normalised(dictionary[split:] * (activations[:, split:].T @ quotient))
        activations *= ratio(spectrogram, activations, dictionary) @ dictionary.T / shrink
    return activations, dictionary[split:]


def ratio(spectrogram: Matrix, activations: Matrix, dictionary: Matrix) -> Matrix:
    """V / (H @ W), which drives both updates."""
    model = activations @ dictionary
    model += TINY
    np.divide(spectrogram, model, out=model)
    return model


def normalised(dictionary: Matrix) -> Matrix:
    """Rows that sum to 1."""
    return np.asarray(dictionary / (dictionary.sum(axis=1, keepdims=True) + TINY), dtype=np.float32)
