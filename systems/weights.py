"""Published checkpoints: where they lie, what they are, what is in them.

Shared by every system with weights. A file is named by an option, or comes
with tspbench, or lies in the folder that ``TSPBENCH_WEIGHTS`` names, under its
published name (or in a folder of it called like the system). Nothing is
fetched, and nothing in a file is run: see :func:`read`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tspbench.errors import MissingWeights, UsageError
from tspbench.system import Card, Checkpoint, known_systems

FOLDER = "TSPBENCH_WEIGHTS"
State = dict[str, Any]
"""Names to torch tensors."""


# -- where ---------------------------------------------------------------------------------------


def card_of(system: str) -> Card:
    """The card of a bundled system."""
    card = known_systems()[system].card
    assert card is not None
    return card


def find(card: Card, option: str, given: Path | None) -> Path:
    """The checkpoint that an option stands for, which may be a folder.

    Raises
    ------
    UsageError
        The option names something that does not exist, or a bundled file is damaged.
    MissingWeights
        No option, and it is not below ``TSPBENCH_WEIGHTS``: what to get, and from where.
    """
    published = next(each for each in card.checkpoints if each.option == option)
    if given is not None:
        path = given.expanduser()
        if not path.exists():
            raise UsageError(f"--option {option}={given}: there is no such file. {_described(published)}")
        return path
    if published.bundled:
        return _bundled(card, published)
    home = os.environ.get(FOLDER)
    names = (Path(published.file), Path(card.name) / published.file)
    for path in (Path(home).expanduser() / name for name in names) if home else ():
        if path.exists():
            return path
    raise missing(card)


def _bundled(card: Card, published: Checkpoint) -> Path:
    """The file beside the card, if it is what the card says."""
    package = ".".join(known_systems()[card.name].module.split(".")[:3])
    spec = importlib.util.find_spec(package)
    home = Path(next(iter(spec.submodule_search_locations or ()), "")) if spec else Path()
    path = home / published.file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != published.sha256:
        state = "is damaged" if path.is_file() else "is missing"
        raise UsageError(f"{path}, which comes with tspbench, {state}. Install tspbench again.")
    return path


def missing(card: Card) -> MissingWeights:
    """The error for a system whose checkpoint is not on this machine, in full."""
    lines = [f"The system {card.name!r} needs published weights that are not on this machine:"]
    lines += [f"  {_described(each)}" for each in card.checkpoints]
    options = " ".join(f"--option {each.option}=PATH" for each in card.checkpoints)
    home = os.environ.get(FOLDER)
    looked = f" (now {home}, where at least one of them is not)" if home else ""
    lines += [
        f"Put them into a folder and name it in the environment variable {FOLDER}{looked}, or say {options}.",
        f"To measure speed and memory without them: --option weights=random. Works at once: {_ready(card)}.",
    ]
    return MissingWeights("\n".join(lines))


def _described(published: Checkpoint) -> str:
    size = f", {_bytes(published.size)}" if published.size else ""
    licence = f", licence: {published.licence}" if published.licence else ""
    holds = f", {published.holds}" if published.holds else ""
    return f"{published.option}: {published.file}{holds} ({published.hub or published.url}{size}{licence})"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def _ready(card: Card) -> str:
    """The systems for the same kinds of task that need nothing brought."""
    cards = [ref.card for ref in known_systems().values() if ref.card and ref.card.name != card.name]
    ready = [each for each in cards if all(file.bundled for file in each.checkpoints)]
    return ", ".join(each.name for each in ready if set(each.kinds) & set(card.kinds))


# -- what ----------------------------------------------------------------------------------------

SIGNATURES = (
    (("decoder_model.",), "CLAPSep's checkpoint"),
    (("ss_model.",), "AudioSep's Lightning checkpoint"),
    (("audio_branch.", "text_branch."), "a LAION CLAP checkpoint"),
    (("audio_model.", "text_model."), "a transformers ClapModel"),
    (("model.encoder.", "model.decoder."), "a transformers encoder-decoder such as Whisper"),
    (("encoder.layer.", "embeddings."), "a transformers text encoder"),
    (("base.", "film."), "a ResUNet30 separator (AudioSep without its Lightning wrapper)"),
)
"""Beginnings of keys that tell one published model from another; the first row that fits counts."""

_MAGIC = (
    (b"version https://git-lfs", "a git-lfs pointer, not the file it stands for; fetch it with: git lfs pull"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, which this model is not published in"),
    (b"RIFF", "a RIFF file (audio)"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
)


def refuse_other_files(path: Path) -> str:
    """``torch``, ``legacy`` or ``safetensors``, from the first bytes; cheap enough to ask before a run.

    Raises
    ------
    UsageError
        It is something else, and what.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name the checkpoint file in it.")
    with path.open("rb") as file:
        head = file.read(512)
    problem = next((what for magic, what in _MAGIC if head.startswith(magic)), None)
    if not head:
        problem = "an empty file; its download broke off"
    elif re.match(rb"\s*<(!doctype|html|\?xml)", head, re.IGNORECASE):
        problem = "a web page (the address of the page, not of the file, was downloaded)"
    elif head[:1] == b"{" or head[:1] == b"[":
        problem = "a JSON text, not weights"
    if problem:
        raise UsageError(f"{path} is not a checkpoint but {problem}.")
    if head.startswith(b"PK"):
        return _zip_kind(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    if head[:1] == b"\x80":
        return "legacy"
    raise UsageError(f"{path} is not a checkpoint: neither a torch file nor safetensors.")


def _zip_kind(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise UsageError(f"{path} breaks off in the middle; download it again ({path.stat().st_size} bytes).") from None
    if any(name.endswith("data.pkl") for name in names):
        return "torch"
    raise UsageError(f"{path} is not a checkpoint but a zip archive of {', '.join(names[:3])} …; unpack it first.")


def what_is(state: Collection[str]) -> str:
    """What published model some keys belong to, in words."""
    for beginnings, name in SIGNATURES:
        if all(any(key.startswith(beginning) for key in state) for beginning in beginnings):
            return name
    return f"an unknown model, its first keys being {', '.join(list(state)[:3]) or 'none'}"


# -- reading -------------------------------------------------------------------------------------


def read(path: Path, trust_pickle: bool = False) -> State:
    """The tensors in a checkpoint file, on the CPU, outer wrappers and ``module.`` prefixes taken off.

    A torch file is a pickle, and a pickle can run code. Here only tensors and
    plain data are let through, unless ``trust_pickle`` says otherwise. Large
    files are mapped, not read, so optimiser states cost nothing.

    Raises
    ------
    UsageError
        It is no checkpoint, it breaks off, it holds objects, or it holds no tensors.
    """
    kind = refuse_other_files(path)
    if kind == "safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    return unwrapped(_torch_load(path, kind == "torch", trust_pickle), path)


def _torch_load(path: Path, mapped: bool, trust_pickle: bool) -> Any:
    import torch

    try:
        with torch.serialization.safe_globals(_plain_numpy()):
            return torch.load(path, map_location="cpu", mmap=mapped, weights_only=not trust_pickle)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        if not found:
            raise UsageError(f"{path} cannot be read as a torch file: {error}".splitlines()[0]) from error
        raise UsageError(
            f"{path} holds Python objects beside its tensors ({found[1]}); reading them could run code. "
            "If you trust where it comes from: --option trust_pickle=true."
        ) from error


def _plain_numpy() -> list[Any]:
    """Numbers that training scripts leave in checkpoints; rebuilding them runs no foreign code."""
    scalar = np.float64(0).__reduce__()[0]
    types = {type(np.dtype(name)) for name in ("f2", "f4", "f8", "i4", "i8", "?")}
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*named, np.dtype, *types]


def unwrapped(content: Any, path: Path) -> State:
    """The state dict inside ``state_dict``/``model`` wrappers or a list of ``models``, without ``module.``."""
    if isinstance(content, Mapping) and isinstance(content.get("models"), list) and content["models"]:
        content = content["models"][0]
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {str(key): value for key, value in content.items() if _is_tensor(value)} if _is_mapping(content) else {}
    if not state:
        held = ", ".join(map(str, content)) if _is_mapping(content) else type(content).__name__
        raise UsageError(f"{path} holds no weights but {held:.200}.")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _is_mapping(content: Any) -> bool:
    return isinstance(content, Mapping)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "storage_offset")


