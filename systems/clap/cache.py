"""Embeddings by content: a test set repeats its captions and examples, and none is embedded twice."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Embedding = npt.NDArray[np.float32]
Content = TypeVar("Content", bound=Hashable)
FOLDER = "TSPBENCH_EMBEDDINGS"
"""Environment variable that names a folder; without it embeddings live as long as the process."""


class EmbeddingCache:
    """Vectors by key, the least used forgotten first.

    Parameters
    ----------
    most
        How many to keep in memory.
    folder
        Where to keep them between runs as well, one ``.npy`` file each. It
        must belong to one model. What cannot be read there is computed anew.
    """

    def __init__(self, most: int = 100_000, folder: Path | None = None) -> None:
        self.most, self.folder = most, folder
        self._known: OrderedDict[str, Embedding] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(
        self,
        contents: Sequence[Content],
        name: Callable[[Content], bytes],
        embed: Callable[[Sequence[Content]], npt.NDArray[np.float32]],
        at_once: int = 1,
    ) -> Embedding:
        """One vector per content, (n, size); ``embed`` is asked for unknown ones, each once, ``at_once`` together."""
        keys = [hashlib.sha256(name(content)).hexdigest() for content in contents]
        found = {key: known for key in dict.fromkeys(keys) if (known := self._recall(key)) is not None}
        new = {key: content for key, content in zip(keys, contents, strict=True) if key not in found}
        waiting = list(new)
        for start in range(0, len(waiting), at_once):
            batch = waiting[start : start + at_once]
            for key, vector in zip(batch, embed([new[key] for key in batch]), strict=True):
                found[key] = vector
                self._keep(key, vector)
        return np.stack([found[key] for key in keys])

    def _recall(self, key: str) -> Embedding | None:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if self.folder is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            vector: Embedding = np.load(self.folder / f"{key}.npy", allow_pickle=False)
            self._remember(key, vector)
            return vector
        return None

    def _keep(self, key: str, vector: Embedding) -> None:
        self._remember(key, vector)
        if self.folder is not None:
            with contextlib.suppress(OSError):
                self._write(key, vector)

    def _remember(self, key: str, vector: Embedding) -> None:
        self._known[key] = vector
        while len(self._known) > self.most:
            self._known.popitem(last=False)

    def _write(self, key: str, vector: Embedding) -> None:
        """Whole or not at all: another process may be reading."""
        assert self.folder is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            np.save(file, vector)
        Path(name).replace(self.folder / f"{key}.npy")


def folder_for(fingerprint: Callable[[], str]) -> Path | None:
    """The folder of one model's embeddings, where the user asked for one; the fingerprint is taken only then."""
    named = os.environ.get(FOLDER)
    return Path(named).expanduser() / fingerprint()[:16] if named else None
