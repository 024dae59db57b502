"""The process that runs a system: build, describe, load, answer."""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tspbench import decode
from tspbench.errors import MissingWeights, UsageError
from tspbench.prefix import Prefix, cut_off, declared, put_before
from tspbench.runner.answers import Answer, Ask, SystemInfo
from tspbench.runner.feed import Fed, Feed
from tspbench.runner.finish import Finisher, Reply
from tspbench.runner.parts import Parts
from tspbench.system import BUNDLED, System, SystemRef, import_class, parse_options
from tspbench.types import Audio, QueryKind


class SystemService:
    """Serves one system in a worker process.

    Raises
    ------
    UsageError
        The class cannot be imported, or an option does not fit.
    """

    def __init__(self, ref: SystemRef, options: Mapping[str, str]) -> None:
        self.ref = ref
        cls = import_class(ref)
        self.options = parse_options(cls, options)
        self.system: System = cls(**self.options)
        self._feed, self._parts, self._finisher = Feed(), Parts(), Finisher()
        self._idle_since: float | None = None

    def describe(self) -> SystemInfo:
        """What the system declares, and the digest of its code, options and weights."""
        system, cls = self.system, type(self.system)
        extracts, transcribes = _defines(cls, "extract"), _defines(cls, "transcribe")
        if not extracts and not transcribes:
            raise UsageError(f"{cls.__name__} has neither extract nor transcribe; see tspbench.System.")
        files = list(getattr(system, "weight_files", tuple)())
        weights = {f"{i} {path.name}": _weights_digest(cls, path) for i, path in enumerate(files)}
        seed = getattr(system, "random_weights", None)
        if seed is not None:
            weights["random"] = f"seed {seed}"
        code = _code_digest(self.ref)
        options = {key: _plain(key, value, files) for key, value in self.options.items()}
        return SystemInfo(
            label=self.ref.label,
            options=options,
            sample_rate=_sample_rate(system),
            queries=_queries(system),
            aligned=bool(getattr(system, "aligned", True)),
            extracts=extracts,
            transcribes=transcribes,
            digest=decode.digest({"code": code, "options": options, "weights": weights}),
            code_digest=code,
            weights=weights,
            precision=str(getattr(system, "precision", "float32")),
            hint=str(getattr(system, "hint", "")),
            prefix=self.prefix,
        )

    @cached_property
    def prefix(self) -> Prefix | None:
        """How the system wants its enrolment before the mixture, if it does."""
        said = getattr(self.system, "enrolment_prefix", None)
        return declared(type(self.system).__name__, said, _queries(self.system))

    def load(self, device: str) -> None:
        """Load the weights, and start the threads, so that no batch waits until they run."""
        getattr(self.system, "load", lambda device: None)(device)
        self._feed.stand_by()
        self._finisher.stand_by()

    def answer(
        self, asks: Sequence[Ask], seed: int, words: bool, waveform: bool, upcoming: Sequence[Ask] = ()
    ) -> list[Answer]:
        """Run one batch, and meanwhile read the ``upcoming`` one and finish the one before.

        Returns the answers that are finished by now: those of this batch come
        with the next one's, or with :meth:`settle`'s. An exception here is the
        whole batch's; see the engine for who is to blame.
        """
        fed = self._feed.take(asks)
        self._finisher.start()
        self._feed.read_ahead(upcoming)
        parts = self._parts.answer(fed, lambda part: self._respond(part, seed, words, waveform))
        replies = [reply for _, replies in parts for reply in replies]
        self._finisher.add(asks, replies)
        return self._finisher.take(behind=1)

    def settle(self) -> list[Answer]:
        """The answers that are still owed."""
        return self._finisher.take(behind=0)

    def _respond(self, fed: Fed, seed: int, words: bool, waveform: bool) -> list[Reply]:
        given, spans, queries = put_before(fed.mixtures, fed.lengths, fed.queries, self.prefix)
        shape, count = given.shape, len(fed.lengths)
        seed_everything(seed)
        start = time.perf_counter()
        idle = None if self._idle_since is None else (start - self._idle_since) / count
        texts = self.system.transcribe(given.copy(), spans, queries) if words else None
        estimates = to_numpy(self.system.extract(given, spans, queries)) if waveform else None
        self._idle_since = time.perf_counter()
        seconds = (self._idle_since - start) / count
        words_of = checked_texts(texts, count) if words else [None] * count
        rows: Any = [None] * count
        if waveform:
            rows = cut_off(checked_estimates(estimates, shape), spans, queries, fed.mixtures.shape[1])
        return [
            Reply(query.sample_rate, text, None if row is None else row[:length], seconds, idle)
            for query, text, row, length in zip(fed.queries, words_of, rows, fed.lengths, strict=True)
        ]


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and, where it is loaded, torch's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def to_numpy(value: Any) -> Any:
    """A NumPy view of an array or a torch tensor on any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if "bfloat16" in str(value.dtype) else value  # NumPy has no such type
    return np.asarray(value)


def checked_estimates(value: Any, shape: tuple[int, ...]) -> Audio:
    """What ``extract`` returned, as float32 of the wanted shape; WrongOutput when it is something else."""
    estimates = to_numpy(value)
    if estimates.shape != shape:
        raise WrongOutput(f"extract returned shape {estimates.shape} for mixtures of shape {shape}")
    if not np.issubdtype(estimates.dtype, np.floating):
        raise WrongOutput(f"extract returned {estimates.dtype}, expected float32")
    single: Audio = estimates.astype(np.float32, copy=False)
    return single


def checked_texts(value: Any, count: int) -> list[str]:
    """What ``transcribe`` returned; WrongOutput unless it is a list of ``count`` texts."""
    if not isinstance(value, list | tuple) or len(value) != count or not all(isinstance(t, str) for t in value):
        raise WrongOutput(f"transcribe returned {value!r:.80}, expected a list of {count} texts")
    return [str(text) for text in value]


class WrongOutput(Exception):
    """The system's return value breaks the contract."""


