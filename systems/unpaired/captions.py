"""Captions for the cache: a generator that knows some sounds and some phrases, or anybody's text file."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np

from tspbench.errors import UsageError

_LISTING = re.compile(r"^\s*(?:\d+[.):]|[-*•–])\s+")
"""What language models put before the items of a list."""


@dataclass(frozen=True)
class Phrases:
    """Sounds, sentences with places for them, and what else may stand there."""

    events: tuple[str, ...]
    singles: tuple[str, ...]
    pairs: tuple[str, ...]
    how: tuple[str, ...]
    where: tuple[str, ...]

    def caption(self, rng: np.random.Generator, event: str | None = None) -> str:
        """A caption drawn at random; of ``event`` and of nothing else, where one is given."""
        first = event if event is not None else _one(self.events, rng)
        second = _one(self.events, rng)
        pair = event is None and second != first and rng.random() < 0.5
        sentence = _one(self.pairs if pair else self.singles, rng)
        return sentence.format(a=first, b=second, how=_one(self.how, rng), where=_one(self.where, rng))

    def count(self) -> int:
        """How many different captions there are."""
        events = len(self.events)
        ways = {"how": len(self.how), "where": len(self.where)}
        singles = events * sum(_choices(sentence, ways) for sentence in self.singles)
        return singles + events * (events - 1) * sum(_choices(sentence, ways) for sentence in self.pairs)


@cache
def phrases() -> Phrases:
    """The phrases that ship."""
    content = tomllib.loads(Path(__file__).with_name("captions.toml").read_text(encoding="utf-8"))
    return Phrases(**{name: tuple(items) for name, items in content.items()})


def generate(count: int, seed: int = 0, source: Phrases | None = None) -> list[str]:
    """So many different captions; the same ones for the same seed.

    Raises
    ------
    UsageError
        More than half of all captions there are, or fewer than one.
    """
    source = source or phrases()
    if not 1 <= count <= source.count() // 2:
        raise UsageError(f"{count} captions: the generator gives 1 to {source.count() // 2} different ones.")
    rng = np.random.default_rng(seed)
    return list(islice(_different(source, rng), count))


def read(path: Path) -> list[str]:
    """The captions in a text file, one a line, each once, in their order.

    Blank lines, numbers and dashes before a caption, and quotation marks
    around it, are left out: a language model's list can be given as it is.

    Raises
    ------
    UsageError
        No such file, not UTF-8, or no caption in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text in UTF-8: {error}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    cleaned = (_LISTING.sub("", line).strip().strip("\"'“”").strip() for line in lines)
    captions = list(dict.fromkeys(caption for caption in cleaned if caption))
    if not captions:
        raise UsageError(f"{path} holds no captions. Write one a line.")
    return captions


def _different(source: Phrases, rng: np.random.Generator) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        caption = source.caption(rng)
        if caption not in seen:
            seen.add(caption)
            yield caption


def _one(items: tuple[str, ...], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]


def _choices(sentence: str, ways: dict[str, int]) -> int:
    fields = {name for _, name, _, _ in string.Formatter().parse(sentence) if name}
    return int(np.prod([ways[name] for name in fields & set(ways)], dtype=np.int64))
