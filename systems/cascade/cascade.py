"""Any extractor and any recogniser, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.errors import UsageError
from tspbench.system import BUNDLED, System, SystemRef, find_system, import_class, parse_options
from tspbench.types import Audio, Query, QueryKind

RATE = 16_000
"""Hz, for a recogniser that hears at any rate."""


class Cascade(System):
    """Extracts the target, then writes down the estimate.

    The recogniser is told nothing. It hears the estimate at the rate it wants,
    turned down where it exceeds full scale (extractors without a level of
    their own do), and otherwise as the extractor left it.

    Parameters
    ----------
    extractor, recogniser
        Names of systems, or ``path/to/file.py:Class``.
    extractor_options, recogniser_options
        Their options: ``checkpoint=best.pt,chunks=app``.
    """

    queries = frozenset({QueryKind.ENROLMENT})

    def __init__(
        self,
        extractor: str = "",
        recogniser: str = "recogniser",
        extractor_options: str = "",
        recogniser_options: str = "",
    ) -> None:
        self._writer, self._writer_file = _part("recogniser", recogniser, recogniser_options)
        if _told(self._writer):
            raise UsageError(
                f"recogniser={recogniser}: it wants to be told {' or '.join(sorted(_told(self._writer)))}; "
                "in a cascade the recogniser hears the estimate and is told nothing."
            )
        self._extractor: Any = None
        self._files = list(self._writer_file)
        if extractor:
            self._extractor, files = _part("extractor", extractor, extractor_options)
            self._files += files
            self.queries = _told(self._extractor)
            self.sample_rate = getattr(self._extractor, "sample_rate", None)
            self.enrolment_prefix = getattr(self._extractor, "enrolment_prefix", None)
        seeds = {getattr(part, "random_weights", None) for part in (self._extractor, self._writer)} - {None}
        self.random_weights = min(seeds, default=None)

    def weight_files(self) -> Sequence[Path]:
        """Those of both systems, and the code of those that do not come with tspbench."""
        files = [file for part in self._both() for file in getattr(part, "weight_files", tuple)()]
        return [*files, *self._files]

    def load(self, device: str) -> None:
        for part in self._both():
            getattr(part, "load", lambda device: None)(device)

    def _both(self) -> tuple[Any, Any]:
        if self._extractor is None:
            raise UsageError("cascade needs an extractor: --option extractor=NAME. See: tspbench list systems.")
        return self._extractor, self._writer

    def transcribe(self, mixtures: Audio, lengths: npt.NDArray[np.int64], queries: Sequence[Query]) -> list[str]:
        estimates = _array(self._extractor.extract(mixtures, lengths, queries))
        if estimates.shape != mixtures.shape:
            raise ValueError(f"the extractor returned shape {estimates.shape} for mixtures of shape {mixtures.shape}")
        rate = getattr(self._writer, "sample_rate", None) or RATE
        heard = [
            _as_heard(row[query.prefix : length], query.sample_rate, rate)
            for row, length, query in zip(estimates, lengths, queries, strict=True)
        ]
        sizes = np.array([len(row) for row in heard], dtype=np.int64)
        batch = np.stack([audio.fit(row, int(sizes.max())) for row in heard])
        texts: list[str] = self._writer.transcribe(batch, sizes, [Query(rate)] * len(heard))
        return texts


class CascadeMini(Cascade):
    """td-speakerbeam-mini, then the bundled recogniser: both come with tspbench."""

    def __init__(self, recogniser: str = "recogniser", recogniser_options: str = "") -> None:
        super().__init__("td-speakerbeam-mini", recogniser, recogniser_options=recogniser_options)


def _as_heard(estimate: Audio, given: int, wanted: int) -> Audio:
    if not np.isfinite(estimate).all():
        raise ValueError("the extractor's estimate holds NaN or infinity")
    resampled = audio.resample(np.ascontiguousarray(estimate, dtype=np.float32), given, wanted)
    return resampled / np.float32(max(1.0, np.abs(resampled).max(initial=0)))


def _array(value: Any) -> Audio:
    """A NumPy array, or a torch tensor on any device, as float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float()
    return np.asarray(value, dtype=np.float32)


def _part(role: str, name: str, options: str) -> tuple[Any, list[Path]]:
    """A system, built, and the files of its code where tspbench's own identity does not cover them."""
    ref = find_system(name)
    cls = import_class(ref)
    method = "extract" if role == "extractor" else "transcribe"
    if getattr(cls, method, None) in (None, getattr(System, method)):
        answers = "a waveform" if role == "extractor" else "words"
        raise UsageError(f"{role}={name}: this system does not return {answers}.")
    try:
        part = cls(**parse_options(cls, _options(f"{role}_options", options)))
    except UsageError as error:
        raise UsageError(f"{role}={name}: {error}") from error
    return part, _code(ref)


def _options(key: str, text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"--option {key}={text}: expected name=value,name=value, got {name!r}.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _code(ref: SystemRef) -> list[Path]:
    if ref.path:
        return [Path(ref.module)]
    if ref.module.startswith(f"{BUNDLED}."):
        return []
    file = sys.modules[ref.module].__file__
    return [Path(file)] if file else []


def _told(part: Any) -> frozenset[QueryKind]:
    return frozenset(QueryKind(kind) for kind in getattr(part, "queries", ()))
