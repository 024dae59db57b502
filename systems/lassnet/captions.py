"""Captions to the token numbers that LASS-Net's BERT reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tspbench.errors import UsageError

FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
START = "[CLS] "
"""Begins every query, literally; no other special token is added, not even the one that ends a sentence."""


class Captions:
    """The tokenizer of ``bert-mini``, from a folder with its files.

    Parameters
    ----------
    most
        Tokens that BERT has positions for; what follows is cut off.
    """

    def __init__(self, folder: Path, most: int) -> None:
        from transformers import BertTokenizer

        self._tokenizer = BertTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._most = most

    def __call__(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and attention mask, each (n, L), int64."""
        found = self._tokenizer(
            [START + caption for caption in captions],
            add_special_tokens=False,
            padding=True,
            truncation=True,
            max_length=self._most,
            return_tensors="pt",
        )
        return found["input_ids"], found["attention_mask"]


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a tokenizer in a folder.

    Raises
    ------
    UsageError
        They do not suffice.
    """
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if not {"tokenizer.json", "vocab.txt"} & {path.name for path in found}:
        raise UsageError(f"{folder} holds no tokenizer: a folder with vocab.txt, as in prajjwal1/bert-mini on the hub.")
    return found
