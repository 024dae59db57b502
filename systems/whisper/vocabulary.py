"""Whisper's tokens: the marks, by number, and the text, by bytes. Only decoding is needed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tspbench.errors import UsageError, nearest

TIMES = 1501
"""Tokens of time, 20 ms apart, from 0 to 30 s; the last of the vocabulary."""
STEP_S = 0.02
FILES = ("vocab.json", "tokenizer.json", "multilingual.tiktoken", "gpt2.tiktoken")
"""What a folder may hold: transformers' files, or OpenAI's."""


@dataclass(frozen=True)
class Marks:
    """Numbers of the tokens that are not text, in a vocabulary of a given size.

    ``blank`` is the token of a single space, ``placeholder`` that of ``@``.
    """

    multilingual: bool
    languages: tuple[str, ...]
    end: int
    start: int
    translate: int
    transcribe: int
    start_of_lm: int
    start_of_previous: int
    no_speech: int
    no_timestamps: int
    first_time: int
    blank: int = 220
    placeholder: int = 31

    @classmethod
    def of(cls, tokens: int) -> Marks:
        """``tokens`` as in the checkpoint: 51864 English-only, 51865 up to large-v2, 51866 from large-v3 on."""
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        multilingual = tokens > 51_864
        count = tokens - 51_765 - multilingual
        end = 50_256 + multilingual
        after = end + 2 + count
        return cls(multilingual, tuple(LANGUAGES)[:count], end, end + 1, *range(after, after + 7))

    def language(self, code: str) -> int:
        """The token of a language such as ``en``."""
        if code not in self.languages:
            raise UsageError(f"language={code}: this Whisper does not know it. {nearest(code, self.languages)}")
        return self.start + 1 + self.languages.index(code)

    def prefix(self, language: int | None, timestamps: bool, previous: Sequence[int] = ()) -> list[int]:
        """What the decoder is given before the text; ``previous`` stands where the words before would."""
        marks = [self.start_of_previous, *previous] if previous else []
        marks.append(self.start)
        if self.multilingual:
            assert language is not None
            marks += [language, self.transcribe]
        return marks if timestamps else [*marks, self.no_timestamps]

    @property
    def never(self) -> list[int]:
        """Tokens that are never written: symbols that no one speaks, and marks."""
        from transformers.models.whisper import configuration_whisper as published

        spoken = published.NON_SPEECH_TOKENS_MULTI if self.multilingual else published.NON_SPEECH_TOKENS
        marks = (self.start, self.translate, self.transcribe, self.start_of_lm, self.start_of_previous, self.no_speech)
        return sorted({token for token in spoken if token < self.end}.union(marks))


class Vocabulary:
    """Tokens to text. ``pieces`` maps numbers to bytes."""

    def __init__(self, pieces: Mapping[int, bytes], marks: Marks) -> None:
        self.pieces, self.marks = pieces, marks

    @classmethod
    def read(cls, path: Path, marks: Marks) -> Vocabulary:
        """From one of :data:`FILES`.

        Raises
        ------
        UsageError
            It is none of them, or not of this Whisper.
        """
        text = path.read_text(encoding="utf-8")
        try:
            pieces = _tiktoken(text) if path.suffix == ".tiktoken" else _json(text)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path} is not a vocabulary of Whisper: one of {', '.join(FILES)}.") from error
        plain = {number: piece for number, piece in pieces.items() if number < marks.end}
        if pieces.get(marks.blank) != b" " or len(plain) < marks.end:
            kind = "multilingual" if marks.multilingual else "English-only"
            raise UsageError(f"{path} is not the vocabulary of this Whisper, which is {kind}.")
        return cls(plain, marks)

    @classmethod
    def numbers(cls, marks: Marks) -> Vocabulary:
        """For random weights: every token reads as its number."""
        return cls({number: f" {number}".encode() for number in range(marks.end)}, marks)

    def text(self, tokens: Sequence[int]) -> str:
        """The words; times as ``<|1.20|>``, other marks left out."""
        pieces = [self._piece(token) for token in tokens]
        return b"".join(pieces).decode("utf-8", errors="replace").strip()

    def _piece(self, token: int) -> bytes:
        if token >= self.marks.first_time:
            return f"<|{(token - self.marks.first_time) * STEP_S:.2f}|>".encode()
        return self.pieces.get(token, b"")


def vocabulary_file(folder: Path) -> Path | None:
    """The vocabulary in a folder, or a file that is one; None where there is none."""
    if folder.is_file():
        return folder if folder.suffix in (".json", ".tiktoken") else None
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _tiktoken(text: str) -> dict[int, bytes]:
    rows = (line.split() for line in text.splitlines() if line)
    return {int(number): base64.b64decode(piece) for piece, number in rows}


def _json(text: str) -> dict[int, bytes]:
    content = json.loads(text)
    named = content["model"]["vocab"] if "model" in content else content
    table = _bytes()
    plain = {number: piece for piece, number in named.items() if all(letter in table for letter in piece)}
    return {number: bytes(table[letter] for letter in piece) for number, piece in plain.items()}


@cache
def _bytes() -> dict[str, int]:
    """The letters that stand for bytes in byte-level vocabularies (GPT-2's table)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
