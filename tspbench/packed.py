"""Many digests in little memory."""

from __future__ import annotations

SIZE = 16
"""Bytes of an audio digest, 32 hexadecimal digits in the journal."""


class Digests:
    """Digests by index, 16 bytes for each; anything else, or nothing, is kept as it is."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._others: dict[int, str | None] = {}

    def __len__(self) -> int:
        return len(self._bytes) // SIZE

    def append(self, digest: str | None) -> None:
        """Add one at the end."""
        packed = _packed(digest)
        if packed is None:
            self._others[len(self)] = digest
        self._bytes += packed or bytes(SIZE)

    def __getitem__(self, place: int) -> str | None:
        if place in self._others:
            return self._others[place]
        return self._bytes[SIZE * place : SIZE * (place + 1)].hex()


def _packed(digest: str | None) -> bytes | None:
    try:
        packed = bytes.fromhex(digest or "")
    except ValueError:
        return None
    return packed if len(packed) == SIZE and packed.hex() == digest else None
