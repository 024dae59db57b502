"""The words of the field as frozen dataclasses.

*Recipes* (:class:`Clip`, :class:`Source`, :class:`Mix`, :class:`Activity`,
:class:`QueryRecipe`, :class:`Trial`) say how audio is made and hold no samples. *Signals*
(:class:`Query`, :class:`Truth`, :class:`Rendered`) hold float32 samples in
[-1, 1], one channel, time on the last axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""Samples in [-1, 1]: shape (T,) for one signal, (n, T) for several."""

Condition = str | bool | int | float | None


class TaskKind(StrEnum):
    """What is asked of a system."""

    LASS = "lass"
    """Extract the sound that a caption or an example describes."""
    TSE = "tse"
    """Extract the speaker of an enrolment utterance."""
    TSASR = "tsasr"
    """Write down the words of the enrolled speaker."""


class QueryKind(StrEnum):
    """What a system may be told about its target."""

    TEXT = "text"
    NEGATIVE_TEXT = "negative_text"
    AUDIO = "audio"
    NEGATIVE_AUDIO = "negative_audio"
    ENROLMENT = "enrolment"
    SPEAKER_VECTOR = "speaker_vector"
    ACTIVITY_MASK = "activity_mask"
    TRUTH = "truth"
    """The target itself. Whoever declares it is a bound, never a ranked system."""

    @property
    def negative(self) -> bool:
        """True for the kinds that describe what is *not* wanted."""
        return self in (QueryKind.NEGATIVE_TEXT, QueryKind.NEGATIVE_AUDIO)


class Role(StrEnum):
    TARGET = "target"
    INTERFERER = "interferer"
    NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of a recording.

    ``path`` is relative to the data root of its task; ``duration_s`` None means
    up to the end. ``sha256`` (of the file) is checked whenever it is given.
    ``gain`` is linear. ``channel`` counts from 0; None averages all.

    ``partner`` names another recording. A source with a partner counts as if
    the partner were mixed too when the mixture's length is settled. A clip of
    a query with a partner is the signal that it was in the mixture of those
    two: fitted to their common length, resampled and rounded as the trial's
    own :class:`Mix` says.
    """

    path: str
    start_s: float = 0.0
    duration_s: float | None = None
    label: str | None = None
    speaker: str | None = None
    sha256: str | None = None
    gain: float = 1.0
    channel: int | None = None
    partner: str | None = None


@dataclass(frozen=True, slots=True)
class Source(Clip):
    """A clip with its place in a mixture, ``offset_s`` from its start.

    ``extend`` says what follows a clip that ends early. ``silence``: nothing.
    ``crossfade``: itself again and again, see :func:`tspbench.audio.repeat`;
    such a clip is also cut, and never decides how long the mixture is.
    """

    role: Role = Role.INTERFERER
    offset_s: float = 0.0
    transcript: str | None = None
    extend: Literal["silence", "crossfade"] = "silence"


@dataclass(frozen=True, slots=True)
class Mix:
    """How sources become a mixture.

    snr_db
        Ratio of the target to the sum of all other sources; None leaves the
        gains as they are.
    level
        What the ratio is of: ``energy`` (sum of squares over the mixture's
        span, silence included), ``rms`` (mean square over the span each
        signal itself covers) or ``peak`` (largest magnitude).
    length
        ``target``, ``min`` or ``max`` of the sources, or seconds (cut or
        padded with zeros at the end).
    clip
        ``rescale``: where the mixture's peak exceeds 1, mixture and sources
        are all multiplied by 0.9 / peak. ``none``: left as it is.
    rounding
        ``pcm16``: every signal is rounded as a 16-bit file would (towards
        minus infinity, limited to full scale); ``none``: kept in float.
    resample
        How recordings reach the rate of the task, see
        :func:`tspbench.audio.resample`.
    precision
        ``float64``: gains are applied after resampling, and gains and sums are
        in float64. ``float32``: gains come before resampling, and all is in
        float32; what a script that keeps float32 throughout gives, to the bit.
    """

    snr_db: float | None = None
    level: Literal["energy", "rms", "peak"] = "energy"
    length: Literal["target", "min", "max"] | float = "target"
    clip: Literal["rescale", "none"] = "rescale"
    rounding: Literal["none", "pcm16"] = "none"
    resample: Literal["vhq", "hq", "polyphase"] = "vhq"
    precision: Literal["float64", "float32"] = "float64"


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody speaks: a line of an RTTM file, in seconds from the start of the mixture."""

    start_s: float
    duration_s: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Activity:
    """Where the activity mask of a trial comes from; what is made of it says :mod:`tspbench.activity`.

    rule
        ``energy``: from the trial's own clean sources, an oracle. ``turns``:
        from who spoke when, such as a diariser's output. ``file``: a ready mask.
    threshold_db, pause_s
        Of ``energy``: a frame of 20 ms is active from so many dB below the
        loudest frame of its source; pauses up to this length count as speech.
    turns, target
        Of ``turns``; ``target`` is the speaker of those that are the target's
        (None where none are).
    file
        Of ``file``: a ``.npy`` of shape (4, frames).
    origin
        What turns or a file were made by, in words for the record.
    """

    rule: Literal["energy", "turns", "file"]
    threshold_db: float = -30.0
    pause_s: float = 0.2
    turns: tuple[Turn, ...] = ()
    target: str | None = None
    file: Clip | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class QueryRecipe:
    """Everything a trial offers to say about its target."""

    text: str | None = None
    negative_text: str | None = None
    audio: tuple[Clip, ...] = ()
    negative_audio: tuple[Clip, ...] = ()
    enrolment: tuple[Clip, ...] = ()
    speaker_vector: Clip | None = None
    activity_mask: Activity | None = None

    @property
    def kinds(self) -> frozenset[QueryKind]:
        """The kinds that this trial can serve (the truth is always at hand)."""
        offered = {kind for kind in QueryKind if getattr(self, kind.value, None)}
        return frozenset(offered | {QueryKind.TRUTH})