def _defines(cls: type[Any], method: str) -> bool:
    return getattr(cls, method, None) not in (None, getattr(System, method))


def _queries(system: Any) -> frozenset[QueryKind]:
    declared: frozenset[str] = getattr(system, "queries", frozenset())
    try:
        return frozenset(QueryKind(kind) for kind in declared)
    except ValueError as error:
        kinds = ", ".join(kind.value for kind in QueryKind)
        raise UsageError(f"{type(system).__name__}.queries: {error}. Known kinds: {kinds}.") from error


def _plain(key: str, value: Any, weight_files: Sequence[Path]) -> Any:
    """An option as the record states it. Weights are named by content: their place is the machine's affair."""
    if isinstance(value, Path):
        named = any(value == file or value in file.parents for file in weight_files)
        return value.name if named else str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise UsageError(f"The option {key!r} is {value!r}; an option is a number, a text, true, false, a path or None.")


def _code_digest(ref: SystemRef) -> str:
    """sha256 over the Python files that make a system: those that it has loaded from its own package or folder."""
    sha = hashlib.sha256()
    for name, file in sorted(_own_modules(ref).items()):
        sha.update(name.encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()


def _own_modules(ref: SystemRef) -> dict[str, Path]:
    """A file's system: modules below its folder that belong to no installation. Another's: those of its package."""
    loaded = {
        name: Path(str(module.__file__)).resolve()
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None)).endswith(".py")
    }
    if ref.path:
        folder = Path(ref.module).parent
        installed = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]
        homes = [*installed, Path(__file__).resolve().parents[1]]
        return {
            name: file
            for name, file in loaded.items()
            if folder in file.parents and file.is_file() and not any(home in file.parents for home in homes)
        }
    package = BUNDLED if ref.module.startswith(f"{BUNDLED}.") else ref.module.partition(".")[0]
    return {name: file for name, file in loaded.items() if name == package or name.startswith(package + ".")}


def _sample_rate(system: Any) -> int | None:
    rate = getattr(system, "sample_rate", None)
    if rate is None or (isinstance(rate, int) and not isinstance(rate, bool) and rate > 0):
        return rate
    raise UsageError(f"{type(system).__name__}.sample_rate is {rate!r}; expected a rate in Hz, or None for any.")


def _weights_digest(cls: type[Any], path: Path) -> str:
    if not path.is_file():
        raise MissingWeights(
            f"{cls.__name__}.weight_files names {path}, which is not there. Put the checkpoint in that place; "
            "the bundled systems and tasks of 'tspbench list' run without one."
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
