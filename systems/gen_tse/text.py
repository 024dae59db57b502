"""Text to Whisper's tokens as Whisper writes it: after a space."""

from __future__ import annotations

from tspbench.systems.whisper import text
from tspbench.systems.whisper.text import letters

__all__ = ["Encoder", "letters"]


class Encoder(text.Encoder):
    """Tokens of a text after a space."""

    def __call__(self, text: str) -> list[int]:
        return super().__call__(f" {text.strip()}")
