"""Where CLAP's weights and its tokenizer lie, and reading them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tspbench.errors import UsageError
from tspbench.instruments.base import ALLOW_DOWNLOAD, may_download
from tspbench.system import Card
from tspbench.systems import weights
from tspbench.systems.clap import encoder, laion
from tspbench.systems.clap.tokens import FILES, tokenizer_files

CLAP, TOKENIZER = "clap", "tokenizer"
"""The options, and the entries of a card's checkpoints, that stand for the two."""
ROBERTA = "FacebookAI/roberta-base"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
FOLDER_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
COMPUTED = ("position_ids", "token_type_ids", "relative_position_index")
"""Buffers that follow from the architecture; a file may leave them out."""


@dataclass(frozen=True)
class ClapFiles:
    """``weights`` is LAION's file, or a folder as transformers writes it; ``tokenizer`` a folder."""

    weights: Path
    tokenizer: Path

    @classmethod
    def locate(cls, card: Card, clap: Path | None, tokenizer: Path | None) -> ClapFiles:
        """Find both on this machine, or, where ``TSPBENCH_ALLOW_DOWNLOAD=1`` says so, on the hub.

        Parameters
        ----------
        clap, tokenizer
            Options: a file, a folder or a hub id; None looks below ``TSPBENCH_WEIGHTS``.

        Raises
        ------
        MissingWeights, UsageError
            One of them is not there, or is not what it should be.
        """
        home = _hub_folder(clap) or weights.find(card, CLAP, clap)
        if home.is_dir():
            _weights_in(home)
        else:
            weights.refuse_other_files(home)
        return cls(home, _tokenizer(card, home, tokenizer))

    def files(self) -> list[Path]:
        """Everything that a run's identity depends on."""
        own = [_weights_in(self.weights), self.weights / "config.json"] if self.weights.is_dir() else [self.weights]
        return [*own, *tokenizer_files(self.tokenizer)]

    def read(self, trust_pickle: bool = False) -> weights.State:
        """The weights under LAION's names.

        Raises
        ------
        UsageError
            The file holds another model, or the variant with feature fusion.
        """
        path = _weights_in(self.weights) if self.weights.is_dir() else self.weights
        state = weights.read(path, trust_pickle)
        if any(key.startswith("audio_model.") for key in state):
            state = laion.revert(state, torch.cat)
        absent = [part for part in ("audio_branch.", "text_branch.") if not any(key.startswith(part) for key in state)]
        if absent:
            raise UsageError(f"{path} is not CLAP (no {absent[0]}*) but {weights.what_is(state)}.")
        if any("fusion_model" in key or "mel_conv2d" in key for key in state):
            raise UsageError(f"{path} is CLAP with feature fusion; these systems use the variant without it.")
        return state

    def config(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The architecture; the epsilon of the text encoder's norms is the folder's own where it states one."""
        found = laion.config(state)
        if self.weights.is_dir():
            text = json.loads((self.weights / "config.json").read_text(encoding="utf-8")).get("text_config") or {}
            found["text_config"]["layer_norm_eps"] = text.get("layer_norm_eps", 1e-12)
        return found


def load_clap(files: ClapFiles, state: Mapping[str, Any]) -> nn.Module:
    """A ``ClapModel`` from what :meth:`ClapFiles.read` gave."""
    model = encoder.build(files.config(state))
    weights.load(model, encoder.convert(state), files.weights, COMPUTED)
    return model


def _hub_folder(given: Path | None) -> Path | None:
    """The local copy of a hub repository, when that is what an option names."""
    if given is None or given.expanduser().exists() or not HUB_ID.fullmatch(str(given)):
        return None
    found = _snapshot(str(given), [*FOLDER_WEIGHTS, "config.json", *FILES])
    if found is None:
        raise UsageError(
            f"{given} is neither a file, nor a folder, nor a repository in the local hub cache. "
            f"Set {ALLOW_DOWNLOAD}=1 to let it be fetched."
        )
    return found


def _snapshot(repository: str, patterns: list[str]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(repository, local_files_only=not may_download(), allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, OSError):
        return None


def _weights_in(folder: Path) -> Path:
    for name in FOLDER_WEIGHTS:
        if (folder / name).is_file() and (folder / "config.json").is_file():
            return folder / name
    raise UsageError(
        f"{folder} is not a transformers folder of CLAP: it needs config.json and {' or '.join(FOLDER_WEIGHTS)}."
    )


def _tokenizer(card: Card, clap: Path, given: Path | None) -> Path:
    """A folder with the tokenizer: the one that was named, CLAP's own, below ``TSPBENCH_WEIGHTS``, the hub cache's."""
    if given is not None:
        folder = _hub_folder(given) or weights.find(card, TOKENIZER, given)
        if not tokenizer_files(folder):
            raise UsageError(
                f"--option {TOKENIZER}={given}: no tokenizer in it; a folder with tokenizer.json, or with "
                f"vocab.json and merges.txt, as in {ROBERTA} on the hub."
            )
        return folder
    if clap.is_dir() and tokenizer_files(clap):
        return clap
    cached = _snapshot(ROBERTA, list(FILES))
    if cached and tokenizer_files(cached):
        return cached
    return weights.find(card, TOKENIZER, None)
