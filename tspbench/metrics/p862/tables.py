"""The parameters of ITU-T P.862 and P.862.2 at their two sampling rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tspbench.metrics.ratios import Double

SEARCH = 75
"""Activity windows of silence that are put before and after a signal: how far a delay is looked for."""
PADDING_MS = 320
_WINDOW_MS = 4

_HZ_BINS = "1 1 1 1 1 1 1 1 2 1 1 1 1 1 2 1 1 2 2 2 2 2 2 2 2 3 3 3 3 4 3 4 5 4 5 6 6 7 8 9 9 12 12 15 16 18 21 25 20"
_WIDTH_BARK = """
0.157344 0.317994 0.322441 0.326934 0.331474 0.336061 0.340697 0.345381 0.350114 0.354897 0.359729 0.364611 0.369544
0.374529 0.379565 0.384653 0.389794 0.394989 0.400236 0.405538 0.410894 0.416306 0.421773 0.427297 0.432877 0.438514
0.444209 0.449962 0.455774 0.461645 0.467577 0.473569 0.479621 0.485736 0.491912 0.498151 0.504454 0.510819 0.51725
0.523745 0.530308 0.536934 0.543629 0.55039 0.55722 0.564119 0.571085 0.578125 0.585232
"""
_DENSITY = """
100 99.999992 100 100.000008 100.000008 100.000015 99.999992 99.999969 50.000027 100 99.999969 100.000015 99.999947
100.000061 53.047077 110.000046 117.991989 65 68.760147 69.999931 71.428818 75.000038 76.843384 80.968781 88.646126
63.864388 68.15535 72.547775 75.584831 58.379192 80.950836 64.135651 54.384785 73.821884 64.437073 59.176456 65.521278
61.399822 58.144047 57.004543 64.126297 54.311001 61.114979 55.077751 56.849335 55.628868 53.137054 54.985844 79.546974
"""
_HEARING = """
51286152 2454709.5 70794.59375 4897.788574 1174.897705 389.045166 104.71286 45.70882 17.782795 9.772372 4.897789
3.090296 1.905461 1.258925 0.977237 0.724436 0.562341 0.457088 0.389045 0.331131 0.295121 0.269153 0.25704 0.251189
0.251189 0.251189 0.251189 0.263027 0.288403 0.30903 0.338844 0.371535 0.398107 0.436516 0.467735 0.489779 0.501187
0.501187 0.512861 0.524807 0.524807 0.524807 0.512861 0.47863 0.42658 0.371535 0.363078 0.416869 0.537032
"""
_ALIGNMENT_8K = """
0.885535424 -0.885535424 0 -0.771070709 0
0.895092588 1.292907193 0.449260174 1.268869037 0.442025372
4.04952794 -7.865190042 3.815662102 -1.746859852 0.786305963
0.500002353 -0.500002353 0 0 0
0.565002834 -0.241585934 -0.306009671 0.259688659 0.249979657
2.115237288 0.919935084 1.14124005 -1.587313419 0.665935315
0.912224584 -0.224397719 -0.641121413 -0.246029464 -0.55672059
0.444617727 -0.307589321 0.141638062 -0.996391149 0.502251622
"""
_ALIGNMENT_16K = """
0.325631521 -0.08678286 -0.238848661 -1.07941649 0.434583902
0.403961804 -0.556985881 0.153024077 -0.415115835 0.696590244
4.736162769 3.287251046 1.753289019 -1.859599046 0.876284034
0.365373469 0 0 -0.634626531 0
0.884811506 0 0 -0.256725271 0.141536777
0.723593055 -1.447186099 0.723593044 -1.129587469 0.657232737
1.644910855 -1.817280902 1.249658063 -1.778403899 0.801724355
0.633692689 -0.284644314 -0.319789663 0 0
1.032763031 0.268428979 0.602913323 0 0
1.001616361 -0.823749013 0.439731942 -0.885778255 0
0.752472096 -0.37538899 0.188977609 -0.077258216 0.247230734
1.023700575 0.001661628 0.521284240 -0.183867259 0.354324187
"""
_WIDE_BAND_INPUT = "2.740826 -5.4816519 2.740826 -1.9444777 0.94597794"

SPEECH_BAND_DB = ((0, -500), (300, -500), (350, 0), (3250, 0), (3500, -500), (8000, -500))
"""What a signal's level is taken from: Hz and dB, straight lines in between."""
RECEIVER_DB = (
    *((0, -200), (50, -40), (100, -20), (125, -12), (160, -6), (200, 0), (250, 4), (300, 6), (350, 8), (400, 10)),
    *((500, 11), (600, 12), (3250, 12), (3500, 4), (4000, -200), (8000, -200)),
)
"""A telephone's receiver, through which narrow-band signals are heard."""


