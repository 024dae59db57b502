"""Reading and resampling: the only place that touches audio files."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from pathlib import Path

import numpy as np
import soundfile
import soxr
import xxhash

from tspbench.errors import AudioError
from tspbench.types import Audio

STREAMED = 0x7FFF0000
"""Programs that write a WAV file into a pipe put at least this many bytes into its header."""


def read(
    path: Path,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    sha256: str | None = None,
    channel: int | None = None,
) -> tuple[Audio, int]:
    """Read a stretch of a file as mono float32: one channel, or the mean of all.

    Any format that libsndfile reads.

    Returns
    -------
    (samples, sample_rate)
        samples has shape (T,), T >= 1, at the file's own rate in Hz.

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, shorter than ``start_s``, holds
        NaN or infinity, lacks the channel, or is not the file that ``sha256`` names.
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
    mono = _mono(path, samples, channel)
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
    if _is_cut(path):
        raise AudioError(f"{path} is truncated: it holds less audio than its header says. Copy it again.")
    return info.frames / info.samplerate, info.samplerate, info.channels


def _is_cut(path: Path) -> bool:
    """Does a WAV file end before its data does? libsndfile reads what is there and does not say so."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return False
        file.seek(12)
        while len(head := file.read(8)) == 8:
            chunk, size = struct.unpack("<4sI", head)
            if chunk == b"data":
                return bool(path.stat().st_size - file.tell() < size < STREAMED)
            file.seek(size + size % 2, 1)
    return False


def measure(path: Path, *, start_s: float = 0.0, duration_s: float | None = None) -> tuple[int, int]:
    """How many samples :func:`read` would give, and their rate in Hz, from a file's header; raises like it."""
    seconds, rate, _ = probe(path)
    frames = round(seconds * rate) - round(start_s * rate)
    if frames <= 0:
        raise AudioError(_too_short(path, round(seconds * rate), rate, start_s))
    return (frames if duration_s is None else min(frames, round(duration_s * rate))), rate


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


def resample(samples: Audio, rate: int, wanted: int, method: str = "vhq") -> Audio:
    """Band-limited resampling along the last axis.

    Parameters
    ----------
    method
        ``vhq``: soxr, very high quality. ``hq``: soxr, high quality, cut or
        padded to ceil(T * wanted / rate) samples, as ``librosa.resample`` does.
        ``polyphase``: ``scipy.signal.resample_poly`` with its own window,
        computed in the precision of ``samples``.

    Returns
    -------
    Shape (..., T) becomes (..., ceil(T * wanted / rate)), to within a sample
    for ``vhq``; equal rates return the input itself.
    """
    if rate == wanted:
        return samples
    if samples.shape[-1] == 0 or samples.size == 0:
        shape = (*samples.shape[:-1], round(samples.shape[-1] * wanted / rate))
        return np.zeros(shape, dtype=np.float32)
    if method == "polyphase":
        return _polyphase(samples, rate, wanted)
    out = np.ascontiguousarray(soxr.resample(samples.T, rate, wanted, quality=method.upper()).T, dtype=np.float32)
    return fit(out, math.ceil(samples.shape[-1] * wanted / rate)) if method == "hq" else out


def repeat(samples: Audio, rate: int, length: int) -> Audio:
    """A recording, shape (T,), repeated until it lasts ``length`` samples.

    Neighbours overlap by the falling and the rising half of a Hann window of
    one second. This is how LibriMix extends short noise
    (``extend_noise``, github.com/JorisCos/LibriMix).

    Raises
    ------
    AudioError
        The recording must be repeated and is no longer than the overlap.
    """
    if len(samples) >= length:
        return samples[:length]
    window = np.hanning(rate + 1)
    rise, fall = window[: len(window) // 2 + 1], window[len(window) // 2 :: -1]
    overlap = len(rise)
    if len(samples) <= overlap:
        raise AudioError(f"A noise of {len(samples)} samples is too short to be repeated ({overlap + 1} are needed).")
    parts: list[Audio] = []
    held, missing = samples, length - len(samples)
    while missing > 0:
        parts.append(held[:-overlap])
        missing -= len(samples) - overlap
        held = np.concatenate([held[-overlap:] * fall + samples[:overlap] * rise, samples[overlap:]])
    return np.concatenate([*parts, held])[:length]


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


def _polyphase(samples: Audio, rate: int, wanted: int) -> Audio:
    from scipy.signal import resample_poly

    out: Audio = resample_poly(samples, wanted, rate, axis=-1)
    return out


def _mono(path: Path, samples: Audio, channel: int | None) -> Audio:
    channels = samples.shape[1]
    if channel is None:
        return samples[:, 0] if channels == 1 else samples.mean(axis=1)
    if not 0 <= channel < channels:
        raise AudioError(f"{path} has {channels} channel(s), but the trial reads channel {channel} (from 0).")
    return samples[:, channel]


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
    if _is_shortened(path):
        return AudioError(
            f"{path} is a SPHERE file compressed with shorten, which cannot be read here. "
            "Convert it with sph2pipe (sph2pipe -f wav IN OUT), and give the folder of WAV files."
        )
    reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
    return AudioError(f"{path} cannot be read as audio: {reason}.")


def _is_shortened(path: Path) -> bool:
    """Is it a NIST SPHERE file whose header declares embedded shorten?"""
    try:
        with path.open("rb") as file:
            header = file.read(1024)
    except OSError:
        return False
    return header.startswith(b"NIST_1A") and b"embedded-shorten" in header
