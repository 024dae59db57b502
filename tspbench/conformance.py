"""The conformance suite: named checks that a system keeps the contract.

Run it with ``tspbench check path/to/file.py:MySystem``, or inside a test suite::

    @pytest.mark.parametrize("name", tspbench.conformance.CHECKS)
    def test_contract(name):
        tspbench.conformance.assert_conforms("my_system.py:MySystem", name)

The system runs in a process of its own, so a check that crashes or hangs fails
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tspbench import audio
from tspbench.activity import CLASSES, FRAME_RATE, frames_of
from tspbench.errors import UsageError, nearest
from tspbench.prefix import cut_off, put_before
from tspbench.runner.answers import SystemInfo, Trouble
from tspbench.runner.inference import SystemService, checked_estimates, seed_everything, to_numpy
from tspbench.runner.process import Child, ChildDied
from tspbench.system import Card, SystemRef, find_system
from tspbench.types import Audio, Query, QueryKind, Truth

TOLERANCE = 1e-4
"""Largest difference, relative to the larger output's peak, that still counts as equal."""
SECONDS = 300.0
DEFAULT_RATE = 16000


@dataclass(frozen=True)
class Verdict:
    """What one check found."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    message: str = ""


@dataclass(frozen=True)
class Case:
    """A batch to try: mixtures (B, T) float32, lengths (B,), queries."""

    mixtures: Audio
    lengths: npt.NDArray[np.int64]
    queries: tuple[Query, ...]
    seed: int = 7

    def row(self, index: int, padding: int = 0) -> Case:
        """One item alone, padded with zeros by some samples."""
        length = int(self.lengths[index])
        mixture = audio.fit(self.mixtures[index : index + 1, :length], length + padding)
        return Case(mixture, self.lengths[index : index + 1], (self.queries[index],), self.seed)


@dataclass(frozen=True)
class Tried:
    """What a system did with a case."""

    estimates: Any
    texts: Any
    untouched: bool


class Failed(Exception):
    """A check's finding, in words."""


class ConformanceService(SystemService):
    """Serves raw, unchecked answers, and watches the inputs."""

    @cached_property
    def _info(self) -> SystemInfo:
        return self.describe()  # once: it may hash a large checkpoint

    def try_out(self, case: Case) -> Tried:
        mixtures, lengths = case.mixtures.copy(), case.lengths.copy()
        told = [array for query in case.queries for array in _arrays(query)]
        copies = [array.copy() for array in told]
        mixtures, lengths, queries = put_before(mixtures, lengths, case.queries, self.prefix)
        given = mixtures.copy(), lengths.copy()
        seed_everything(case.seed)
        info = self._info
        estimates = to_numpy(self.system.extract(mixtures, lengths, queries)) if info.extracts else None
        seed_everything(case.seed)
        texts = self.system.transcribe(mixtures, lengths, queries) if info.transcribes else None
        same = all(map(np.array_equal, told, copies))
        untouched = same and np.array_equal(mixtures, given[0]) and np.array_equal(lengths, given[1])
        if self.prefix is not None and estimates is not None:
            checked_estimates(estimates, given[0].shape)
            estimates = cut_off(estimates, given[1], queries, case.mixtures.shape[1])
        return Tried(estimates, texts, untouched)


@dataclass
class Bench:
    """A system under test."""

    child: Child
    ref: SystemRef
    info: SystemInfo
    device: str
    loaded: bool = False

    def try_out(self, case: Case) -> Tried:
        """Run a case; :class:`Failed` when the system raises, dies or hangs."""
        self.load()
        tried = self._ask("try_out", case)
        assert isinstance(tried, Tried)
        return tried

    def load(self) -> None:
        if not self.loaded:
            self._ask("load", self.device)
        self.loaded = True

    def case(self, seconds: Sequence[float] = (1.0, 1.5, 2.0), level: float = 0.1) -> Case:
        """Mixtures of two tones and noise, with every kind of query that the system declares."""
        rate = self.info.sample_rate or DEFAULT_RATE
        rng = np.random.default_rng(3)
        lengths = np.array([round(s * rate) for s in seconds], dtype=np.int64)
        rows, queries = [], []
        for length in lengths:
            target, other = (level * _tone(rng, int(length), rate) for _ in range(2))
            rows.append(audio.fit(target + other, int(lengths.max())))
            queries.append(_query(rng, rate, self.info.queries, Truth(target, other[None])))
        return Case(np.stack(rows), lengths, tuple(queries))

    def _ask(self, method: str, *arguments: Any) -> Any:
        self.child.send(method, *arguments, seconds=SECONDS)
        if not self.child.connection.poll(SECONDS):
            self._fresh()
            raise Failed(f"no answer within {SECONDS:g} s")
        try:
            value = self.child.receive()
        except ChildDied as death:
            self._fresh()
            raise Failed(f"{death}. {death.log.strip()[-300:]}") from death
        if isinstance(value, Trouble):
            raise Failed(f"{value.kind}: {value.message}")
        return value

    def _fresh(self) -> None:
        self.child.replace()
        self.loaded = False


