"""Where a Whisper and its vocabulary lie: a folder as transformers writes it, a hub repository, or OpenAI's file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tspbench.errors import MissingWeights, UsageError
from tspbench.instruments.base import ALLOW_DOWNLOAD, may_download
from tspbench.system import Card
from tspbench.systems import weights
from tspbench.systems.whisper.vocabulary import FILES, vocabulary_file

TOKENIZER = "tokenizer"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
OPENAI = "large-v2.pt"


@dataclass(frozen=True)
class WhisperFiles:
    """``weights`` and ``vocabulary`` are files; ``config`` lies beside transformers' weights."""

    weights: Path
    vocabulary: Path
    config: Path | None = None

    @classmethod
    def locate(cls, card: Card, option: str, given: Path | None, tokenizer: Path | None) -> WhisperFiles:
        """Find both on this machine, or, where ``TSPBENCH_ALLOW_DOWNLOAD=1`` says so, on the hub.

        Parameters
        ----------
        option
            What the card's entry for Whisper is called.
        given, tokenizer
            Options; None looks below ``TSPBENCH_WEIGHTS``.

        Raises
        ------
        MissingWeights, UsageError
            One of them is not there, or is not what it should be.
        """
        home = _hub_folder(option, given) or _below(card, option, given)
        file = _weights_in(home) if home.is_dir() else home
        weights.refuse_other_files(file)
        config = home / "config.json" if home.is_dir() else None
        return cls(file, _vocabulary(card, file.parent, tokenizer), config)

    def files(self) -> list[Path]:
        """Everything that a run's identity depends on."""
        return [self.weights, self.vocabulary, *([self.config] if self.config else [])]

    def read(self, trust_pickle: bool = False) -> weights.State:
        """The tensors, under the names of whoever wrote the file."""
        return weights.read(self.weights, trust_pickle)

    def heads(self) -> int | None:
        """Attention heads where the folder says so; OpenAI's files leave it to the width."""
        if self.config is None:
            return None
        found = json.loads(self.config.read_text(encoding="utf-8")).get("encoder_attention_heads")
        return int(found) if found else None


def _below(card: Card, option: str, given: Path | None) -> Path:
    try:
        return weights.find(card, option, given)
    except MissingWeights:
        home = os.environ.get(weights.FOLDER)
        path = Path(home).expanduser() / OPENAI if home else Path()
        if not path.is_file():
            raise
        return path


def _hub_folder(option: str, given: Path | None) -> Path | None:
    """The local copy of a hub repository, when that is what an option names."""
    if given is None or given.expanduser().exists() or not HUB_ID.fullmatch(str(given)):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    wanted = [FOLDER_WEIGHTS[0], "config.json", *FILES[:2]]
    try:
        return Path(snapshot_download(str(given), local_files_only=not may_download(), allow_patterns=wanted))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UsageError(
            f"--option {option}={given}: neither a file, nor a folder, nor a repository in the local hub cache. "
            f"Set {ALLOW_DOWNLOAD}=1 to let it be fetched."
        ) from error


def _weights_in(folder: Path) -> Path:
    for name in FOLDER_WEIGHTS:
        if (folder / name).is_file() and (folder / "config.json").is_file():
            return folder / name
    raise UsageError(
        f"{folder} is not a transformers folder of Whisper: it needs config.json and {' or '.join(FOLDER_WEIGHTS)} "
        "(in one piece)."
    )


def _vocabulary(card: Card, beside: Path, given: Path | None) -> Path:
    """The vocabulary: what was named, what lies beside the weights, or what lies below ``TSPBENCH_WEIGHTS``."""
    where = beside if given is None else weights.find(card, TOKENIZER, given)
    found = vocabulary_file(where)
    if found is None and given is not None:
        raise UsageError(f"--option {TOKENIZER}={given}: no vocabulary of Whisper there; one of {', '.join(FILES)}.")
    return found or weights.find(card, TOKENIZER, None)
