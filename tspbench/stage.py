"""Where a task's recipes become samples: how its clips are opened, and what a system is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tspbench import activity, audio
from tspbench.errors import AudioError, ManifestError
from tspbench.render import Measure, as_mixed, render
from tspbench.types import Audio, Clip, Mix, Query, QueryKind, QueryRecipe, Rendered, Trial, Truth

SLACK_S = 0.01
"""How far a stretch may reach past the end of its file: lists round their seconds."""


class Reader(Protocol):
    """How a task opens its clips. Deterministic and picklable: worker processes get a copy."""

    def read(self, clip: Clip) -> tuple[Audio, int]:
        """Samples (T,) and rate in Hz; AudioError when it cannot."""

    def check(self, clip: Clip) -> None:
        """AudioError when :meth:`read` would fail, found without decoding."""


@dataclass(frozen=True)
class FileReader:
    """Clips are files below a data root; nothing outside it is ever opened."""

    root: Path

    def read(self, clip: Clip) -> tuple[Audio, int]:
        return audio.read(
            self.locate(clip),
            start_s=clip.start_s,
            duration_s=clip.duration_s,
            sha256=clip.sha256,
            channel=clip.channel,
        )

    def measure(self, clip: Clip) -> tuple[int, int]:
        """Number of samples and rate in Hz, from the file's header."""
        return audio.measure(self.locate(clip), start_s=clip.start_s, duration_s=clip.duration_s)

    def check(self, clip: Clip) -> None:
        path = self.locate(clip)
        seconds, _, _ = audio.probe(path)
        if clip.sha256 is not None:
            audio.verify(path, clip.sha256)
        if clip.start_s >= seconds:
            raise AudioError(f"{clip.path} lasts {seconds:.3f} s, but the trial starts reading at {clip.start_s} s.")
        end = clip.start_s + (clip.duration_s or 0.0)
        if end > seconds + SLACK_S:
            raise AudioError(f"{clip.path} lasts {seconds:.3f} s, but the trial reads up to {end:.3f} s.")

    def locate(self, clip: Clip) -> Path:
        path = Path(os.path.normpath(self.root / clip.path))
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ManifestError(
                f"{clip.path!r} points outside the data root {self.root}. "
                "Move the file below it, or name another root with --data-root."
            )
        return path


@dataclass(frozen=True)
class Stage:
    """Where a task's recipes become samples. Small and picklable: worker processes hold one."""

    sample_rate: int
    reader: Reader

    def render(self, trial: Trial) -> Rendered:
        """Mixture, target and interferers of a trial at the task's rate."""
        try:
            return render(trial, self.reader.read, self.sample_rate, self._measure)
        except AudioError as error:
            raise AudioError(f"Trial {trial.trial_id!r}: {error}") from error

    def clips(self, clips: Iterable[Clip], sample_rate: int, mix: Mix) -> tuple[Audio, ...]:
        """Some recordings at one rate; those with a partner as they are in a mixture made by ``mix``."""
        return tuple(self._clip(clip, sample_rate, mix) for clip in clips)

    def _clip(self, clip: Clip, sample_rate: int, mix: Mix) -> Audio:
        rate = sample_rate if clip.partner is None else self.sample_rate
        return audio.resample(as_mixed(clip, mix, self.reader.read, rate, self._measure), rate, sample_rate)

    @property
    def _measure(self) -> Measure | None:
        return getattr(self.reader, "measure", None)

    def query(self, trial: Trial, kinds: frozenset[QueryKind], sample_rate: int, rendered: Rendered) -> Query:
        """What a system that declares ``kinds`` is told, at its own rate."""
        recipe = trial.query

        def told(kind: QueryKind) -> tuple[Audio, ...]:
            return self.clips(getattr(recipe, kind.value), sample_rate, trial.mix) if kind in kinds else ()

        truth = None
        if QueryKind.TRUTH in kinds and rendered.target is not None:
            truth = Truth(
                target=audio.resample(rendered.target, rendered.sample_rate, sample_rate),
                interferers=audio.resample(rendered.interferers, rendered.sample_rate, sample_rate),
            )
        return Query(
            sample_rate=sample_rate,
            text=recipe.text if QueryKind.TEXT in kinds else None,
            negative_text=recipe.negative_text if QueryKind.NEGATIVE_TEXT in kinds else None,
            audio=told(QueryKind.AUDIO),
            negative_audio=told(QueryKind.NEGATIVE_AUDIO),
            enrolment=told(QueryKind.ENROLMENT),
            speaker_vector=self._vector(recipe.speaker_vector) if QueryKind.SPEAKER_VECTOR in kinds else None,
            activity_mask=self._mask(trial, rendered, sample_rate) if QueryKind.ACTIVITY_MASK in kinds else None,
            truth=truth,
        )

    def check(self, clip: Clip, query: QueryRecipe) -> None:
        """Raise what reading a recording (or the vector or mask of a query) would."""
        if clip is query.speaker_vector:
            self._vector(clip)
        elif query.activity_mask is not None and clip is query.activity_mask.file:
            file = self._located(clip)
            if file is not None:
                activity.read(file)
        else:
            self.reader.check(clip)

    def _vector(self, clip: Clip | None) -> Audio | None:
        file = self._located(clip)
        return None if file is None else audio.read_vector(file)

    def _mask(self, trial: Trial, rendered: Rendered, sample_rate: int) -> Audio | None:
        """As many frames as a system counts that hears the mixture at its own rate."""
        recipe = trial.query.activity_mask
        heard = audio.resample(rendered.mixture, rendered.sample_rate, sample_rate)
        frames = activity.frames_of(len(heard), sample_rate)
        return activity.mask_of(trial, rendered, frames, self._located(recipe.file if recipe else None))

    def _located(self, clip: Clip | None) -> Path | None:
        """Where a file that is no recording lies."""
        locate: Callable[[Clip], Path] | None = getattr(self.reader, "locate", None)
        return locate(clip) if clip is not None and locate is not None else None
