"""Short-time Fourier transform of one signal, and its exact inverse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import fft

from tspbench.errors import UsageError
from tspbench.types import Audio

Spectrum = npt.NDArray[np.complex64]
"""Shape (frames, bins)."""


@dataclass(frozen=True)
class STFT:
    """A square-root Hann window before and behind the transform.

    The inverse divides by the sum of the squared windows: it is the
    least-squares inverse of Griffin and Lim (1984), exact where the spectrum
    was left as it is. A window's worth of zeros on both sides lets every
    sample, the first and the last included, be covered by full windows.

    Parameters
    ----------
    window, hop
        Samples; the hop is at most half the window.
    """

    window: int
    hop: int

    @classmethod
    def at(cls, sample_rate: int, window_ms: float, hop_ms: float) -> STFT:
        """The transform whose window and hop are nearest to the asked durations.

        Raises
        ------
        UsageError
            The hop is no positive duration of at most half the window.
        """
        if not 0 < 2 * hop_ms <= window_ms:
            raise UsageError(
                f"hop_ms={hop_ms} and window_ms={window_ms}: the hop must be positive and at most half the window."
            )
        hop = max(1, round(hop_ms * sample_rate / 1000))
        return cls(window=max(2 * hop, round(window_ms * sample_rate / 1000)), hop=hop)

    @cached_property
    def taper(self) -> Audio:
        """The window, shape (window,)."""
        # The periodic Hann window is the square of this sine.
        return np.sin(np.pi * np.arange(self.window) / self.window).astype(np.float32)

    @property
    def points(self) -> int:
        """Length of the transform: the window, lengthened to a fast size."""
        return int(fft.next_fast_len(self.window, real=True))

    def forward(self, signal: Audio) -> Spectrum:
        """Spectrum (frames, bins) of a signal (T,), T >= 0."""
        padded = np.zeros(self._span(len(signal)), dtype=np.float32)
        padded[self.window : self.window + len(signal)] = signal
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[:: self.hop]
        return np.asarray(fft.rfft(frames * self.taper, self.points), dtype=np.complex64)

    def inverse(self, spectrum: Spectrum, length: int) -> Audio:
        """Signal (length,) of a spectrum that :meth:`forward` made of as many samples."""
        frames = fft.irfft(spectrum, self.points)[:, : self.window] * self.taper
        weights = np.broadcast_to(self.taper**2, frames.shape)
        body = slice(self.window, self.window + length)
        return np.asarray(self._overlap_add(frames)[body] / self._overlap_add(weights)[body], dtype=np.float32)

    def _span(self, length: int) -> int:
        """Samples of a whole number of hops that hold the signal between two windows of zeros."""
        hops = -(-(length + self.window) // self.hop)
        return hops * self.hop + self.window

    def _overlap_add(self, frames: npt.NDArray[np.float32]) -> Audio:
        """Sum of frames (n, window), each one hop after the last: shape (T,)."""
        pieces = -(-self.window // self.hop)
        padded = np.zeros((len(frames), pieces * self.hop), dtype=np.float32)
        padded[:, : self.window] = frames
        hops = padded.reshape(len(frames), pieces, self.hop)
        out = np.zeros((len(frames) + pieces - 1, self.hop), dtype=np.float32)
        for piece in range(pieces):
            out[piece : piece + len(frames)] += hops[:, piece]
        return out.reshape(-1)
