"""Opens clips such as ``rain/1000017``: the class and the seed of a synthetic sound."""

from __future__ import annotations

import re
from functools import lru_cache

from tspbench.errors import AudioError, nearest
from tspbench.tasks.lass_demo.sounds import SAMPLE_RATE, SECONDS, SOUNDS, synthesise
from tspbench.types import Audio, Clip

PATH = re.compile(r"([^/]+)/([0-9]{1,12})", re.ASCII)
KEPT = 16


class SoundReader:
    """Makes the sound that a clip names. The same in every process; the last few are kept."""

    def read(self, clip: Clip) -> tuple[Audio, int]:
        """Samples (T,) of the clip's stretch and the rate in Hz; AudioError as :meth:`check`."""
        self.check(clip)
        start = round(clip.start_s * SAMPLE_RATE)
        stop = None if clip.duration_s is None else start + round(clip.duration_s * SAMPLE_RATE)
        return _sound(*_parsed(clip.path))[start:stop].copy(), SAMPLE_RATE

    def check(self, clip: Clip) -> None:
        """AudioError when the path names no sound, or the stretch starts after its end."""
        _parsed(clip.path)
        if not 0 <= round(clip.start_s * SAMPLE_RATE) < round(SECONDS * SAMPLE_RATE):
            raise AudioError(f"{clip.path} lasts {SECONDS} s, but the trial starts reading at {clip.start_s} s.")


def open_reader() -> SoundReader:
    """The reader that task.toml names."""
    return SoundReader()


def _parsed(path: str) -> tuple[str, int]:
    match = PATH.fullmatch(path)
    if match is None:
        raise AudioError(f"{path!r} is not a synthetic sound. Write class/seed, such as rain/1000017.")
    name, seed = match.groups()
    if name not in SOUNDS:
        raise AudioError(f"{path!r}: there is no class of sound called {name!r}. {nearest(name, SOUNDS)}")
    return name, int(seed)


@lru_cache(maxsize=KEPT)
def _sound(name: str, seed: int) -> Audio:
    return synthesise(name, seed)
