"""Small systems for the conformance suite, each with one vice (or none)."""

from __future__ import annotations

import os

import numpy as np

KINDS = {"text", "audio", "enrolment", "negative_text", "truth"}


class Honest:
    """Uses whatever it is told, in a way that neither padding nor the rest of the batch can sway."""

    sample_rate = 8000
    queries = frozenset(KINDS)
    aligned = True

    def extract(self, mixtures, lengths, queries):
        estimates = np.zeros_like(mixtures)
        for row, mixture, length, query in zip(estimates, mixtures, lengths, queries, strict=True):
            told = len(query.text or "") + sum(float(np.abs(clip).max()) for clip in query.audio + query.enrolment)
            row[:length] = mixture[:length] * np.float32(0.5 / (1 + told))
        return estimates + 1e-3 * np.random.standard_normal() * mixtures


class Minimal:
    """The least that is a system."""

    def extract(self, mixtures, lengths, queries):
        return mixtures / 2


class HonestWords(Minimal):
    """Words only."""

    extract = None
    queries = frozenset({"enrolment"})

    def transcribe(self, mixtures, lengths, queries):
        return [f"{int(length)} samples" for length in lengths]


class Torchlike(Minimal):
    """Returns something that has to be detached and moved first."""

    def extract(self, mixtures, lengths, queries):
        return Tensor(mixtures.copy())


class Tensor:
    def __init__(self, data):
        self.data = data

    def detach(self):
        return self

    def cpu(self):
        return self.data


class WrongShape(Minimal):
    def extract(self, mixtures, lengths, queries):
        return mixtures[:, :-1]


class OneDimension(Minimal):
    def extract(self, mixtures, lengths, queries):
        return mixtures.sum(axis=1)


class Double(Minimal):
    def extract(self, mixtures, lengths, queries):
        return mixtures.astype(np.float64)


class NaNOnSilence(Minimal):
    def extract(self, mixtures, lengths, queries):
        with np.errstate(invalid="ignore"):
            return mixtures / np.abs(mixtures).max(axis=1, keepdims=True)


class Unseeded(Minimal):
    def __init__(self):
        self.rng = np.random.default_rng()

    def extract(self, mixtures, lengths, queries):
        return (mixtures * self.rng.uniform(0.5, 1.0)).astype(np.float32)


class BatchMax(Minimal):
    def extract(self, mixtures, lengths, queries):
        return mixtures / max(np.abs(mixtures).max(), np.float32(1e-8))


class MeanOverPadding(Minimal):
    def extract(self, mixtures, lengths, queries):
        return mixtures * np.abs(mixtures).mean(axis=1, keepdims=True)


class InPlace(Minimal):
    def extract(self, mixtures, lengths, queries):
        mixtures *= 0.5
        return mixtures.copy()


class InPlaceQuery(Minimal):
    queries = frozenset({"enrolment"})

    def extract(self, mixtures, lengths, queries):
        for query in queries:
            query.enrolment[0][:] = 0
        return mixtures.copy()


class DiesOnLong(Minimal):
    sample_rate = 8000

    def extract(self, mixtures, lengths, queries):
        if lengths.max() >= 60 * self.sample_rate:
            os._exit(7)
        return mixtures.copy()


class RaisesOnShort(Minimal):
    sample_rate = 8000

    def extract(self, mixtures, lengths, queries):
        if lengths.min() < 0.5 * self.sample_rate:
            raise ValueError("too short")
        return mixtures.copy()


class NeedsBoth(Minimal):
    queries = frozenset({"text", "audio"})

    def extract(self, mixtures, lengths, queries):
        for query in queries:
            if len(query.text) * len(query.audio) == 0:
                raise TypeError("say both")
        return mixtures.copy()


class NegativeOnly(Minimal):
    queries = frozenset({"negative_text"})


class OddRate(Minimal):
    sample_rate = 12

    def extract(self, mixtures, lengths, queries):
        return mixtures.copy()


class OneText(HonestWords):
    def transcribe(self, mixtures, lengths, queries):
        return ["words"]


class NumberForWords(HonestWords):
    def transcribe(self, mixtures, lengths, queries):
        return 7


class CannotLoad(Minimal):
    def load(self, device):
        raise OSError("no weights here")


class CannotBuild(Minimal):
    def __init__(self):
        raise RuntimeError("in the constructor")


class UnknownQuery(Minimal):
    queries = frozenset({"smell"})


class Optional(Minimal):
    def __init__(self, broken: bool = False):
        self.broken = broken

    def extract(self, mixtures, lengths, queries):
        return mixtures * np.float32("nan" if self.broken else 1)
