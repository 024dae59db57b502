"""The two DNSMOS networks on the windows of a clip, with what windows have in common computed once.

Windows of 9.01 s start a second apart, 100 of the networks' frames. The first
four convolutions of the P.835 network see four frames to either side and take
96 % of its time: they are computed once over the clip, and again only for the
frames at a window's ends, where the network sees zeros in place of the clip.
From the first pooling on every window goes its own way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from tspbench.errors import UsageError
from tspbench.mel import band_power
from tspbench.metrics.onnx_part import Tensor, part
from tspbench.types import Audio

SAMPLE_RATE = 16_000
WINDOW = 144_160
HOP = SAMPLE_RATE

P835 = ("sig_bak_ovr.onnx", "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd")
P808 = ("model_v8.onnx", "9246480c58567bc6affd4200938e77eef49468c8bc7ed3776d109c07456f6e91")

_SOUND = Tensor("input_1", ("n", WINDOW))
_SPECTRUM = Tensor("adjusted_input6", ("n", 1, "frames", 161))
_POOLED = Tensor("mos_estimator_logpow/conv2d_3/Relu:0_pooling0", ("n", 32, "half", 80))
_SCORES = Tensor("Identity:0", ("n", 3))

_FRAMES, _SHIFT = 900, 100
_REACH = 4
"""Frames to either side that a frame hangs on before the first pooling, which joins two."""
_CHUNK = 400
"""Frames that are convolved at a time: more take memory (80 kB each) and, beyond the cache, longer."""
_GROUP = 64
"""Windows that share at most, so that memory does not grow with the clip."""

_MELS, _MEL_FFT, _MEL_HOP = 120, 321, 160
CUDA = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True)
class Sessions:
    """The P.835 network in three parts, and the P.808 network."""

    front: Any
    trunk: Any
    head: Any
    p808: Any


def raw_scores(clip: Audio, starts: Sequence[int]) -> tuple[Audio, Audio]:
    """What the networks say of each window.

    Parameters
    ----------
    clip
        Shape (T,), float32 at 16 kHz.
    starts
        Where windows of 144,160 samples begin: multiples of 16,000, rising.

    Returns
    -------
    (P.835, P.808)
        Shapes (n, 3), in the order SIG, BAK, OVRL and not mapped yet, and (n,).
    """
    networks = sessions()
    p835, p808 = [], []
    for first, count in _groups(starts):
        stretch = clip[first : first + (count - 1) * HOP + WINDOW]
        p835.append(_p835(networks, stretch, count))
        p808 += [_run(networks.p808, features[np.newaxis])[0, 0] for features in mel_features(stretch, count)]
    return np.concatenate(p835), np.array(p808, np.float32)


def _groups(starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(start, number) of windows that follow each other a second apart."""
    first, count = starts[0], 0
    for start in starts:
        if start != first + count * HOP or count == _GROUP:
            yield first, count
            first, count = start, 0
        count += 1
    yield first, count


