"""Captions to the token numbers that CLAP's RoBERTa reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from tspbench.errors import UsageError

LENGTH = 77
"""Tokens per caption, padding included: ``laion_clap`` pads and cuts to it."""
FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "special_tokens_map.json")
START, PADDING, END, BYTES = 0, 1, 2, 4


class Tokens(Protocol):
    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and attention mask, each (n, 77), int64."""
        ...


class Roberta:
    """The tokenizer of ``roberta-base``, from a folder with its files.

    Raises
    ------
    UsageError
        The folder holds no tokenizer.
    """

    def __init__(self, folder: Path) -> None:
        if not tokenizer_files(folder):
            raise UsageError(f"{folder} holds no tokenizer: neither tokenizer.json nor vocab.json with merges.txt.")
        from transformers import RobertaTokenizer

        self._tokenizer = RobertaTokenizer.from_pretrained(str(folder), local_files_only=True)

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        found = self._tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        return found["input_ids"], found["attention_mask"]


class Bytes:
    """Stands for a tokenizer beside random weights: one token per byte. It costs RoBERTa as much as words would."""

    def __init__(self, vocabulary: int) -> None:
        self._most = vocabulary - BYTES

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        ids = torch.full((len(captions), LENGTH), PADDING)
        for row, caption in zip(ids, captions, strict=True):
            inner = [BYTES + byte % self._most for byte in caption.encode()[: LENGTH - 2]]
            row[: len(inner) + 2] = torch.tensor([START, *inner, END])
        return ids, (ids != PADDING).long()


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a tokenizer in a folder; none when they do not suffice."""
    found = [folder / name for name in FILES if (folder / name).is_file()]
    names = {path.name for path in found}
    return found if "tokenizer.json" in names or {"vocab.json", "merges.txt"} <= names else []
