"""AudioSep's published checkpoint: the separator, and the CLAP that tells it what to separate."""

from __future__ import annotations

from pathlib import Path

from tspbench.errors import UsageError
from tspbench.systems import weights
from tspbench.systems.audiosep import model

CLAP = "query_encoder.model."
SIZE = 512
"""Of CLAP's vectors, and so of the condition."""


def read(path: Path, trust_pickle: bool = False) -> tuple[weights.State, weights.State]:
    """The separator's tensors under this network's names, and CLAP's under LAION's (none where the file lacks it).

    Raises
    ------
    UsageError
        The file is something else, or another model's.
    """
    state = weights.read(path, trust_pickle)
    own = model.convert(state)
    if "base.bn0.weight" not in own or not any(key.startswith("film.") for key in own):
        raise UsageError(
            f"{path} is not AudioSep's checkpoint (no {model.SEPARATOR}base.*, {model.SEPARATOR}film.*) "
            f"but {weights.what_is(state)}."
        )
    clap = {key.removeprefix(CLAP): tensor for key, tensor in state.items() if key.startswith(CLAP)}
    _report_strangers(path, state)
    return {key: tensor for key, tensor in own.items() if key.startswith(("base.", "film."))}, clap


def _report_strangers(path: Path, state: weights.State) -> None:
    homes = (f"{model.SEPARATOR}base.", f"{model.SEPARATOR}film.", "base.", "film.", CLAP)
    odd = [key for key in state if not key.startswith(homes)]
    if odd:
        print(f"{path.name}: {len(odd)} unexpected keys, which are not used: {weights.some(odd)}")


def load(separator: weights.State, path: Path, size: int = SIZE) -> model.Separator:
    """The network with the weights that :func:`read` found; ``size`` is that of CLAP's vectors.

    Raises
    ------
    UsageError
        A tensor is missing, has another shape, or is one too many; or the file is a variant
        for other spectra or other queries.
    """
    bins = separator["base.bn0.weight"].shape[0]
    if bins != model.N_FFT // 2 + 1:
        raise UsageError(
            f"{path} is a network like AudioSep's for spectra of {bins} bins; AudioSep's, at 32 kHz, have 1025. "
            "(Those trained at 16 kHz, as the baseline of DCASE 2024 Task 9, are other systems.)"
        )
    try:
        config = model.config(separator)
    except KeyError as error:
        raise UsageError(f"{path} lacks {model.SEPARATOR}{error.args[0]}, and perhaps more.") from error
    if config.size != size:
        raise UsageError(f"{path} wants a condition of {config.size} numbers; CLAP gives {size}.")
    network = model.build(config)
    strange = weights.load(network, separator, path)
    if strange:
        raise UsageError(f"{path} has tensors that the published network has not: {weights.some(strange)}.")
    return network