def _numbers(text: str) -> Double:
    return np.array(text.split(), dtype=np.float64)


def _sections(text: str) -> Double:
    """Second-order sections as SciPy has them: b0 b1 b2 a0 a1 a2."""
    b_and_a = _numbers(text).reshape(-1, 5)
    return np.insert(b_and_a, 3, 1.0, axis=1)


@dataclass(frozen=True, eq=False)
class Parameters:
    """What differs between the rates. Lengths are in samples."""

    rate: int
    loudness_scale: float
    power_scale: float
    hz_bins: Double
    density: Double
    alignment_sections: Double = field(repr=False)
    input_section: Double | None = None
    """The filter at the input, b0 b1 b2 1 a1 a2; None: the telephone's receiver."""

    @cached_property
    def window(self) -> int:
        """Activity is measured in windows of 4 ms."""
        return self.rate * _WINDOW_MS // 1000

    @property
    def align(self) -> int:
        """A delay is found in frames of 64 ms, a quarter apart."""
        return 16 * self.window

    @property
    def frame(self) -> int:
        """What is heard at a time: 32 ms, half a frame apart."""
        return 8 * self.window

    @property
    def hop(self) -> int:
        return self.frame // 2

    @cached_property
    def lead(self) -> int:
        """Silence before a signal, and after it."""
        return SEARCH * self.window

    @cached_property
    def padding(self) -> int:
        """More silence at the very end."""
        return self.rate * PADDING_MS // 1000

    @cached_property
    def first_bins(self) -> list[int]:
        """The first bin of a spectrum in each Bark band, and the one after the last band."""
        return [0, *np.cumsum(self.hz_bins).astype(int).tolist()]

    @cached_property
    def width_bark(self) -> Double:
        return _numbers(_WIDTH_BARK)[: len(self.hz_bins)]

    @cached_property
    def hearing(self) -> Double:
        """The power at the absolute threshold of hearing, by band."""
        return _numbers(_HEARING)[: len(self.hz_bins)]

    @cached_property
    def loudness_power(self) -> Double:
        """Zwicker's exponent, larger below 4 Bark."""
        centre = np.cumsum(self.width_bark) - self.width_bark / 2
        low = np.minimum(6 / (centre + 2), 2.0) ** 0.15
        power: Double = 0.23 * np.where(centre < 4, low, 1.0)
        return power


NARROW = Parameters(
    rate=8_000,
    loudness_scale=1.866055e-1,
    power_scale=2.764344e-5,
    hz_bins=np.append(_numbers(_HZ_BINS)[:41], 11),
    density=np.append(_numbers(_DENSITY)[:41], 59.248363),
    alignment_sections=_sections(_ALIGNMENT_8K),
)
"""8 kHz, P.862 with the mapping of P.862.1."""

WIDE = Parameters(
    rate=16_000,
    loudness_scale=1.866055e-1,
    power_scale=6.910853e-6,
    hz_bins=_numbers(_HZ_BINS),
    density=_numbers(_DENSITY),
    alignment_sections=_sections(_ALIGNMENT_16K),
    input_section=_sections(_WIDE_BAND_INPUT)[0],
)
"""16 kHz, P.862.2."""
