"""The weights files: each a separator, float16; the encoder that they share is clapsep-mini's and lies in its file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tspbench.errors import UsageError
from tspbench.instruments.base import weights_digest
from tspbench.systems import weights
from tspbench.systems.clapsep_mini import files
from tspbench.systems.clapsep_mini.model import Config, Encoder, Separator, own_weights

SEPARATOR = "separator."
COMPUTED = "num_batches_tracked"
SIZES = Config(separator=(32, 64, 96, 128), head=12)
"""A smaller separator than clapsep-mini's: four of them are trained to be compared."""


def name(conditioning: str) -> str:
    """What the file of a conditioning is called; the method's own is the one that ships."""
    return "unpaired-mini.safetensors" if conditioning == "retrieval" else f"unpaired-mini-{conditioning}.safetensors"


def encoder_file(given: Path | None = None) -> Path:
    """The file that holds the encoder: the given one, or clapsep-mini's, which comes with the package."""
    return weights.find(weights.card_of("clapsep-mini"), "checkpoint", given)


def encoder_digest(encoder: Encoder) -> str:
    """What tells an encoder from others: of its weights in float16, as they are kept."""
    state = encoder.state_dict()
    return weights_digest({key: value.half() for key, value in state.items() if not key.endswith(COMPUTED)})


def write(path: Path, encoder: Encoder, separator: Separator, conditioning: str) -> str:
    """Write a separator's own weights; returns path, size and sha256 in words."""
    from safetensors.torch import save_file

    about = {"conditioning": conditioning, "encoder": encoder_digest(encoder)}
    own = {key: value for key, value in own_weights(separator).items() if not key.endswith(COMPUTED)}
    save_file({SEPARATOR + key: value.half().contiguous() for key, value in own.items()}, path, metadata=about)
    content = path.read_bytes()
    return f"{path}\n{len(content)} bytes\nsha256 {hashlib.sha256(content).hexdigest()}"


def load(path: Path, beside: Path) -> tuple[Encoder, Separator]:
    """The encoder in ``beside`` and the separator in ``path``, float32, in evaluation mode and frozen.

    Raises
    ------
    UsageError
        A file is of another model or broken, or the separator was trained with another encoder.
    """
    found = weights.read(path)
    encoder = files.load_encoder(beside)
    trained_with = _about(path).get("encoder", "an unnamed one")
    if trained_with != encoder_digest(encoder):
        raise UsageError(
            f"{path} was trained with another encoder than that of {beside} ({trained_with[:14]}, not "
            f"{encoder_digest(encoder)[:14]}). Name the file that holds it: --option encoder=…, or train anew."
        )
    separator = Separator(encoder, SIZES)
    own = {key.removeprefix(SEPARATOR): value.float() for key, value in found.items()}
    tower = {f"tower.{key}": value for key, value in encoder.sounds.state_dict().items()}
    weights.load(separator, {**own, **tower}, path, computed=(COMPUTED,))
    return encoder, separator.eval().requires_grad_(False)


def _about(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing, of another kind of file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except SafetensorError:
        return {}
