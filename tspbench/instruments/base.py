"""What a metric listens through: the two contracts, and what every instrument does alike."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from tspbench.errors import MissingExtra, MissingWeights
from tspbench.types import Audio

ALLOW_DOWNLOAD = "TSPBENCH_ALLOW_DOWNLOAD"


class Recogniser(Protocol):
    """Speech to text.

    Attributes
    ----------
    name
        As it stands in a metric's id: ``pocketsphinx``, ``whisper=openai/whisper-base.en``.
    version
        The packages that run it and a digest of its model: with ``name``, its identity.
    sample_rate
        The rate in Hz it listens at.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...

    def transcribe(self, samples: Audio) -> str:
        """The words in samples of shape (T,); silence and no samples give ``""``.

        The same samples always give the same words, whatever was heard before.
        """
        ...


class SpeakerEncoder(Protocol):
    """Speech to a vector that tells voices apart. Attributes as for :class:`Recogniser`."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...

    def embed(self, samples: Audio) -> Audio | None:
        """A vector of norm 1 for samples of shape (T,); None where there is no speech or too little."""
        ...


def package(name: str, what: str, extra: str) -> Any:
    """Import a package that only some instruments need.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtra(what, extra) from error


def versions(*packages: str) -> str:
    """``"pocketsphinx 5.1.1, torch 2.11.0"``; ``?`` for a package that came under another name."""
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


def files_digest(files: Mapping[str, Path]) -> str:
    """sha256 over the names and contents of some files."""
    sha = hashlib.sha256()
    for name, path in sorted(files.items()):
        sha.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def weights_digest(state: Mapping[str, Any]) -> str:
    """sha256 over the names, shapes and values of torch tensors: the same for every file format."""
    sha = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.data)
    return sha.hexdigest()


def may_download() -> bool:
    """Whether the user said that checkpoints may be fetched."""
    return os.environ.get(ALLOW_DOWNLOAD) == "1"


def missing_weights(what: str, model: str, published: str, without: str, *, hub: bool = True) -> MissingWeights:
    """The error for a checkpoint that is not on this machine.

    ``published`` says where it lives, ``without`` what works at once, ``hub``
    whether a hub id would do instead of a folder.
    """
    places = "neither a folder nor in the local hub cache" if hub else "not a folder that holds it"
    fetch = f", or set {ALLOW_DOWNLOAD}=1 to let a hub id be fetched" if hub else ""
    return MissingWeights(
        f"{what} needs a checkpoint, and {model!r} is {places}. Published: {published}. "
        f"Put its files into a folder and name that folder{fetch}. Works at once: {without}."
    )


@contextmanager
def one_thread(torch: Any) -> Iterator[None]:
    """Inference on one thread (scoring spreads over processes), without gradients."""
    before = torch.get_num_threads()
    if before != 1:
        torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        if before != 1:
            torch.set_num_threads(before)
