"""Text to Whisper's tokens, for training; the way back is :mod:`tspbench.systems.whisper.vocabulary`."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from tspbench.systems.whisper.vocabulary import Marks, Vocabulary

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What is merged apart from what (GPT-2's rule, which Whisper keeps)."""
LETTERS = 256
"""Tokens that are single bytes."""


class Encoder:
    """Byte pairs merged in the order of their numbers, as in GPT-2; the opposite of a :class:`Vocabulary`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._numbers = {piece: number for number, piece in vocabulary.pieces.items()}
        self._word = lru_cache(maxsize=100_000)(self._merged)

    def __call__(self, text: str) -> list[int]:
        """Tokens of a text as it stands; Whisper itself writes a space in front."""
        import regex

        return [token for word in regex.findall(WORDS, text) for token in self._word(word)]

    def _merged(self, word: str) -> tuple[int, ...]:
        pieces = [bytes([byte]) for byte in word.encode()]
        while len(pieces) > 1:
            ranks = [self._numbers.get(a + b) for a, b in pairwise(pieces)]
            known = [rank for rank in ranks if rank is not None]
            if not known:
                break
            place = ranks.index(min(known))
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return tuple(self._numbers[piece] for piece in pieces)


def letters(marks: Marks) -> Vocabulary:
    """Single bytes under Whisper's numbers for them; a vocabulary that needs no file."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(LETTERS) if byte not in shown]
    pieces = {number: bytes([byte]) for number, byte in enumerate([*shown, *hidden])}
    return Vocabulary(pieces, marks)
