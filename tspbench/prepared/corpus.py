"""Where the clips of a list lie on the user's disk, and what state they are in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from tspbench import audio
from tspbench.corpus import SUFFIXES, Progress
from tspbench.errors import AudioError, UsageError
from tspbench.prepared.declaration import Root

VECTOR = ".npy"
READABLE = SUFFIXES | {VECTOR, ".sph", ".wv1", ".wv2"}
FULL_SCALE = 0.9999
Stems = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """A clip's file: its path below the root, and what its header (and samples, where looked at) say."""

    path: str
    seconds: float = 0.0
    rate: int = 0
    channels: int = 1
    silent: bool = False
    clipped: bool = False


@dataclass(frozen=True)
class Inventory:
    """What became of every clip that a list names. The four kinds of trouble hold clip paths and reasons.

    ``mute`` are trials that ask for words whose audio is there, but not their transcript.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    ambiguous: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    mute: tuple[str, ...] = ()

    @property
    def troubled(self) -> bool:
        return bool(self.missing or self.ambiguous or self.broken or self.unfit or self.mute)

    def troubles(self) -> list[str]:
        """One sentence per kind of trouble, with the count and the first three names."""
        named = {
            "missing": dict.fromkeys(self.missing, ""),
            "named by more than one file": self.ambiguous,
            "unreadable": self.broken,
            "not as they should be": self.unfit,
        }
        found = [_sentence(kind, rows) for kind, rows in named.items() if rows]
        if self.mute:
            first = ", ".join(self.mute[:3]) + (", …" if self.mute[3:] else "")
            what = "trial has" if len(self.mute) == 1 else "trials have"
            found.append(f"{len(self.mute):,} {what} audio but no transcript: {first}.")
        return found

    def seconds(self, path: str) -> float | None:
        """Duration of a clip, None where it is not there."""
        found = self.found.get(path)
        return found.seconds if found else None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Inventory:
        held = json.loads(path.read_text(encoding="utf-8"))
        found = {name: Found(**row) for name, row in held.pop("found").items()}
        return cls(found=found, missing=tuple(held.pop("missing")), mute=tuple(held.pop("mute")), **held)


def take_stock(
    clips: Set[str],
    folders: Mapping[str, Path],
    declared: Sequence[Root],
    stems: Stems,
    *,
    listen: bool = True,
    checksums: Mapping[str, str] | None = None,
    unusable: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Inventory:
    """Find and look at every clip once.

    Parameters
    ----------
    clips
        Paths ``ROOT/name as published``.
    listen
        Decode every file (finds truncated, silent and clipped ones); otherwise only headers are read.
    checksums
        sha256 by file name, where the user has them.
    unusable
        Clips that are known to be of no use, and why; they are not looked at again.
    """
    broken = {clip: reason for clip, reason in (unusable or {}).items() if clip in clips}
    wanted = sorted(clips - broken.keys())
    finders = {name: Finder(folder) for name, folder in folders.items()}
    rules = {root.name: root for root in declared}
    places: dict[str, str] = {}
    missing, ambiguous = [], {}
    for clip in wanted:
        root, _, name = clip.partition("/")
        candidates = _candidates(finders.get(root), rules.get(root), name, stems(clip))
        if not candidates:
            missing.append(clip)
        elif len(candidates) > 1:
            ambiguous[clip] = " and ".join(candidates[:2])
        else:
            places[clip] = candidates[0]

    def inspect(clip: str) -> Found | tuple[str, str]:
        root = clip.partition("/")[0]
        return _inspect(folders[root], places[clip], rules.get(root), listen, checksums or {})

    found: dict[str, Found] = {}
    unfit: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for done, (clip, result) in enumerate(zip(places, pool.map(inspect, places), strict=True), start=1):
            if isinstance(result, Found):
                found[clip] = result
            else:
                {"broken": broken, "unfit": unfit}[result[0]][clip] = result[1]
            if progress and (done % 50 == 0 or done == len(places)):
                progress("Looking at audio", done, len(places))
    return Inventory(found, tuple(missing), ambiguous, broken, unfit)


def _candidates(finder: Finder | None, rule: Root | None, name: str, stems: Sequence[str]) -> list[str]:
    found = finder.find(name, stems) if finder else []
    return [path for path in found if finder and finder.lies_as(name, path)] if rule and rule.layout else found


class Finder:
    """The audio files below a folder, by stem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stems: dict[str, list[str]] = {}
        for path in _files(folder):
            self._stems.setdefault(PurePosixPath(path).stem, []).append(path)

    def find(self, name: str, stems: Sequence[str]) -> list[str]:
        """The file of a published name: itself, else that stem's with the longest run of equal parent folders.

        Of several such files those of the published ending count. More than one answer means that the name does
        not tell which is meant.
        """
        for stem in stems:
            candidates = self._stems.get(stem, [])
            if name in candidates:
                return [name]
            if candidates:
                shared = [_shared_parents(name, candidate) for candidate in candidates]
                nearest = [c for c, n in zip(candidates, shared, strict=True) if n == max(shared)]
                return self._different([c for c in nearest if _ending(c) == _ending(name)] or nearest)
        return []

    def _different(self, paths: Sequence[str]) -> list[str]:
        """A file to which links lead counts once."""
        return list({os.path.realpath(self.folder / path): path for path in reversed(paths)}.values())[::-1]

    def lies_as(self, name: str, path: str) -> bool:
        """Does a file lie in all the folders of a published name (some of them may be above the user's folder)?"""
        return _shared_parents(name, (self.folder.resolve() / path).as_posix()) == name.count("/")


