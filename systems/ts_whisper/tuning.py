"""What the publication's three methods train, around a Whisper, and the files that they leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tspbench.systems.ts_whisper import lora, prompts
from tspbench.systems.whisper import model
from tspbench.systems.whisper.model import MARK

Kind = Literal["prompts", "lora", "full"]
SYSTEMS: dict[Kind, str] = {"prompts": "ts-whisper", "lora": "ts-whisper-lora", "full": "ts-whisper-full"}
Told = Callable[[Tensor], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Tuning:
    """A Whisper, and what of it or beside it is trained.

    Attributes
    ----------
    module
        All that is trained, and no more but for ``full``. Its state has the
        names that the published scripts save it under.
    length
        Prompts of one block; 0 where the speaker is the first frame.
    told
        While the context lasts, the network hears mixtures as told by vectors (B, 512).
    """

    kind: Kind
    network: Any
    module: nn.Module
    length: int
    told: Told

    @property
    def blank(self) -> int:
        """Zero frames in front of the mixture."""
        return 2 * (self.length + 1)

    def logits(self, features: Tensor, vectors: Tensor, fed: Tensor) -> Tensor:
        """Shape (B, n, vocabulary) for features (B, bands, 3000), vectors (B, 512) and tokens (B, n)."""
        with self.told(vectors):
            heard = self.network.model.encoder(features).last_hidden_state
            states = self.network.model.decoder(input_ids=fed, encoder_hidden_states=heard, use_cache=False)
        found: Tensor = self.network.proj_out(states.last_hidden_state)
        return found


def build(kind: Kind, network: Any, shape: prompts.Shape, random: int | None = None) -> Tuning:
    """Freeze a Whisper but for what is trained, and put that beside it or into it.

    Parameters
    ----------
    shape
        Of the prompts; other methods have none.
    random
        The seed of a Whisper with random weights, which marks all that is trained on it.
    """
    network.requires_grad_(False)
    module = prompts.Prompts(shape) if kind == "prompts" else _tuned(kind, network)
    if random is not None:
        module.register_buffer(MARK, torch.tensor(random))
    module.to(network.device)
    if isinstance(module, prompts.Prompts):
        return Tuning(kind, network, module, shape.length, lambda x: prompts.inserted(network, module(x)))
    speaker = module.get_submodule(f"prompt.{lora.SPEAKER}")
    return Tuning(kind, network, module, 0, lambda x: lora.speaker_in_front(network, speaker(x)))


def _tuned(kind: Kind, network: Any) -> nn.Module:
    """Parts called as in the published script: the Whisper (or its updates), and the speaker's projection."""
    root, prompt = nn.Module(), nn.Module()
    if kind == "full":
        network.requires_grad_(True)
        network.model.encoder.embed_positions.requires_grad_(False)  # sinusoids
    root.add_module("model", network.model if kind == "full" else lora.updates(network))
    prompt.add_module(lora.SPEAKER, nn.Linear(prompts.VECTOR, network.config.d_model))
    root.add_module("prompt", prompt)
    return root


# -- files ---------------------------------------------------------------------------------------


def files(tuning: Tuning) -> dict[str, dict[str, Any]]:
    """What to save, by the file names of the systems' cards, in the published layouts."""
    state, name = tuning.module.state_dict(), SYSTEMS[tuning.kind]
    if tuning.kind == "prompts":
        return {f"{name}.pt": state}
    mark = {key: tensor for key, tensor in state.items() if key == MARK}
    speaker = {key.removeprefix("prompt."): tensor for key, tensor in state.items() if key.startswith("prompt.")}
    if tuning.kind == "lora":
        updates = {key: tensor for key, tensor in state.items() if key.startswith("model.")}
        return {f"{name}.pt": updates | mark, f"{name}-speaker.pt": speaker | mark}
    whisper = model.published_state(tuning.network)
    whisper["model_state_dict"] |= mark
    return {f"{name}.pt": speaker | mark, f"{name}-whisper.pt": whisper}


# -- sizes ---------------------------------------------------------------------------------------

WHISPER, TRAINED = "Whisper", "trained"
PARTS = (
    ("spk_embed", "speaker projection"),
    (prompts.ENCODER, "prompts of the encoder"),
    (prompts.DECODER, "prompts of the decoder"),
    ("mlp_", "their MLPs, in training only"),
    ("lora_", "LoRA's A and B"),
)
"""What is in a parameter's name, and the part it belongs to; the first row that fits counts."""


def counts(tuning: Tuning) -> dict[str, int]:
    """Parameters of Whisper (its sinusoids are none), of each part that is trained, and of these together."""
    sinusoids = tuning.network.model.encoder.embed_positions.weight
    parts = {WHISPER: sum(each.numel() for each in tuning.network.parameters()) - sinusoids.numel()}
    trained = {name: each.numel() for name, each in tuning.module.named_parameters() if each.requires_grad}
    for name, count in trained.items():
        rest = WHISPER if tuning.kind == "full" else "biases of queries and values"
        part = next((part for piece, part in PARTS if piece in name), rest)
        parts[part] = parts.get(part, 0) + (count if part != WHISPER else 0)
    return parts | {TRAINED: sum(trained.values())}


def described(tuning: Tuning) -> list[str]:
    """The counts in lines, for people."""
    found = counts(tuning)
    whole = found[WHISPER]
    state = "trained" if tuning.kind == "full" else "frozen"
    lines = [f"{count:>13,}  {part}" for part, count in found.items()]
    lines[0] += f", {state}"
    lines[-1] += f", {100 * found[TRAINED] / whole:.2f} % of Whisper"
    return lines
