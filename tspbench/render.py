"""Recipe to samples: the one place where mixtures are made, the same on every run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.errors import AudioError
from tspbench.types import Clip, Mix, Rendered, Role, Source, Trial

Read = Callable[[Clip], tuple[npt.NDArray[np.float32], int]]
"""Samples (T,) and rate in Hz of a clip, already cut to its stretch."""

Float = npt.NDArray[np.float64]


def render(trial: Trial, read: Read, sample_rate: int) -> Rendered:
    """Mix the sources of a trial as its :class:`~tspbench.types.Mix` says.

    Sums run in float64; signals are float32 in the end, the mixture being the
    rounded sum. With no target source, ``target`` is None.

    Raises
    ------
    AudioError
        A source cannot be read, or the target is silent where a ratio is asked.
    """
    placed = [_place(source, read, sample_rate) for source in trial.sources]
    length = max(1, _length(trial, placed, sample_rate))
    signals = np.stack([audio.fit(signal, length) for signal in placed]).astype(np.float64)
    signals *= np.array([[source.gain] for source in trial.sources])
    is_target = np.array([source.role is Role.TARGET for source in trial.sources])
    if trial.mix.snr_db is not None and not is_target.all():
        signals[~is_target] *= _gain(trial, signals, is_target)
    signals = _limited(signals, trial.mix)
    mixture = signals.sum(axis=0)
    if trial.mix.rounding == "pcm16":
        mixture, signals = _pcm16(mixture), _pcm16(signals)
    return Rendered(
        sample_rate=sample_rate,
        mixture=mixture.astype(np.float32),
        target=signals[is_target][0].astype(np.float32) if is_target.any() else None,
        interferers=signals[~is_target].astype(np.float32),
    )


def _place(source: Source, read: Read, sample_rate: int) -> npt.NDArray[np.float32]:
    samples, rate = read(source)
    samples = audio.resample(samples, rate, sample_rate)
    return np.pad(samples, (round(source.offset_s * sample_rate), 0))


def _length(trial: Trial, placed: list[npt.NDArray[np.float32]], sample_rate: int) -> int:
    rule = trial.mix.length
    if isinstance(rule, int | float):
        return round(rule * sample_rate)
    if rule == "target":
        return next(len(s) for s, source in zip(placed, trial.sources, strict=True) if source.role is Role.TARGET)
    return (min if rule == "min" else max)(len(signal) for signal in placed)


def _gain(trial: Trial, signals: Float, is_target: npt.NDArray[np.bool_]) -> float:
    """The factor on everything but the target that reaches the asked ratio."""
    assert trial.mix.snr_db is not None
    target, rest = signals[is_target][0], signals[~is_target].sum(axis=0)
    levels = [_level(target, trial.mix), _level(rest, trial.mix)]
    if not all(levels):
        silent = "target" if not levels[0] else "interference"
        raise AudioError(f"Trial {trial.trial_id!r}: the {silent} is silent, so {trial.mix.snr_db} dB cannot be set.")
    return float(levels[0] / levels[1] * 10 ** (-trial.mix.snr_db / 20))


def _level(signal: Float, mix: Mix) -> float:
    """Amplitude of a signal under the rule of the mix."""
    if mix.level == "peak":
        return float(np.abs(signal).max())
    energy = float(np.einsum("i,i->", signal, signal))
    if mix.level == "energy":
        return float(energy**0.5)
    covered = np.flatnonzero(signal)
    return float((energy / (covered[-1] - covered[0] + 1)) ** 0.5) if len(covered) else 0.0


def _limited(signals: Float, mix: Mix) -> Float:
    peak = np.abs(signals.sum(axis=0)).max()
    return signals * (0.9 / peak) if mix.clip == "rescale" and peak > 1 else signals


def _pcm16(signal: Float) -> Float:
    # libsndfile's own arithmetic: rounded to 32 bits, of which the lower 16 are dropped.
    return np.clip(np.floor(np.rint(signal * 2**31) / 2**16), -32768, 32767) / 32768
