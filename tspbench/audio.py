"""Reading and resampling: the only place that touches audio files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import soundfile
import soxr
import xxhash

from tspbench.errors import AudioError
from tspbench.types import Audio


def read(
    path: Path, *, start_s: float = 0.0, duration_s: float | None = None, sha256: str | None = None
) -> tuple[Audio, int]:
    """Read a stretch of a file as mono float32.

    Several channels are averaged. Any format that libsndfile reads.

    Returns
    -------
    (samples, sample_rate)
        samples has shape (T,), T >= 1, at the file's own rate in Hz.

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, shorter than ``start_s``, holds
        NaN or infinity, or is not the file that ``sha256`` names.
    """
    file: Path | io.BytesIO = path
    if sha256 is not None:
        file = io.BytesIO(_verified_bytes(path, sha256))
    try:
        with soundfile.SoundFile(file) as sound:
            rate = sound.samplerate
            start = round(start_s * rate)
            if start >= len(sound):
                raise AudioError(_too_short(path, len(sound), rate, start_s))
            sound.seek(start)
            frames = -1 if duration_s is None else round(duration_s * rate)
            samples = sound.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    if len(samples) == 0:
        raise AudioError(_too_short(path, 0, rate, start_s))
    mono: Audio = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(f"{path} holds NaN or infinity. Write the file again from clean samples.")
    return mono, rate


def probe(path: Path) -> tuple[float, int, int]:
    """(seconds, sample rate in Hz, channels) from a file's header; raises like :func:`read`."""
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    if info.frames == 0:
        raise AudioError(_too_short(path, 0, info.samplerate, 0.0))
    return info.frames / info.samplerate, info.samplerate, info.channels


def verify(path: Path, sha256: str) -> None:
    """AudioError unless the file is the one that ``sha256`` names."""
    _verified_bytes(path, sha256)


def read_vector(path: Path) -> Audio:
    """Read a speaker vector from a ``.npy`` file as float32 of shape (D,)."""
    try:
        vector: Audio = np.asarray(np.load(path, allow_pickle=False), dtype=np.float32).reshape(-1)
    except (OSError, EOFError, TypeError, ValueError) as error:
        raise AudioError(f"{path} cannot be read as a .npy vector: {error}.") from error
    if not np.isfinite(vector).all():
        raise AudioError(f"{path} holds NaN or infinity.")
    return vector


def resample(samples: Audio, rate: int, wanted: int) -> Audio:
    """Band-limited resampling along the last axis (soxr, very high quality).

    Shape (..., T) becomes (..., ceil(T * wanted / rate)) to within a sample;
    equal rates return the input itself.
    """
    if rate == wanted:
        return samples
    if samples.shape[-1] == 0 or samples.size == 0:
        shape = (*samples.shape[:-1], round(samples.shape[-1] * wanted / rate))
        return np.zeros(shape, dtype=np.float32)
    out = soxr.resample(samples.T, rate, wanted, quality="VHQ").T
    return np.ascontiguousarray(out, dtype=np.float32)


def fit(samples: Audio, length: int) -> Audio:
    """Cut, or pad with zeros at the end, the last axis to ``length`` samples."""
    missing = length - samples.shape[-1]
    if missing <= 0:
        return samples[..., :length]
    return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])


def write(path: Path, samples: Audio, rate: int) -> None:
    """Write float32 WAV: 16-bit files would cap SI-SDR near 70 dB."""
    whole = io.BytesIO()
    soundfile.write(whole, samples, rate, format="WAV", subtype="FLOAT")
    path.write_bytes(whole.getbuffer())


def digest(*signals: Audio | None) -> str:
    """XXH3 (128 bit, hex) over the samples and shapes of some signals: identity, not security."""
    state = xxhash.xxh3_128()
    for signal in signals:
        state.update(str(None if signal is None else signal.shape).encode())
        if signal is not None:
            state.update(np.ascontiguousarray(signal).data)
    return state.hexdigest()


def _verified_bytes(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise AudioError(
            f"{path} is not the file that the trial list names: "
            f"sha256 {found[:12]}…, expected {sha256[:12]}…. Fetch the original file again."
        )
    return data


def _too_short(path: Path, frames: int, rate: int, start_s: float) -> str:
    if frames == 0:
        return f"{path} is empty: it holds no samples."
    return f"{path} lasts {frames / rate:.3f} s, but the trial starts reading at {start_s:.3f} s."


def _unreadable(path: Path, error: Exception) -> AudioError:
    if not path.exists():
        return AudioError(f"{path} does not exist.")
    if path.is_dir():
        return AudioError(f"{path} is a folder, not an audio file.")
    if path.stat().st_size == 0:
        return AudioError(f"{path} is empty (0 bytes).")
    reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
    return AudioError(f"{path} cannot be read as audio: {reason}.")
