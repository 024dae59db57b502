"""Systems whose costs are known beforehand."""

from __future__ import annotations

import os
import signal
import time

import numpy as np


class Sleeper:
    """Takes 10 ms per second of audio, whatever the batch."""

    def extract(self, mixtures, lengths, queries):
        time.sleep(0.01 * mixtures.shape[1] / queries[0].sample_rate)
        return mixtures


class Awakening:
    """The first call takes a quarter of a second more than others."""

    slept = False

    def extract(self, mixtures, lengths, queries):
        if not self.slept:
            time.sleep(0.25)
        self.slept = True
        return mixtures


class Hoarder:
    """Loads 64 MiB and keeps them; takes another 96 MiB during calls on 2 s and more."""

    def load(self, device):
        self.weights = np.ones(64 << 17)

    def extract(self, mixtures, lengths, queries):
        if mixtures.shape[1] >= 2 * queries[0].sample_rate:
            mixtures = mixtures + np.float32(np.ones(96 << 17)[-1] - 1)
        return mixtures


class Starved:
    """Raises, or is killed, as for want of memory."""

    def __init__(self, how: str = "raise", seconds: float = 2.0, size: int = 2):
        self.how, self.seconds, self.size = how, seconds, size

    def extract(self, mixtures, lengths, queries):
        rate = queries[0].sample_rate
        if len(mixtures) >= self.size and mixtures.shape[1] >= self.seconds * rate:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hang":
                time.sleep(3600)
            if self.how == "value":
                raise ValueError("too long for me")
            raise MemoryError("not enough")
        return mixtures


class CannotLoad:
    def load(self, device):
        raise RuntimeError("the weights are somewhere else")

    def extract(self, mixtures, lengths, queries):
        return mixtures


class Clerk:
    """Words only."""

    queries = frozenset({"enrolment"})

    def transcribe(self, mixtures, lengths, queries):
        return ["some words"] * len(queries)


class Careless:
    """Writes into its arguments and returns the wrong number of texts for none."""

    def extract(self, mixtures, lengths, queries):
        mixtures *= 0
        return mixtures


class Dreamer:
    aligned = False

    def extract(self, mixtures, lengths, queries):
        return mixtures[:, ::-1].copy()


class Convolution:
    """A network of a frozen and a trained layer: 1 -> 8 channels of 33 taps, 8 -> 1 of 1."""

    sample_rate = 8000

    def load(self, device):
        import torch

        torch.manual_seed(0)
        first = torch.nn.Conv1d(1, 8, 33, padding=16)
        first.requires_grad_(False)
        self.net = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Conv1d(8, 1, 1))

    def extract(self, mixtures, lengths, queries):
        import torch

        with torch.inference_mode():
            return self.net(torch.from_numpy(mixtures)[:, None])[:, 0]
