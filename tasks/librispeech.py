"""What LibriSpeech says of its speakers and utterances beside their audio."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tspbench.prepared.material import ListError


def speaker_of(utterance: str) -> str:
    """``4077`` of ``4077-13754-0001``."""
    return utterance.partition("-")[0]


def chapter_of(utterance: str) -> str:
    """``4077-13754`` of ``4077-13754-0001``."""
    return utterance.rpartition("-")[0]


def sexes(root: Path | None) -> Mapping[str, str]:
    """``F`` or ``M`` by speaker, from SPEAKERS.TXT in the corpus's folder or one below; empty where there is none."""
    if root is None:
        return {}
    places = [root / "SPEAKERS.TXT", *sorted(root.glob("*/SPEAKERS.TXT"))]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [[cell.strip() for cell in line.split("|")] for line in lines if not line.startswith(";")]
    return {row[0]: row[1] for row in rows if len(row) > 2 and row[1] in ("F", "M")}


def transcripts(root: Path | None, utterances: Iterable[str]) -> Mapping[str, str]:
    """The words of those utterances whose chapter has its ``.trans.txt`` below the corpus's folder.

    Raises
    ------
    ListError
        No such file is below the folder at all, or one is no text.
    """
    wanted = set(utterances)
    files = _transcript_files(root) if root is not None else {}
    if not files:
        where = f"below {root}" if root is not None else "without LibriSpeech"
        raise ListError(
            f"There is no .trans.txt {where}. They come with LibriSpeech's archives, beside the audio of every chapter."
        )
    found: dict[str, str] = {}
    for chapter in sorted({chapter_of(utterance) for utterance in wanted} & files.keys()):
        for line in _read(files[chapter]).splitlines():
            utterance, _, words = line.strip().partition(" ")
            if utterance in wanted and words.strip():
                found[utterance] = words.strip()
    return found


def _transcript_files(root: Path) -> dict[str, Path]:
    """By chapter."""
    ending = ".trans.txt"
    found = {}
    for here, _, names in os.walk(root, followlinks=True):
        found.update({name.removesuffix(ending): Path(here, name) for name in names if name.endswith(ending)})
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ListError(f"{path} cannot be read: {error}.") from error
