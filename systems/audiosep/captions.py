"""Captions to the token numbers that AudioSep's RoBERTa reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

LENGTH = 512
"""Tokens per caption, to which the published code fills up and cuts; ``laion_clap`` does to 77."""


class Captions:
    """The tokenizer of ``roberta-base``, from a folder with its files.

    Captions are filled up to the longest among them only: padding is masked,
    and RoBERTa then reads twenty tokens rather than 512.

    Parameters
    ----------
    most
        Tokens that the text encoder has positions for.
    """

    def __init__(self, folder: Path, most: int) -> None:
        from transformers import RobertaTokenizer

        self._tokenizer = RobertaTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._most = min(LENGTH, most)

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        found = self._tokenizer(
            list(captions), padding=True, truncation=True, max_length=self._most, return_tensors="pt"
        )
        return found["input_ids"], found["attention_mask"]