def check_system(
    name: str, options: Mapping[str, str] | None = None, device: str = "cpu", only: str | None = None
) -> list[Verdict]:
    """Run the suite (or one check) on a system, by name or ``path/to/file.py:Class``.

    Raises
    ------
    UsageError
        There is no such system or check, or the class cannot be built.
    """
    if only is not None and only not in CHECKS:
        raise UsageError(f"There is no check called {only!r}. {nearest(only, CHECKS)}")
    with _bench(name, options or {}, device) as bench:
        return [_verdict(check, bench) for check in ([only] if only else CHECKS)]


def assert_conforms(name: str, check: str, options: Mapping[str, str] | None = None) -> None:
    """AssertionError with the finding when a check fails; for use in test suites."""
    verdict = check_system(name, options, only=check)[0]
    if verdict.outcome == "failed":
        raise AssertionError(f"{name}: {check}: {verdict.message}")


@contextmanager
def _bench(name: str, options: Mapping[str, str], device: str) -> Iterator[Bench]:
    ref = find_system(name)
    child = Child(ConformanceService, ref, options)
    try:
        info = child.ask("describe")
        if isinstance(info, Trouble):
            raise info.error or UsageError(f"{name} cannot be built: {info.kind}: {info.message}\n{info.trace}")
        yield Bench(child, ref, info, device)
    except ChildDied as death:
        raise UsageError(f"{name} cannot be built: {death}. {death.log}") from death
    finally:
        child.close()


def _verdict(name: str, bench: Bench) -> Verdict:
    try:
        message = CHECKS[name](bench)
    except Failed as finding:
        return Verdict(name, "failed", str(finding))
    return Verdict(name, "skipped", message) if message else Verdict(name, "passed")


# -- the checks: return None when passed, a reason when skipped, raise Failed otherwise ----------


def _loads(bench: Bench) -> str | None:
    bench.load()
    return None


def _declares_honestly(bench: Bench) -> str | None:
    info, card = bench.info, bench.ref.card
    rate = info.sample_rate
    if rate is not None and not (isinstance(rate, int) and 4000 <= rate <= 192000):
        raise Failed(f"sample_rate is {rate!r}; expected a rate in Hz or None")
    if info.queries and all(kind.negative for kind in info.queries):
        raise Failed("queries names negative kinds only; say also what the target is told by")
    if card:
        _compare_card(card, info)
    return None


def _compare_card(card: Card, info: SystemInfo) -> None:
    said = {"queries": set(card.queries), "aligned": card.aligned, "sample_rate": card.sample_rate}
    does = {"queries": set(info.queries), "aligned": info.aligned, "sample_rate": info.sample_rate}
    for field, value in said.items():
        if value != does[field] and field not in card.by_option:
            raise Failed(f"the card says {field} = {value}, the class says {does[field]}")


def _output_shape(bench: Bench) -> str | None:
    tried = _shaped(bench, bench.case())
    if tried.estimates is not None and tried.estimates.dtype != np.float32:
        raise Failed(f"extract returned {tried.estimates.dtype}; expected float32")
    return None


def _finite(bench: Bench) -> str | None:
    return _must_be_finite(bench, bench.case())


def _deterministic(bench: Bench) -> str | None:
    case = bench.case()
    _must_agree(_shaped(bench, case), _shaped(bench, case), case.lengths, "two calls with the same seed")
    return None


def _batch_invariant(bench: Bench) -> str | None:
    case = bench.case()
    together = _shaped(bench, case)
    for index in range(len(case.queries)):
        row = Tried(
            None if together.estimates is None else together.estimates[index : index + 1],
            None if together.texts is None else together.texts[index : index + 1],
            True,
        )
        alone = _shaped(bench, case.row(index))
        _must_agree(row, alone, case.lengths[index : index + 1], f"item {index} in a batch and alone")
    return None


