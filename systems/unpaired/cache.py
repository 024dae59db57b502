"""The caption cache: captions and their text vectors, in a folder, read by mapping."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tspbench.errors import UsageError

Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
CAPTIONS, VECTORS, ABOUT = "captions.txt", "vectors.npy", "cache.json"


@dataclass(frozen=True)
class CaptionCache:
    """Captions and their unit vectors, (N, size) float32; of an opened cache, mapped rather than read."""

    captions: tuple[str, ...]
    vectors: Vectors

    @classmethod
    def open(cls, folder: Path) -> CaptionCache:
        """Open the cache in a folder.

        Raises
        ------
        UsageError
            There is none, or its files do not belong together.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            captions = tuple((folder / CAPTIONS).read_text(encoding="utf-8").splitlines())
            vectors = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"{folder} holds no caption cache: {error}.") from error
        if about.get("captions") != _digest(captions) or vectors.shape[:1] != (len(captions),):
            raise UsageError(f"{folder}: captions and vectors do not belong together. Remove the folder.")
        return cls(captions, vectors)

    @property
    def digest(self) -> str:
        """sha256 of the captions."""
        return _digest(self.captions)


def cached(
    captions: Sequence[str],
    embed: Embed,
    encoder: str,
    folder: Path,
    at_once: int = 256,
    progress: Callable[[str, int, int], None] | None = None,
) -> CaptionCache:
    """The cache of some captions, made where the folder does not hold it yet.

    Parameters
    ----------
    embed
        Vectors (n, size) of n captions; they are brought to unit length.
    encoder
        What tells this encoder from others, such as a digest of its weights.
    at_once
        Captions that ``embed`` is given together. No more vectors are held in memory.
    progress
        Told what is being done, how much is done and how much there is.

    Raises
    ------
    UsageError
        A caption spans lines, or its vector has no direction.
    """
    broken = next((caption for caption in captions if len(caption.splitlines()) != 1), None)
    if broken is not None:
        raise UsageError(f"A caption must be one line, not {broken!r}.")
    about = {"captions": _digest(captions), "encoder": encoder, "count": len(captions)}
    if not _is_about(folder, about):
        _build(captions, embed, folder, at_once, progress)
        (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return CaptionCache.open(folder)


def _is_about(folder: Path, about: dict[str, object]) -> bool:
    try:
        return bool(json.loads((folder / ABOUT).read_text(encoding="utf-8")) == about)
    except (OSError, ValueError):
        return False


def _build(
    captions: Sequence[str],
    embed: Embed,
    folder: Path,
    at_once: int,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Write captions and vectors; until both are there, no file says what they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)
    (folder / CAPTIONS).write_text("".join(f"{caption}\n" for caption in captions), encoding="utf-8")
    vectors: np.memmap[tuple[int, ...], np.dtype[np.float32]] | None = None
    for start in range(0, len(captions), at_once):
        found = _unit(embed(captions[start : start + at_once]), captions[start])
        if vectors is None:
            shape = (len(captions), found.shape[1])
            vectors = np.lib.format.open_memmap(folder / VECTORS, mode="w+", dtype=np.float32, shape=shape)
        vectors[start : start + len(found)] = found
        if progress:
            progress("embedding captions", start + len(found), len(captions))
    assert vectors is not None
    vectors.flush()


def _unit(vectors: Vectors, first: str) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and (norms > 0).all()):
        raise UsageError(f"The text encoder gives a vector without direction, at or after the caption {first!r}.")
    return np.asarray(vectors / norms, dtype=np.float32)


def _digest(captions: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for caption in captions:
        digest.update(caption.encode() + b"\n")
    return digest.hexdigest()
