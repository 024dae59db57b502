"""Systems that are told by an activity mask or by a prefix: small ones that make real use of it.

They stand for DiCoW (a mask of four classes conditions the encoder) and for
CocktailASR or Whisper-Sidecar (one signal: enrolment, silence, mixture).
"""

from __future__ import annotations

import numpy as np

from tspbench import Prefix

FRAMES_PER_S = 50
FFT, HOP = 512, 256
WEIGHTS = np.float32([0.0, 1.0, 0.0, 0.7])
"""What is kept of a frame, by class: silence, target, non-target, overlap. The mask weighs four maps, as in FDDT."""


class Gate:
    """Keeps what the mask gives to the target."""

    queries = frozenset({"activity_mask"})

    def extract(self, mixtures, lengths, queries):
        estimates = np.zeros_like(mixtures)
        for row, mixture, length, query in zip(estimates, mixtures, lengths, queries, strict=True):
            per_frame = WEIGHTS @ query.activity_mask
            place = np.arange(length) * FRAMES_PER_S // query.sample_rate
            row[:length] = mixture[:length] * per_frame[place]
        return estimates


class GateOrVoice(Gate):
    """Takes a mask or an enrolment; without a mask it gives the mixture back."""

    queries = frozenset({"activity_mask", "enrolment"})

    def extract(self, mixtures, lengths, queries):
        told = [query for query in queries if query.activity_mask is not None]
        return super().extract(mixtures, lengths, queries) if len(told) == len(queries) else mixtures.copy()


class HearsGated:
    """Writes down what pocketsphinx hears of the gated mixture."""

    sample_rate = 16000
    queries = frozenset({"activity_mask"})

    def transcribe(self, mixtures, lengths, queries):
        from tspbench.instruments import recogniser

        hears = recogniser("pocketsphinx")
        gated = Gate().extract(mixtures, lengths, queries)
        return [hears.transcribe(row[:n]) for row, n in zip(gated, lengths, strict=True)]


class Match:
    """Learns the voice's spectrum from the prefix, and the other's from frames unlike it: two NMF parts, one fixed.

    It looks at nothing but the one signal it is given and where the mixture begins in it.
    """

    queries = frozenset({"enrolment"})
    enrolment_prefix = Prefix(gap_s=0.2, level="mixture", longest_s=4.0)

    def extract(self, mixtures, lengths, queries):
        estimates = np.zeros_like(mixtures)
        for row, mixture, length, query in zip(estimates, mixtures, lengths, queries, strict=True):
            begin = query.prefix
            row[:begin] = np.nan  # whatever stands before the mixture is cut off
            row[begin:length] = follow(mixture[:begin], mixture[begin:length])
        return estimates


class MatchWords(Match):
    """Says how long the parts of its signal are."""

    extract = None

    def transcribe(self, mixtures, lengths, queries):
        return [f"{query.prefix} {length - query.prefix}" for length, query in zip(lengths, queries, strict=True)]


class Counts:
    """Writes down how many samples it hears."""

    sample_rate = 8000

    def transcribe(self, mixtures, lengths, queries):
        return [str(length) for length in lengths]


class Through(Match):
    """Gives back what it is given, the prefix included."""

    def extract(self, mixtures, lengths, queries):
        return mixtures.copy()


def follow(voice, mixture, parts=12, rounds=20):
    """The share of a mixture that a dictionary learned from ``voice`` explains (KL-NMF, soft mask)."""
    if not voice.any() or not mixture.any():
        return mixture
    rng = np.random.default_rng(0)
    known = factors(np.abs(spectrum(voice)), None, parts, rounds, rng)[0]
    mixed = spectrum(mixture)
    bases, gains = factors(np.abs(mixed), known, parts, rounds, rng)
    ours = bases[:, :parts] @ gains[:parts]
    return signal(mixed * (ours / (bases @ gains + 1e-12)), len(mixture))


def factors(magnitudes, known, parts, rounds, rng):
    fixed = np.zeros((len(magnitudes), 0)) if known is None else known
    free = rng.random((len(magnitudes), parts)) + 0.1
    gains = rng.random((fixed.shape[1] + parts, magnitudes.shape[1])) + 0.1
    for _ in range(rounds):
        bases = np.hstack([fixed, free])
        gains *= bases.T @ (magnitudes / (bases @ gains + 1e-9)) / (bases.sum(axis=0)[:, None] + 1e-9)
        ratio = magnitudes / (bases @ gains + 1e-9)
        own = gains[fixed.shape[1] :]
        free *= ratio @ own.T / (own.sum(axis=1) + 1e-9)
        free /= free.sum(axis=0) + 1e-9
    return np.hstack([fixed, free]), gains


def spectrum(samples):
    window = np.hanning(FFT + 1)[:-1]
    padded = np.pad(samples, (FFT, 2 * FFT))
    starts = range(0, len(padded) - FFT, HOP)
    return np.fft.rfft([padded[start : start + FFT] * window for start in starts]).T


def signal(spectra, length):
    window = np.hanning(FFT + 1)[:-1]
    frames = np.fft.irfft(spectra.T, FFT) * window
    out = np.zeros(HOP * len(frames) + 2 * FFT)
    weight = np.full_like(out, 1e-9)
    for i, frame in enumerate(frames):
        out[i * HOP : i * HOP + FFT] += frame
        weight[i * HOP : i * HOP + FFT] += window**2
    return (out / weight)[FFT : FFT + length].astype(np.float32)
