"""Recipe to samples: the one place where mixtures are made, the same on every run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.errors import AudioError
from tspbench.types import Audio, Clip, Mix, Rendered, Role, Source, Trial

Read = Callable[[Clip], tuple[Audio, int]]
"""Samples (T,) and rate in Hz of a clip, already cut to its stretch."""

Wave = npt.NDArray[np.floating]
"""Samples in the precision of the mix, or in float64."""
Sound = tuple[Audio, int]
Span = tuple[int, int]
"""Number of samples, and rate in Hz."""

Measure = Callable[[Clip], Span]
"""How long a clip is, told without decoding it."""

REACH = 64
"""Samples of the slower rate, more than a polyphase filter reaches to either side (10)."""
LANES, BLOCK = 8, 2048
"""How many sums torch runs side by side; how many rows of them are squared at once, few enough for the cache."""


def render(trial: Trial, read: Read, sample_rate: int, measure: Measure | None = None) -> Rendered:
    """Mix the sources of a trial as its :class:`~tspbench.types.Mix` says.

    Signals are float32 in the end. The mixture is the rounded sum, or the
    trial's own recording of it. With no target source, ``target`` is None.
    With ``measure`` no more is decoded than the mixture needs; the samples are
    the same.

    Raises
    ------
    AudioError
        A source cannot be read, or the target is silent where a ratio is asked.
    """
    signals = _signals(trial, read, sample_rate, measure)
    target, others = _roles(trial)
    if trial.mix.snr_db is not None and others:
        gain = _gain(trial, signals)
        for other in others:
            signals[other] *= gain
    mixture = _limited(signals, trial.mix)
    if trial.mix.rounding == "pcm16":
        mixture, signals = pcm16(mixture), pcm16(signals)
    rendered = Rendered(
        sample_rate=sample_rate,
        mixture=mixture.astype(np.float32, copy=False),
        target=None if target is None else signals[target].astype(np.float32, copy=False),
        interferers=_rows(signals, others).astype(np.float32, copy=False),
    )
    return rendered if trial.mixture is None else _recorded(rendered, trial.mixture, trial.mix, read)


def as_mixed(clip: Clip, mix: Mix, read: Read, sample_rate: int, measure: Measure | None = None) -> Audio:
    """What a clip of a query sounds like, shape (T,): with a partner, as it was in their mixture."""
    if clip.partner is None:
        samples = audio.resample(*read(clip), sample_rate)
        return samples if clip.gain == 1 else samples * np.float32(clip.gain)
    own = {field.name: getattr(clip, field.name) for field in fields(Clip)}
    signal = render(Trial(clip.path, (Source(**own, role=Role.TARGET),), mix), read, sample_rate, measure).target
    assert signal is not None
    return signal


def _recorded(rendered: Rendered, clip: Clip, mix: Mix, read: Read) -> Rendered:
    """The trial with a recording for its mixture."""
    samples = audio.resample(*read(clip), rendered.sample_rate, mix.resample)
    mixture = audio.fit(samples, len(rendered.mixture))
    interferers = rendered.interferers
    if rendered.target is not None and len(interferers) == 0:
        interferers = (mixture - rendered.target)[np.newaxis]
    return replace(rendered, mixture=mixture, interferers=interferers)


def _signals(trial: Trial, read: Read, sample_rate: int, measure: Measure | None) -> Wave:
    """Every source at its place and gain, shape (n, T)."""
    mix = trial.mix
    single = mix.precision == "float32"
    raw, partners = _raw(trial, read, sample_rate, measure)
    placed: list[tuple[int, Wave]] = []
    for source, (samples, rate) in zip(trial.sources, raw, strict=True):
        samples = samples * source.gain if single and source.gain != 1 else samples
        start = round(source.offset_s * sample_rate)
        placed.append((start, audio.resample(samples, rate, sample_rate, mix.resample)))
    ends = [start + len(samples) for start, samples in placed]
    length = max(1, _length(trial, ends, [_frames(span, sample_rate) for span in partners], sample_rate))
    dtype = np.result_type(np.float32, *(samples for _, samples in placed)) if single else np.float64
    signals = np.zeros((len(placed), length), dtype=dtype)
    for signal, (start, samples), source in zip(signals, placed, trial.sources, strict=True):
        signal[start : start + len(samples)] = samples[: max(0, length - start)]
        if not single and source.gain != 1:
            signal *= source.gain
    return signals


def _raw(trial: Trial, read: Read, sample_rate: int, measure: Measure | None) -> tuple[list[Sound], list[Span]]:
    """The recordings of all sources, and how long those partners are that are not mixed."""
    voices = [source for source in trial.sources if source.extend == "silence"]
    if not voices:
        raise AudioError("no source decides how long the mixture is: all are extended.")
    partners = [_extent(Clip(source.partner), read, measure) for source in trial.sources if source.partner]
    if measure is not None and _may_be_cut(trial):
        spans = [measure(source) for source in voices]
        needed = _shortest([*spans, *partners]) + REACH / min(sample_rate, *(rate for _, rate in spans))
        heard = [read(replace(source, duration_s=needed)) for source in voices]
    else:
        heard = [read(source) for source in voices]
        spans = [_span(sound) for sound in heard]
    if len(voices) == len(trial.sources):
        return heard, partners
    longest = max(n / rate for n, rate in [*spans, *partners])
    following = iter(heard)
    sounds = [next(following) if s.extend == "silence" else _extended(s, longest, read) for s in trial.sources]
    return sounds, partners


def _shortest(spans: list[Span]) -> float:
    """In seconds."""
    return min(n / rate for n, rate in spans)


def _may_be_cut(trial: Trial) -> bool:
    """May recordings be cut before resampling, so that the mixture's samples stay the same to the bit?"""
    mix = trial.mix
    plain = all(source.duration_s is None and source.offset_s == 0 for source in trial.sources)
    return plain and mix.length == "min" and mix.resample == "polyphase"


