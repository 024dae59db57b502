"""Instruments by name: recognisers and speaker encoders. Importing this package imports none of them.

An instrument is written as it stands in a metric's brackets: a bare name
(``pocketsphinx``, ``resemblyzer``), or ``name=MODEL`` for those that take a
checkpoint (``whisper=openai/whisper-base.en``). MODEL is a folder on this
machine or a hub id; a hub id is looked up in the local cache and fetched only
where ``TSPBENCH_ALLOW_DOWNLOAD=1``. A hub id means the same on every machine,
a folder does not: prefer it in results that are to be compared.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from tspbench.errors import UnknownName, UsageError
from tspbench.instruments.base import Recogniser, SpeakerEncoder

__all__ = [
    "ENCODERS",
    "RECOGNISERS",
    "Kind",
    "Recogniser",
    "SpeakerEncoder",
    "encoder",
    "identity",
    "kind",
    "named_in",
    "recogniser",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of instrument, known before anything heavy is imported.

    ``entry`` is ``module:Class`` in this package; ``example`` a published
    model, empty for instruments that carry their own.
    """

    entry: str
    packages: tuple[str, ...]
    citation: str
    extra: str | None = None
    example: str = ""
    least_cosine: float = -1.0


RECOGNISERS: Mapping[str, Kind] = {
    "pocketsphinx": Kind("sphinx:Pocketsphinx", ("pocketsphinx",), "Huggins-Daines et al.: PocketSphinx, ICASSP 2006"),
    "whisper": Kind(
        "whisper:Whisper",
        ("transformers", "torch"),
        "Radford et al.: Robust speech recognition via large-scale weak supervision, ICML 2023",
        extra="transformers",
        example="openai/whisper-base.en",
    ),
}

ENCODERS: Mapping[str, Kind] = {
    "resemblyzer": Kind(
        "resemblyzer:Resemblyzer",
        ("resemblyzer", "webrtcvad", "torch"),
        "Wan et al.: Generalized end-to-end loss for speaker verification, ICASSP 2018 (weights: Resemblyzer 0.1.4)",
        extra="speaker",
        least_cosine=0.0,
    ),
    "wavlm-sv": Kind(
        "wavlm:WavLMSpeaker",
        ("transformers", "torch"),
        "Chen et al.: WavLM, IEEE JSTSP 2022",
        extra="transformers",
        example="microsoft/wavlm-base-plus-sv",
    ),
    "ecapa": Kind(
        "ecapa:Ecapa",
        ("speechbrain", "torch"),
        "Desplanques et al.: ECAPA-TDNN, Interspeech 2020",
        extra="speechbrain",
        example="speechbrain/spkrec-ecapa-voxceleb",
    ),
}


def recogniser(instrument: str) -> Recogniser:
    """The recogniser of a name such as ``pocketsphinx``, loaded once per process.

    Raises
    ------
    UnknownName
        There is no such recogniser.
    UsageError
        A model where none is taken, or none where one is needed.
    MissingExtra, MissingWeights
        Its package or its checkpoint is not on this machine.
    """
    return cast(Recogniser, _load(instrument, "recogniser"))


def encoder(instrument: str) -> SpeakerEncoder:
    """The speaker encoder of a name such as ``resemblyzer``; as :func:`recogniser`."""
    return cast(SpeakerEncoder, _load(instrument, "speaker encoder"))


def kind(instrument: str, what: str) -> Kind:
    """Check a name without loading anything; ``what`` is ``recogniser`` or ``speaker encoder``."""
    known = RECOGNISERS if what == "recogniser" else ENCODERS
    name, equals, model = instrument.partition("=")
    if name not in known:
        raise UnknownName(what, name, known)
    example = known[name].example
    if example and not model:
        raise UsageError(f"{name!r} needs a model, a folder or a hub id: {name}={example}")
    if equals and not example:
        raise UsageError(f"{name!r} carries its own model and takes no other, got {instrument!r}.")
    return known[name]


def named_in(parameters: Mapping[str, str], what: str) -> str | None:
    """The instrument among a metric's bracketed parameters: ``{"whisper": "x"}`` gives ``whisper=x``.

    Raises
    ------
    UnknownName, UsageError
        As :func:`recogniser`; more than one instrument.
    """
    known = RECOGNISERS if what == "recogniser" else ENCODERS
    given = [value for key, value in parameters.items() if key == "instrument"]
    given += [f"{key}={value}" for key, value in parameters.items() if key in known]
    if len(given) > 1:
        raise UsageError(f"One {what} at a time, got {' and '.join(given)}.")
    for instrument in given:
        kind(instrument, what)
    return given[0] if given else None


def identity(instrument: str) -> str:
    """Packages and model digest of an instrument: what a run must record beside its name.

    Loads it, so that whatever is missing is known before a run starts.
    """
    what = "recogniser" if instrument.partition("=")[0] in RECOGNISERS else "speaker encoder"
    return cast(Recogniser | SpeakerEncoder, _load(instrument, what)).version


@cache
def _load(instrument: str, what: str) -> Any:
    module, _, name = kind(instrument, what).entry.partition(":")
    cls = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    model = instrument.partition("=")[2]
    return cls(model) if model else cls()
