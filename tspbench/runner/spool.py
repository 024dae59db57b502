"""Work in progress of a run: rendered trials and estimates that wait to be scored.

Files of finished trials are kept and written over by the next ones: fresh
pages for every file cost more than the samples in them.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np

from tspbench import audio
from tspbench.types import Audio

SCRATCH, ESTIMATE = ".scratch", ".f32"


class Spool:
    """The folder ``spool/`` of a run.

    Estimates outlive an interruption; scratch files are made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._free: dict[str, list[Path]] = {SCRATCH: [], ESTIMATE: []}
        for path in [*folder.glob(f"*{SCRATCH}"), *folder.glob(f"free *{ESTIMATE}")]:
            path.unlink()

    def scratch(self, trial_id: str) -> Path:
        """Where the samples of a trial wait to be used."""
        return self.folder / f"{trial_id}{SCRATCH}"

    def estimate(self, trial_id: str) -> Path:
        """Where the estimate of a trial waits to be scored."""
        return self.folder / f"{trial_id}{ESTIMATE}"

    def holds(self, trial_id: str, digest: str) -> bool:
        """Does the estimate of a trial lie here, whole?"""
        path = self.estimate(trial_id)
        return path.exists() and path.stat().st_size % 4 == 0 and audio.digest(read_samples(path)) == digest

    def take_back(self, trial_id: str, digest: str, kept: Path) -> bool:
        """Make sure that the estimate of a trial lies here, from the kept audio if need be; False if it cannot."""
        if not self.holds(trial_id, digest):
            if not kept.exists():
                return False
            write_samples(self.estimate(trial_id), audio.read(kept)[0])
        return self.holds(trial_id, digest)

    def claim(self, trial_id: str) -> None:
        """Make ready for a trial, with the files of a finished one where there are any."""
        for suffix, free in self._free.items():
            path = self.folder / f"{trial_id}{suffix}"
            if free and not path.exists():
                free.pop().rename(path)

    def release(self, trial_id: str) -> None:
        """A trial is done: its files are free. The name can be no trial's."""
        for suffix, free in self._free.items():
            path = self.folder / f"{trial_id}{suffix}"
            with contextlib.suppress(FileNotFoundError):
                free.append(path.rename(self.folder / f"free {len(free)}{suffix}"))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def write_samples(path: Path, samples: Audio) -> None:
    """Write bare float32 samples. Unlike numpy's writers, a full disk is told as such."""
    write_over(path, np.ascontiguousarray(samples, np.float32).data)


def read_samples(path: Path) -> Audio:
    """Read what :func:`write_samples` wrote, as shape (T,)."""
    return np.frombuffer(path.read_bytes(), np.float32)


def write_over(path: Path, *chunks: bytes | memoryview) -> None:
    """Write a file, over its old pages where it exists."""
    with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
        for chunk in chunks:
            rest = memoryview(chunk).cast("B")
            while rest:
                rest = rest[file.write(rest) :]
        file.truncate()