# -- loading -------------------------------------------------------------------------------------


def load(module: Any, state: Mapping[str, Any], path: Path, computed: Iterable[str] = ()) -> tuple[str, ...]:
    """Load a (converted) state dict into a torch module.

    Parameters
    ----------
    path
        The file it came from, for messages.
    computed
        Endings of buffers that follow from the architecture: a file may leave them out.

    Returns
    -------
    The keys that the module does not know. They are also printed, into a run's ``system.log``.

    Raises
    ------
    UsageError
        A tensor is missing or has another shape.
    """
    own = module.state_dict()
    lacking = [key for key in own if key not in state and not key.endswith(tuple(computed))]
    if lacking:
        raise UsageError(f"{path} lacks {len(lacking)} of {len(own)} tensors: {some(lacking)}.")
    for key, tensor in own.items():
        if key in state and tuple(state[key].shape) != tuple(tensor.shape):
            raise UsageError(f"{path}: {key} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}.")
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)
    unexpected = tuple(key for key in state if key not in own)
    if unexpected:
        print(f"{path.name}: {len(unexpected)} unexpected keys, which are not used: {some(unexpected)}")
    return unexpected


def some(keys: Iterable[str], most: int = 3) -> str:
    """The first few of some names."""
    names = list(keys)
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")