def _p835(networks: Sessions, stretch: Audio, count: int) -> Audio:
    """(count, 3) of the windows in a stretch, which ends with the last of them."""
    spectrum = _spectrum(networks, stretch, count)
    pooled = _pooled(networks, spectrum)
    ends = _ends(networks, spectrum, count)
    scores = []
    for i in range(count):
        own = pooled[:, :, i * _SHIFT // 2 : (i * _SHIFT + _FRAMES) // 2].copy()
        if i > 0:
            own[:, :, : _REACH // 2] = ends[i - 1, :, : _REACH // 2]
        if i < count - 1:
            own[:, :, -_REACH // 2 :] = ends[count - 1 + i, :, -_REACH // 2 :]
        scores.append(_run(networks.head, own))
    return np.concatenate(scores)


def _spectrum(networks: Sessions, stretch: Audio, count: int) -> Audio:
    """The network's own log power spectrum of a stretch, (1, 1, frames, 161)."""
    spectrum = np.empty((1, 1, _FRAMES + (count - 1) * _SHIFT, 161), np.float32)
    for i in dict.fromkeys([*range(0, count, _FRAMES // _SHIFT), count - 1]):
        window = stretch[np.newaxis, i * HOP : i * HOP + WINDOW]
        spectrum[:, :, i * _SHIFT : i * _SHIFT + _FRAMES] = _run(networks.front, window)
    return spectrum


def _pooled(networks: Sessions, spectrum: Audio) -> Audio:
    """What the first pooling makes of it, (1, 32, frames / 2, 80), chunk by chunk."""
    frames = spectrum.shape[2]
    parts = []
    for start in range(0, frames, _CHUNK):
        before = min(start, _REACH)
        found = _run(networks.trunk, spectrum[:, :, start - before : start + _CHUNK + _REACH])
        parts.append(found[:, :, before // 2 : (before + _CHUNK) // 2])
    return np.concatenate(parts, axis=2)


def _ends(networks: Sessions, spectrum: Audio, count: int) -> Audio:
    """The beginnings of all windows but the first, then the ends of all but the last, as if nothing were beyond."""
    if count == 1:
        return np.empty((0, 32, _REACH, 80), np.float32)
    seen = 2 * _REACH
    begins = [i * _SHIFT for i in range(1, count)] + [i * _SHIFT + _FRAMES - seen for i in range(count - 1)]
    return _run(networks.trunk, np.concatenate([spectrum[:, :, begin : begin + seen] for begin in begins]))


def mel_features(stretch: Audio, count: int) -> Audio:
    """The P.808 network's input for ``count`` windows a second apart, shape (count, 900, 120).

    A log mel spectrum against each window's own peak, as librosa's
    ``melspectrogram`` (Slaney's filters, a periodic Hann window of 321 samples
    every 160, zeros beyond the ends of the window, whose last 160 samples are
    left out) and ``power_to_db(ref=max)`` (1e-10 at least, 80 dB of range),
    then ``(dB + 40) / 40``.
    """
    used = stretch[:-_MEL_HOP].astype(np.float64)
    inner = np.lib.stride_tricks.sliding_window_view(used, _MEL_FFT)[::_MEL_HOP]
    begins, ends = np.zeros((2, count, _MEL_FFT))
    for i in range(count):
        window = used[i * HOP : i * HOP + WINDOW - _MEL_HOP]
        begins[i, _MEL_HOP:] = window[: _MEL_FFT - _MEL_HOP]
        ends[i, :-1] = window[1 - _MEL_FFT :]
    first, shared, last = (band_power(frames, SAMPLE_RATE, _MELS) for frames in (begins, inner, ends))
    inside = [shared[i * _SHIFT : i * _SHIFT + _FRAMES - 2] for i in range(count)]
    return np.stack([_against_peak(np.vstack([first[i], inside[i], last[i]])) for i in range(count)])


def _against_peak(power: Audio) -> Audio:
    db = 10 * np.log10(np.maximum(power, 1e-10) / max(power.max(), 1e-10))
    features: Audio = ((np.maximum(db, -80.0) + 40) / 40).astype(np.float32)
    return features


def _run(session: Any, given: Audio) -> Audio:
    found: Audio = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(given)})[0]
    return found


@cache
def sessions() -> Sessions:
    """The networks, once per process, one thread each: scoring spreads over processes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def session(model: bytes) -> Any:
        return onnxruntime.InferenceSession(model, options, providers=providers())

    p835 = network(*P835)
    parts = [part(p835, *ends) for ends in ((_SOUND, _SPECTRUM), (_SPECTRUM, _POOLED), (_POOLED, _SCORES))]
    return Sessions(*map(session, [*parts, network(*P808)]))


def providers() -> list[str | tuple[str, dict[str, str]]]:
    """Where onnxruntime computes: on a GPU where ``onnxruntime-gpu`` is installed, unless TSPBENCH_DNSMOS=cpu.

    TF32 would cost three digits, and a search for the fastest convolution would
    begin anew with every shape. Not yet tried on a GPU.
    """
    import onnxruntime

    found: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if CUDA in onnxruntime.get_available_providers() and os.environ.get("TSPBENCH_DNSMOS") != "cpu":
        found.insert(0, (CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}))
    return found


def network(name: str, sha256: str) -> bytes:
    """The bytes of a network in the ``speechmos`` wheel; UsageError unless it is the known file."""
    import hashlib

    spec = find_spec("speechmos")
    folders = spec.submodule_search_locations or [] if spec else []
    path = next((p for p in (Path(f, "dnsmos_models", name) for f in folders) if p.is_file()), None)
    remedy = "Install it with: pip install speechmos==0.0.1.1"
    if path is None:
        raise UsageError(f"DNSMOS needs {name} from the speechmos package, which is not there. {remedy}")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise UsageError(f"{path} is not the DNSMOS network known here: sha256 {found[:12]}…. {remedy}")
    return data
