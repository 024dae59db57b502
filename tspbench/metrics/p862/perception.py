"""How disturbed an aligned estimate sounds, after the perceptual model of P.862."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tspbench.metrics.p862.activity import runs
from tspbench.metrics.p862.alignment import Utterance, towards_zero
from tspbench.metrics.p862.delays import hann
from tspbench.metrics.p862.filters import Single
from tspbench.metrics.p862.tables import SEARCH, Parameters
from tspbench.metrics.ratios import Double

_QUIET = 500.0
"""Five samples in a row that sum up to less are silence."""
_AUDIBLE, _SPEAKING = 100.0, 1e7
_GAIN = (3e-4, 5.0)
_RESPONSE = (0.01, 100.0)
_BAD, _WORST = 30.0, 45.0
_SMEAR, _INTERVAL = 2, 5
"""Frames that a bad one reaches; frames of a bad interval."""
_REACH_FRAMES = 4
_CORRELATED, _FAINT = 0.5, 1e-6
_SYLLABLE = 20
"""Frames, of which every tenth begins one."""
_LONG = 1000
"""Frames from which on the end of a signal counts for more."""


@dataclass(frozen=True)
class Disturbance:
    """Of each frame: what is there too much or too little, and what was added."""

    both: Double
    added: Double


@dataclass(frozen=True, eq=False)
class Ear:
    """A target and an estimate as they are heard, with silence around them, and how they belong together."""

    target: Single
    estimate: Single
    utterances: Sequence[Utterance]
    parameters: Parameters

    @property
    def samples(self) -> int:
        """Of the signals with silence before and after, less the padding."""
        return len(self.target) - self.parameters.padding

    def score(self) -> float:
        """The raw score of P.862, up to 4.5; NaN where there is nothing to hear."""
        first, last = self._heard()
        if last < first:
            return float("nan")
        starts = self.parameters.lead + self.parameters.hop * np.arange(last + 1)
        target = self._bands(self.target, starts)
        estimate = self._bands(self.estimate, self._delayed(starts))
        target *= self._response(target, estimate)
        found = self._disturbance(target, estimate, scale_before=None)
        bad = found.both > _BAD
        self._forgive_jumps(found, last)
        if bad.any():
            self._hear_again(found, target)
        power = _audible(target, self.parameters.hearing)
        both, added = (self._over_time(each, power, first) for each in (found.both, found.added))
        return 4.5 - 0.1 * both - 0.0309 * added

    def _heard(self) -> tuple[int, int]:
        """The first and last frame of the target between the silences at its ends."""
        lead, hop, most = self.parameters.lead, self.parameters.hop, self.samples // 2
        inner = np.abs(self.target[lead : self.samples - lead + self.parameters.padding])
        loud = np.convolve(inner, np.ones(5, np.float32), "valid") >= _QUIET
        before = min(_first(loud), most)
        after = min(_first(loud[::-1]), most)
        return before // hop, (len(inner) - after) // hop - 1

    def _delayed(self, starts: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
        """Where the estimate has what the target has at some samples."""
        delays = np.full_like(starts, self.utterances[0].delay)
        for utterance in self.utterances:
            delays[starts >= utterance.start * self.parameters.window] = utterance.delay
        return starts + delays

    def _bands(self, signal: Single, starts: npt.NDArray[np.int_]) -> Double:
        """Power in each Bark band of the frames that begin at some samples, (frames, bands); 0 beyond the signal."""
        from scipy.fft import rfft

        parameters, size = self.parameters, self.parameters.frame
        inside = (starts > 0) & (starts + size < len(signal))
        frames = np.lib.stride_tricks.sliding_window_view(signal, size)[starts[inside]] * hann(size)
        spectrum = rfft(frames, axis=1)[:, : size // 2]
        power = spectrum.real**2 + spectrum.imag**2
        power[:, 0] = 0
        bands = np.zeros((len(starts), len(parameters.hz_bins)))
        bands[inside] = np.add.reduceat(power, parameters.first_bins[:-1], axis=1, dtype=np.float64)
        bands *= parameters.density * parameters.power_scale
        return bands

    def _response(self, target: Double, estimate: Double) -> Double:
        """What a constant filter between the two amounts to, by band."""
        hearing = _AUDIBLE * self.parameters.hearing
        speaking = _audible(target, hearing) >= _SPEAKING
        frames = (self.samples - 2 * self.parameters.lead + self.parameters.padding) // self.parameters.hop - 1
        mean = [np.where(bands > hearing, bands, 0)[speaking].sum(axis=0) / frames for bands in (target, estimate)]
        ratio: Double = np.clip((mean[1] + 1000) / (mean[0] + 1000), *_RESPONSE)
        return ratio

    def _disturbance(self, target: Double, estimate: Double, scale_before: float | None) -> Disturbance:
        """Of frames (frames, bands) in a row; ``scale_before`` is the gain of the frame before, if there is one."""
        estimate = estimate * self._gains(target, estimate, scale_before)[:, np.newaxis]
        heard, meant = self._loudness(estimate), self._loudness(target)
        masked = 0.25 * np.minimum(heard, meant)
        difference = heard - meant
        difference -= np.clip(difference, -masked, masked)
        asymmetry = ((estimate + 50) / (target + 50)) ** 1.2
        asymmetry = np.where(asymmetry < 3, 0, np.minimum(asymmetry, 12))
        weights = self.parameters.width_bark[1:]
        both = np.abs(difference[:, 1:]) * weights
        added = (both * asymmetry[:, 1:]).sum(axis=1)
        return Disturbance(np.sqrt(np.square(both).sum(axis=1) * weights.sum()), added)

    def _gains(self, target: Double, estimate: Double, before: float | None) -> Double:
        """What makes the estimate as loud as the target, slowly following, frame by frame."""
        from scipy.signal import lfilter

        hearing = self.parameters.hearing
        ratio = (_audible(target, hearing) + 5e3) / (_audible(estimate, hearing) + 5e3)
        smooth, _ = lfilter([0.8], [1, -0.2], ratio, zi=[0.2 * (ratio[0] if before is None else before)])
        gains: Double = np.clip(smooth, *_GAIN)
        return gains

    def _loudness(self, power: Double) -> Double:
        """Zwicker's law, (frames, bands)."""
        threshold, exponent = self.parameters.hearing, self.parameters.loudness_power
        above = np.maximum(power / threshold, 1.0)
        at_threshold = self.parameters.loudness_scale * (threshold / 0.5) ** exponent
        loudness: Double = at_threshold * ((0.5 + 0.5 * above) ** exponent - 1)
        return loudness

    def _forgive_jumps(self, found: Disturbance, last: int) -> None:
        """What the estimate left out when its delay fell by more than half a frame is not held against it."""
        window, hop = self.parameters.window, self.parameters.hop
        for before, after in pairwise(self.utterances):
            jump = after.delay - before.delay
            if jump >= -hop:
                continue
            begin = (after.start - SEARCH) * window
            first = min(
                towards_zero(begin + after.delay, hop), towards_zero((before.end - SEARCH) * window + before.delay, hop)
            )
            end = towards_zero(begin - jump, hop) + 1
            frames = slice(max(first, 0), min(end + 1, last))
            found.both[frames] = found.added[frames] = 0

    def _hear_again(self, found: Disturbance, target: Double) -> None:
        """Bad intervals, at the delay that suits each best."""
        intervals = _intervals(found.both > _BAD)
        if not intervals:
            return
        straight = self._straightened()
        moved = straight.copy()
        for start, end in intervals:
            first = self.parameters.lead + start * self.parameters.hop
            stop = self.parameters.lead + end * self.parameters.hop + self.parameters.frame
            delay = self._better_delay(straight, first, stop)
            moved[first:stop] = straight[np.clip(np.arange(first, stop) + delay, 0, self.samples - 1)]
        for start, end in intervals:
            frames = slice(start, end)
            estimate = self._bands(moved, self.parameters.lead + self.parameters.hop * np.arange(start, end))
            again = self._disturbance(target[frames], estimate, scale_before=1.0)
            found.both[frames] = np.minimum(found.both[frames], again.both)
            found.added[frames] = np.minimum(found.added[frames], again.added)

    def _straightened(self) -> Single:
        """The estimate without its delays."""
        lead, end = self.parameters.lead, len(self.target) - self.parameters.lead
        out = np.zeros_like(self.estimate)
        out[lead:end] = self.estimate[np.clip(self._delayed(np.arange(lead, end)), lead, end - 1)]
        return out

    def _better_delay(self, straight: Single, start: int, stop: int) -> int:
        """By how much an interval of the target lags best, a few frames at most; 0 where nothing fits."""
        from scipy.fft import irfft, next_fast_len, rfft

        reach, lead = _REACH_FRAMES * self.parameters.frame, self.parameters.lead
        places = np.clip(np.arange(start - reach, stop + reach), lead, len(self.target) - lead - 1)
        first, second = np.pad(np.abs(self.target[start:stop]), reach), np.abs(straight[places])
        energy = [float(np.square(each, dtype=np.float64).sum()) for each in (first, second)]
        if min(energy) <= _FAINT * len(first):
            return 0
        size = next_fast_len(len(first) + reach, real=True)
        correlation = np.abs(irfft(rfft(first, size).conj() * rfft(second, size), size))
        near = np.concatenate([correlation[-reach:], correlation[:reach]]) / np.sqrt(energy[0] * energy[1])
        best = int(near.argmax())
        return best - reach if near[best] >= _CORRELATED else 0

    def _over_time(self, disturbance: Double, power: Double, first: int) -> float:
        """All frames in one number: the sixth powers within a syllable, squares over time."""
        frames = len(disturbance)
        limited = np.minimum(disturbance / ((power + 1e5) / 1e7) ** 0.04, _WORST)[first:]
        padded = np.zeros(len(limited) + _SYLLABLE)
        padded[: len(limited)] = limited**6
        syllables = np.lib.stride_tricks.sliding_window_view(padded, _SYLLABLE)[: len(limited) : _SYLLABLE // 2]
        strength = syllables.mean(axis=1) ** (1 / 6)
        weights = self._recency(frames)[: len(limited) : _SYLLABLE // 2]
        return float(np.sqrt(np.square(weights * strength).sum() / np.square(weights).sum()))

    def _recency(self, frames: int) -> Double:
        """Weights of the frames: in long signals the last ones count more."""
        if frames <= _LONG:
            return np.ones(frames)
        all_ = (self.samples - 2 * self.parameters.lead) // self.parameters.hop - 1
        share = min((all_ - _LONG) / 5500, 0.5)
        weights: Double = 1 - share + share * np.arange(frames) / all_
        return weights


def _audible(bands: Double, threshold: Double) -> Double:
    """The power of each frame in the bands that are above a threshold, the lowest one left out."""
    audible: Double = np.where(bands > threshold, bands, 0)[:, 1:].sum(axis=1)
    return audible


def _intervals(bad: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, one after the last) of every long run of bad frames, gaps of a few frames included."""
    bad[0] = False
    around = np.lib.stride_tricks.sliding_window_view(np.pad(bad, _SMEAR), _SMEAR + 1)
    near = np.logical_or.reduce(around, axis=1)
    smeared = near[: len(bad)] & near[_SMEAR:]
    smeared[:_SMEAR] = smeared[-1 - _SMEAR :] = False
    return [(start, end) for start, end in runs(smeared) if end - start >= _INTERVAL]


def _first(mask: npt.NDArray[np.bool_]) -> int:
    """Where the first True is; the length where there is none."""
    return int(mask.argmax()) if mask.any() else len(mask)