@dataclass(frozen=True, slots=True)
class Trial:
    """One mixture, one query, one truth. A trial without a target source is target-absent.

    ``mixture`` is a recording of the mixture that is used as it is; None adds
    the sources up. Where it is given with a target alone, the interferer is
    what the mixture holds besides the target.
    """

    trial_id: str
    sources: tuple[Source, ...]
    mix: Mix = field(default_factory=Mix)
    query: QueryRecipe = field(default_factory=QueryRecipe)
    transcript: str | None = None
    mixture: Clip | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)

    @property
    def target_present(self) -> bool:
        return any(source.role is Role.TARGET for source in self.sources)

    def clips(self) -> tuple[Clip, ...]:
        """Every recording that the trial reads, sources first."""
        query = self.query
        vector = (query.speaker_vector,) if query.speaker_vector else ()
        mask = (query.activity_mask.file,) if query.activity_mask and query.activity_mask.file else ()
        mixture = (self.mixture,) if self.mixture else ()
        clips = (*self.sources, *mixture, *query.audio, *query.negative_audio, *query.enrolment)
        partners = (Clip(clip.partner) for clip in clips if clip.partner)
        return (*clips, *partners, *vector, *mask)


@dataclass(frozen=True, slots=True)
class Truth:
    """What a bound is told: target (T,) and every other source (n, T)."""

    target: Audio
    interferers: Audio


@dataclass(frozen=True, slots=True)
class Query:
    """What a system is told about the target of one mixture.

    Only the kinds that the system declares are filled. All audio is float32 at
    ``sample_rate``, the same rate as the mixture.

    ``activity_mask`` has shape (4, frames) at 50 frames per second, rows
    silence, target, non-target, overlap, each column adding up to 1; it begins
    with the mixture. ``prefix`` is how many samples come before the mixture,
    where the system asked for its enrolment there (see :mod:`tspbench.prefix`).
    """

    sample_rate: int
    text: str | None = None
    negative_text: str | None = None
    audio: tuple[Audio, ...] = ()
    negative_audio: tuple[Audio, ...] = ()
    enrolment: tuple[Audio, ...] = ()
    speaker_vector: Audio | None = None
    activity_mask: Audio | None = None
    truth: Truth | None = None
    prefix: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A trial as samples: mixture (T,), target (T,) or None when absent, interferers (n, T)."""

    sample_rate: int
    mixture: Audio
    target: Audio | None
    interferers: Audio
