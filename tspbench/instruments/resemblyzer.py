"""Resemblyzer's voice encoder on the weights in its wheel, without importing the package.

The package needs ``pkg_resources`` (through webrtcvad) and a namespace that
scipy removed, so only its weights and webrtcvad's compiled module are used.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tspbench.errors import MissingExtra, UsageError
from tspbench.instruments.base import one_thread, package, versions
from tspbench.mel import mel_power
from tspbench.types import Audio

SAMPLE_RATE = 16_000
WEIGHTS_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"

LEVEL_DBFS = -30.0
MELS, HOP, WINDOW = 40, 160, 400
PARTIAL_FRAMES = 160
PARTIALS_PER_S = 1.3
LEAST_COVERAGE = 0.75

VAD_WINDOW = 480
VAD_MODE = 3
VAD_AVERAGE = 8
VAD_BRIDGED = 6


class Resemblyzer:
    """GE2E encoder: 40 mel bands, three LSTM layers of 256, a linear layer, ReLU; vectors of 256.

    A quieter signal is raised to -30 dBFS, pauses are cut out by WebRTC's
    voice detector, and the vectors of 1.6 s stretches are averaged. The ReLU
    keeps all cosines within [0, 1], and unrelated voices well above 0.
    """

    name = "resemblyzer"
    sample_rate = SAMPLE_RATE

    def __init__(self) -> None:
        what = "The speaker encoder 'resemblyzer'"
        self._torch = package("torch", what, "speaker")
        self._vad = package("_webrtcvad", what, "speaker")
        state = self._torch.load(_weights(what), weights_only=True, map_location="cpu")["model_state"]
        self._lstm = self._torch.nn.LSTM(MELS, 256, 3, batch_first=True)
        self._linear = self._torch.nn.Linear(256, 256)
        for part, layer in (("lstm.", self._lstm), ("linear.", self._linear)):
            layer.load_state_dict({k.removeprefix(part): v for k, v in state.items() if k.startswith(part)})

    @property
    def version(self) -> str:
        return f"{versions('webrtcvad', 'torch')}, weights sha256 {WEIGHTS_SHA256}"

    def embed(self, samples: Audio) -> Audio | None:
        """Shape (256,), norm 1; None where the voice detector hears no speech."""
        speech = self._speech(samples)
        if speech is None:
            return None
        starts = partial_starts(speech.size)
        end = (starts[-1] + PARTIAL_FRAMES) * HOP
        mels = mel_power(np.pad(speech, (0, max(0, end - speech.size))), SAMPLE_RATE, WINDOW, HOP, MELS)
        mean = self._encode(np.stack([mels[start : start + PARTIAL_FRAMES] for start in starts])).mean(axis=0)
        norm = np.linalg.norm(mean)
        return mean / norm if np.isfinite(norm) and norm > 0 else None

    def _encode(self, mels: Audio) -> Audio:
        """Unit vectors of stretches of shape (n, 160, 40)."""
        with one_thread(self._torch):
            _, (hidden, _) = self._lstm(self._torch.from_numpy(mels))
            raw = self._torch.relu(self._linear(hidden[-1]))
            vectors: Audio = (raw / raw.norm(dim=1, keepdim=True)).numpy()
        return vectors

    def _speech(self, samples: Audio) -> Audio | None:
        """The samples at their due level without long pauses; None when nothing is left."""
        if samples.size < VAD_WINDOW or not samples.any():
            return None
        samples = _raised(samples)
        samples = samples[: samples.size - samples.size % VAD_WINDOW]
        kept = samples[np.repeat(smoothed(self._voiced(samples)), VAD_WINDOW)]
        return kept if kept.any() else None

    def _voiced(self, samples: Audio) -> npt.NDArray[np.bool_]:
        """Whether the voice detector hears speech, for each window of 30 ms."""
        detector = self._vad.create()
        self._vad.init(detector)
        self._vad.set_mode(detector, VAD_MODE)
        pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").reshape(-1, VAD_WINDOW)
        return np.array([self._vad.process(detector, SAMPLE_RATE, w.tobytes(), VAD_WINDOW) for w in pcm], dtype=bool)


def smoothed(voiced: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Windows to keep: more than half of 8 neighbours voiced, then 3 more on either side."""
    padded = np.pad(voiced.astype(int), ((VAD_AVERAGE - 1) // 2, VAD_AVERAGE // 2))
    mostly = np.convolve(padded, np.ones(VAD_AVERAGE, int), "valid") > VAD_AVERAGE // 2
    reach = VAD_BRIDGED // 2
    kept: npt.NDArray[np.bool_] = np.convolve(np.pad(mostly, reach), np.ones(VAD_BRIDGED + 1, int), "valid") > 0
    return kept


def partial_starts(length: int) -> list[int]:
    """First frames of the stretches of 1.6 s that are encoded, for so many samples.

    The last one, padded with zeros, counts only if three quarters of it are speech.
    """
    step = round(SAMPLE_RATE / PARTIALS_PER_S / HOP)
    frames = -(-(length + 1) // HOP)
    starts = list(range(0, max(1, frames - PARTIAL_FRAMES + step + 1), step))
    coverage = (length - starts[-1] * HOP) / (PARTIAL_FRAMES * HOP)
    return starts[:-1] if coverage < LEAST_COVERAGE and len(starts) > 1 else starts


def _raised(samples: Audio) -> Audio:
    """At -30 dBFS (RMS) where quieter; in float32 throughout, as the published code."""
    rms = np.sqrt(np.mean((samples * 32767) ** 2))
    change = LEVEL_DBFS - 20 * np.log10(rms / 32767)
    return samples if change < 0 else samples * (10 ** (change / 20))


def _weights(what: str) -> Path:
    """The weights in the ``resemblyzer`` wheel; UsageError unless they are the known file."""
    spec = find_spec("resemblyzer")
    folders = spec.submodule_search_locations or [] if spec else []
    path = next((p for p in (Path(folder, "pretrained.pt") for folder in folders) if p.is_file()), None)
    if path is None:
        raise MissingExtra(what, "speaker")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise UsageError(
            f"{path} holds other weights than those known here: sha256 {found[:12]}…. "
            "Install them with: pip install resemblyzer==0.1.4"
        )
    return path