def _sentence(kind: str, rows: Mapping[str, str]) -> str:
    shown = [reason or clip.partition("/")[2] for clip, reason in list(rows.items())[:3]]
    more = ", …" if len(rows) > len(shown) else ""
    what = "clip is" if len(rows) == 1 else "clips are"
    return f"{len(rows):,} {what} {kind}: {(', ' if kind == 'missing' else '; ').join(shown).rstrip('.')}{more}."


def read_checksums(path: Path) -> dict[str, str]:
    """sha256 by file name from a file as ``sha256sum`` writes it; UsageError naming the line that is none."""
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--checksums {path} cannot be read: {error}.") from error
    for number, line in enumerate(lines, start=1):
        digest, _, name = line.strip().partition(" ")
        if line.strip() and (len(digest) != 64 or not name.strip()):
            raise UsageError(f"{path}, line {number}: expected a sha256 and a file name, as sha256sum writes them.")
        if line.strip():
            found[PurePosixPath(name.strip().lstrip("*")).name] = digest.lower()
    return found


def _files(folder: Path) -> Iterator[str]:
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(here))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(here, name)) not in visited
        )
        for name in sorted(names):
            if Path(name).suffix.lower() in READABLE and not name.startswith("."):
                yield Path(here, name).relative_to(folder).as_posix()


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _shared_parents(name: str, candidate: str) -> int:
    ours, theirs = PurePosixPath(name).parts[-2::-1], PurePosixPath(candidate).parts[-2::-1]
    shared = 0
    for mine, other in zip(ours, theirs, strict=False):
        if mine != other:
            break
        shared += 1
    return shared


def _inspect(
    folder: Path, name: str, rule: Root | None, listen: bool, checksums: Mapping[str, str]
) -> Found | tuple[str, str]:
    """What a file is; or ("broken" | "unfit", why it is of no use)."""
    path = folder / name
    try:
        if path.suffix == VECTOR:
            audio.read_vector(path)
            return Found(name)
        seconds, rate, channels = audio.probe(path)
        samples = audio.read(path)[0] if listen else None
        expected = checksums.get(path.name)
        if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            return "unfit", f"{name} is not the file of the checksum list"
    except (AudioError, OSError) as error:
        return "broken", str(error).replace(str(path), name)
    if rule and rule.rate and rate != rule.rate:
        return "unfit", f"{name} is at {rate} Hz, not {rule.rate} Hz"
    if rule and rule.channels and channels != rule.channels:
        return "unfit", f"{name} has {channels} channels, not {rule.channels}"
    if samples is None:
        return Found(name, seconds, rate, channels)
    if len(samples) < round(seconds * rate) - 1:
        return "broken", f"{name} is truncated: {len(samples) / rate:.2f} s of {seconds:.2f} s"
    peak = float(np.abs(samples).max())
    return Found(name, seconds, rate, channels, silent=peak == 0.0, clipped=peak >= FULL_SCALE)
