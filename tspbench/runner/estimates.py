"""Estimates that were made elsewhere, in the place of a system."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from tspbench import audio, decode
from tspbench.errors import UsageError
from tspbench.runner.answers import Answer, Ask, Failure, Prepared, SystemInfo
from tspbench.runner.finish import measure
from tspbench.runner.spool import write_samples
from tspbench.types import TaskKind

WAVEFORMS = (".wav", ".flac")
TEXT = ".txt"
TOLERANCE_S = 0.05
"""An estimate may be this much shorter or longer than its mixture: frame-based systems drop the last frame."""


class EstimatesService:
    """Serves a folder of files named by trial id, as if a system had just made them.

    Waveforms (wav, flac) must be mono. Another rate is resampled and noted; a
    length that differs by at most 50 ms is cut or padded at the end and noted;
    anything else costs the trial, with the reason.

    Raises
    ------
    UsageError
        The folder does not exist or holds no such file.
    """

    def __init__(self, folder: Path, label: str, kind: TaskKind, sample_rate: int, trial_ids: Sequence[str]) -> None:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}.")
        wanted = set(trial_ids)
        files = [
            path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in (*WAVEFORMS, TEXT)
        ]
        mine = [path for path in files if path.stem in wanted]
        if not mine:
            example = f"{trial_ids[0]}.wav" if kind is not TaskKind.TSASR else f"{trial_ids[0]}.txt"
            found = f"{len(files)} files, such as {files[0].name}," if files else "no wav, flac or txt file"
            raise UsageError(
                f"{folder} holds {found} but none is named by a trial id. Expected for instance {example}."
            )
        self.label, self.sample_rate = label, sample_rate
        self.waveforms = {path.stem: path for path in mine if path.suffix.lower() in WAVEFORMS}
        self.texts = {path.stem: path for path in mine if path.suffix.lower() == TEXT}
        self.extra = len(files) - len(mine)

    def describe(self) -> SystemInfo:
        """The identity of the estimates is their content."""
        files = [*self.waveforms.values(), *self.texts.values()]
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        digest = decode.digest(digests)
        return SystemInfo(
            label=self.label,
            options={},
            sample_rate=self.sample_rate,
            queries=frozenset(),
            aligned=True,
            extracts=bool(self.waveforms),
            transcribes=bool(self.texts),
            digest=digest,
            code_digest="",
        )

    def load(self, device: str) -> None:
        """Nothing to load."""

    def answer(
        self, asks: Sequence[Ask], seed: int, words: bool, waveform: bool, upcoming: Sequence[Ask] = ()
    ) -> list[Answer]:
        """Read the files of some trials."""
        return [self._answer(ask, words, waveform) for ask in asks]

    def _answer(self, ask: Ask, words: bool, waveform: bool) -> Answer:
        text = None
        if words:
            if ask.trial_id not in self.texts:
                return _failed(ask, "missing", f"there is no {ask.trial_id}.txt")
            try:
                text = self.texts[ask.trial_id].read_text(encoding="utf-8").strip()
            except UnicodeDecodeError:
                return _failed(ask, "unreadable", f"{ask.trial_id}.txt is not UTF-8 text")
        if not waveform:
            return Answer(ask.trial_id, text=text)
        if ask.trial_id not in self.waveforms:
            return _failed(ask, "missing", f"there is no {ask.trial_id}.wav or .flac")
        return self._waveform(ask, self.waveforms[ask.trial_id], text)

    def _waveform(self, ask: Ask, path: Path, text: str | None) -> Answer:
        try:
            samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            return _failed(ask, "unreadable", f"{path.name} cannot be read as audio: {error}")
        if samples.shape[1] != 1:
            return _failed(ask, "stereo", f"{path.name} has {samples.shape[1]} channels; estimates are mono")
        if not np.isfinite(samples).all():
            return _failed(ask, "not_finite", f"{path.name} holds NaN or infinity")
        notes = [] if rate == self.sample_rate else [f"resampled from {rate} Hz"]
        estimate = audio.resample(samples[:, 0], rate, self.sample_rate)
        wanted = len(Prepared.load(ask.scratch).mixture)
        off = len(estimate) - wanted
        if abs(off) > TOLERANCE_S * self.sample_rate:
            seconds = off / self.sample_rate
            kind = "too_long" if off > 0 else "too_short"
            return _failed(ask, kind, f"{path.name} differs from its mixture by {seconds:+.3f} s")
        if off:
            notes.append(f"{'cut' if off > 0 else 'padded'} by {abs(off)} samples")
        estimate = audio.fit(estimate, wanted)
        write_samples(ask.estimate, estimate)
        return Answer(ask.trial_id, output=measure(estimate, self.sample_rate, tuple(notes)), text=text)


def _failed(ask: Ask, kind: str, message: str) -> Answer:
    return Answer(ask.trial_id, "failed", failure=Failure(kind, message))