def _extended(source: Source, seconds: float, read: Read) -> Sound:
    samples, rate = read(replace(source, duration_s=seconds))
    return audio.repeat(samples, rate, round(seconds * rate)), rate


def _extent(clip: Clip, read: Read, measure: Measure | None) -> Span:
    return _span(read(clip)) if measure is None else measure(clip)


def _span(sound: Sound) -> Span:
    return len(sound[0]), sound[1]


def _frames(span: Span, sample_rate: int) -> int:
    frames, rate = span
    return math.ceil(frames * sample_rate / rate)


def _length(trial: Trial, ends: list[int], partners: list[int], sample_rate: int) -> int:
    rule = trial.mix.length
    if isinstance(rule, int | float):
        return round(rule * sample_rate)
    deciding = zip(trial.sources, ends, strict=True)
    if rule == "target":
        return next(end for source, end in deciding if source.role is Role.TARGET)
    own = [end for source, end in deciding if source.extend == "silence"]
    return (min if rule == "min" else max)([*own, *partners])


def _roles(trial: Trial) -> tuple[int | None, list[int]]:
    """Places of the target (None where it is absent) and of every other source."""
    targets = [place for place, source in enumerate(trial.sources) if source.role is Role.TARGET]
    others = [place for place, source in enumerate(trial.sources) if source.role is not Role.TARGET]
    return next(iter(targets), None), others


def _rows(signals: Wave, places: list[int]) -> Wave:
    """Some of the signals; without a copy where they are the last ones. Fresh memory costs more than sums."""
    first = len(signals) - len(places)
    return signals[first:] if places == list(range(first, len(signals))) else signals[places]


def _gain(trial: Trial, signals: Wave) -> float:
    """The factor on everything but the target that reaches the asked ratio."""
    assert trial.mix.snr_db is not None
    target, others = _roles(trial)
    assert target is not None
    rest = signals[others[0]] if len(others) == 1 else _sum(signals[others], trial.mix)
    levels = [_level(signals[target], trial.mix), _level(rest, trial.mix)]
    if not all(levels):
        silent = "target" if not levels[0] else "interference"
        raise AudioError(f"Trial {trial.trial_id!r}: the {silent} is silent, so {trial.mix.snr_db} dB cannot be set.")
    return float(levels[0] / levels[1] * 10 ** (-trial.mix.snr_db / 20))


def _level(signal: Wave, mix: Mix) -> float:
    """Amplitude of a signal under the rule of the mix."""
    if mix.level == "peak":
        return _peak(signal)
    energy = _energy32(signal) if mix.precision == "float32" else float(np.einsum("i,i->", signal, signal))
    if mix.level == "energy":
        return float(energy**0.5)
    covered = np.flatnonzero(signal)
    return float((energy / (covered[-1] - covered[0] + 1)) ** 0.5) if len(covered) else 0.0


def _energy32(signal: Wave) -> float:
    """The sum of squares as ``torch.linalg.vector_norm`` has it in float32, up to 2e-5 off for 10 s of sound."""
    squares = np.empty((BLOCK + 1, LANES), dtype=np.float32)
    lanes = squares[0]
    lanes[:] = 0
    whole = len(signal) // LANES * LANES
    for start in range(0, whole, BLOCK * LANES):
        block = signal[start : min(start + BLOCK * LANES, whole)].reshape(-1, LANES)
        np.square(block, out=squares[1 : len(block) + 1])
        lanes[:] = np.add.reduce(squares[: len(block) + 1], axis=0)
    rest = np.square(signal[whole:], dtype=np.float32)
    return float(np.add.accumulate(np.concatenate([lanes, rest]))[-1])


def _peak(signal: Wave) -> float:
    return float(max(signal.max(), -signal.min()))


def _limited(signals: Wave, mix: Mix) -> Wave:
    """The sum of the signals, which are brought down with it (in place) where it is too loud."""
    mixture = _sum(signals, mix)
    if mix.clip == "rescale" and (peak := _peak(mixture)) > 1:
        signals *= 0.9 / peak
        mixture = _sum(signals, mix)
    return mixture


def _sum(signals: Wave, mix: Mix) -> Wave:
    total: Wave = signals[0].astype(mix.precision)
    for signal in signals[1:]:
        total += signal
    return total


def pcm16(signal: Wave) -> Wave:
    """Samples as a 16-bit file gives them back: rounded towards minus infinity, limited to full scale."""
    # libsndfile's own arithmetic: rounded to 32 bits, of which the lower 16 are dropped.
    rounded: Wave = np.clip(np.floor(np.rint(signal * 2**31) / 2**16), -32768, 32767) / 32768
    return rounded
