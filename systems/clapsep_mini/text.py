"""The text tower: any text to a vector, by hashed pieces of its words and the words beside them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

BUCKETS = 4096
SHORTEST, LONGEST = 3, 5
MOST_WORDS = 64


def words(caption: str) -> list[str]:
    """Lower-case words of letters and digits; a text without any is one empty word."""
    return "".join(c if c.isalnum() else " " for c in caption.lower()).split()[:MOST_WORDS] or [""]


def pieces(word: str) -> list[int]:
    """Buckets of a word: of the whole, and of every stretch of three to five letters, ends marked.

    The scheme of fastText (Bojanowski et al. 2017, arXiv 1607.04606), so an
    unknown word counts as what it shares with known ones.
    """
    marked = f"<{word}>"
    grams = [marked[i : i + n] for n in range(SHORTEST, LONGEST + 1) for i in range(len(marked) - n + 1)]
    return [zlib.crc32(piece.encode()) % BUCKETS for piece in [f"={word}", *grams]]


class TextTower(nn.Module):
    """Captions to unit vectors (n, size).

    A word is the mean of its pieces, none of which has a value before it is
    trained on; a convolution sees its neighbours; words are weighed by how
    much each says.
    """

    def __init__(self, size: int, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.pieces = nn.EmbeddingBag(BUCKETS, width, mode="mean")
        self.context = nn.Conv1d(width, width, 3, padding=1, bias=False)
        self.weight = nn.Linear(width, 1)
        self.dropout = nn.Dropout(0.1)
        self.leave = nn.Linear(width, size)
        nn.init.zeros_(self.pieces.weight)

    def forward(self, captions: Sequence[str]) -> Tensor:
        device = self.leave.weight.device
        split = [words(caption) for caption in captions]
        bags = [torch.tensor(pieces(word)) for sentence in split for word in sentence]
        starts = torch.tensor([0, *(len(bag) for bag in bags[:-1])]).cumsum(0)
        vectors = self.pieces(torch.cat(bags).to(device), starts.to(device))
        x = pad_sequence(list(vectors.split([len(sentence) for sentence in split])), batch_first=True)
        lengths = torch.tensor([len(sentence) for sentence in split], device=device)
        inside = torch.arange(x.shape[1], device=device) < lengths[:, None]
        x = x + F.relu(self.context(x.transpose(1, 2))).transpose(1, 2) * inside[..., None]
        share = self.weight(x)[..., 0].masked_fill(~inside, -torch.inf).softmax(dim=1)
        return F.normalize(self.leave(self.dropout((share[..., None] * x).sum(1))), dim=-1)