def _padding_does_not_leak(bench: Bench) -> str | None:
    case = bench.case(seconds=(1.0,))
    padded = case.row(0, padding=int(case.lengths[0]) // 2)
    _must_agree(_shaped(bench, case), _shaped(bench, padded), case.lengths, "an input and the same input with padding")
    return None


def _survives_silence(bench: Bench) -> str | None:
    case = bench.case(seconds=(1.0,))
    return _must_be_finite(bench, replace(case, mixtures=np.zeros_like(case.mixtures)))


def _short_input(bench: Bench) -> str | None:
    return _must_be_finite(bench, bench.case(seconds=(0.1,)))


def _long_input(bench: Bench) -> str | None:
    return _must_be_finite(bench, bench.case(seconds=(60.0,)))


def _leaves_inputs_alone(bench: Bench) -> str | None:
    if not bench.try_out(bench.case()).untouched:
        raise Failed("mixtures, lengths or queries were changed in place; work on a copy")
    return None


def _each_query_alone(bench: Bench) -> str | None:
    positive = [kind for kind in sorted(bench.info.queries) if not kind.negative]
    if len(bench.info.queries) < 2:
        return "declares fewer than two kinds of query"
    case = bench.case(seconds=(1.0,))
    for kind in positive:
        emptied: dict[str, Any] = {k.value: None if k in _SCALAR else () for k in bench.info.queries if k is not kind}
        try:
            bench.try_out(replace(case, queries=(replace(case.queries[0], **emptied),)))
        except Failed as finding:
            raise Failed(f"told {kind.value} only: {finding}") from finding
    return None


CHECKS: dict[str, Callable[[Bench], str | None]] = {
    "loads": _loads,
    "declares honestly": _declares_honestly,
    "output shape and dtype": _output_shape,
    "finite": _finite,
    "deterministic under a seed": _deterministic,
    "batch of 1 equals batch of N": _batch_invariant,
    "padding does not leak": _padding_does_not_leak,
    "survives silence": _survives_silence,
    "0.1 s input": _short_input,
    "60 s input": _long_input,
    "leaves its inputs alone": _leaves_inputs_alone,
    "each query alone": _each_query_alone,
}

_SCALAR = {
    QueryKind.TEXT,
    QueryKind.NEGATIVE_TEXT,
    QueryKind.SPEAKER_VECTOR,
    QueryKind.ACTIVITY_MASK,
    QueryKind.TRUTH,
}


def _shaped(bench: Bench, case: Case) -> Tried:
    """An answer with one estimate or text per mixture; without that, nothing else can be checked."""
    tried = bench.try_out(case)
    if tried.texts is not None and (
        not isinstance(tried.texts, list)
        or len(tried.texts) != len(case.queries)
        or not all(isinstance(text, str) for text in tried.texts)
    ):
        raise Failed(f"transcribe returned {tried.texts!r:.80}; expected a list of {len(case.queries)} texts")
    if tried.estimates is not None and tried.estimates.shape != case.mixtures.shape:
        raise Failed(f"extract returned shape {tried.estimates.shape} for mixtures of shape {case.mixtures.shape}")
    return tried


def _must_be_finite(bench: Bench, case: Case) -> str | None:
    tried = _shaped(bench, case)
    if tried.estimates is not None and not np.isfinite(tried.estimates).all():
        raise Failed("the output holds NaN or infinity")
    return None


def _must_agree(one: Tried, two: Tried, lengths: npt.NDArray[np.int64], what: str) -> None:
    if one.texts != two.texts:
        raise Failed(f"{what} give other words: {one.texts!r:.60} and {two.texts!r:.60}")
    if one.estimates is None:
        return
    for first, second, length in zip(one.estimates, two.estimates, lengths, strict=True):
        a, b = first[:length], second[:length]
        scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), 1e-6)
        difference = float(np.abs(a - b).max(initial=0)) / scale
        if not difference <= TOLERANCE:
            raise Failed(f"{what} differ by {difference:.2g} of the peak (limit {TOLERANCE:g})")


def _tone(rng: np.random.Generator, length: int, rate: int) -> Audio:
    time = np.arange(length) / rate
    tone = np.sin(2 * np.pi * rng.uniform(200, 1500) * time) + 0.3 * rng.standard_normal(length)
    return tone.astype(np.float32)


def _query(rng: np.random.Generator, rate: int, kinds: frozenset[QueryKind], truth: Truth) -> Query:
    def said(kind: QueryKind, value: Any) -> Any:
        return value if kind in kinds else None

    def clips(kind: QueryKind) -> tuple[Audio, ...]:
        return (0.1 * _tone(rng, rate, rate), 0.1 * _tone(rng, 2 * rate, rate)) if kind in kinds else ()

    return Query(
        sample_rate=rate,
        text=said(QueryKind.TEXT, "a dog barks"),
        negative_text=said(QueryKind.NEGATIVE_TEXT, "rain falls"),
        audio=clips(QueryKind.AUDIO),
        negative_audio=clips(QueryKind.NEGATIVE_AUDIO),
        enrolment=clips(QueryKind.ENROLMENT)[:1],
        speaker_vector=said(QueryKind.SPEAKER_VECTOR, rng.standard_normal(512).astype(np.float32)),
        activity_mask=said(QueryKind.ACTIVITY_MASK, _mask(frames_of(len(truth.target), rate))),
        truth=said(QueryKind.TRUTH, truth),
    )


def _mask(frames: int) -> Audio:
    """Every class of frame in turn, a quarter of a second each."""
    turns: Audio = np.eye(len(CLASSES), dtype=np.float32)[:, np.arange(frames) * 4 // FRAME_RATE % len(CLASSES)]
    return turns


def _arrays(query: Query) -> list[Audio]:
    truth = [query.truth.target, query.truth.interferers] if query.truth else []
    single = [array for array in (query.speaker_vector, query.activity_mask) if array is not None]
    return [*query.audio, *query.negative_audio, *query.enrolment, *single, *truth]
