"""What is found once per profile: parameters, MACs, look-ahead, the loss by chunks, the wait between batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tspbench.profile.chunks import Chunked, compare_chunks
from tspbench.profile.future import FEWEST_CALLS, MOST_CALLS, Lookahead, find_lookahead
from tspbench.profile.latency import Row, Skipped, reference_row
from tspbench.profile.material import Material
from tspbench.profile.model import Macs, Parameters
from tspbench.profile.pipeline import Pipeline, measure_pipeline
from tspbench.profile.subject import Failed, Subject
from tspbench.task import Task


@dataclass(frozen=True)
class Extras:
    """``reasons`` says why something is not there, by its name. ``seconds`` is the length that it was found on."""

    seconds: float
    parameters: Parameters | None
    macs: Macs | None
    lookahead: Lookahead
    chunks: tuple[Chunked, ...]
    pipeline: Pipeline | None
    reasons: dict[str, str]


def measure_extras(subject: Subject, task: Task, material: Material, rows: Sequence[Row], budget_s: float) -> Extras:
    """Each of the two tests that call the system often gets ``budget_s`` seconds at most, the run half of that."""
    row = reference_row(rows)
    reasons: dict[str, str] = {}
    parameters = macs = None
    try:
        parameters = subject.ask("parameters")
        macs = subject.ask("macs", row.seconds)
    except Failed as failure:
        reasons["macs"] = str(failure)
    if parameters is None:
        reasons["parameters"] = reasons["macs"] = "it holds no torch module"
    lookahead = Lookahead(None)
    chunks: list[Chunked] = []
    try:
        lookahead = _lookahead(subject, material, row, budget_s)
    except (Failed, Skipped) as error:
        lookahead = Lookahead(None, reason=str(error))
    try:
        chunks = _chunks(subject, material, rows, row, budget_s)
    except (Failed, Skipped) as error:
        reasons["chunks"] = str(error)
    pipeline = None
    try:
        pipeline = measure_pipeline(subject, task, rows, budget_s / 2)
    except (Failed, Skipped) as error:
        reasons["pipeline"] = str(error)
    if lookahead.reason:
        reasons["algorithmic_latency"] = lookahead.reason
    return Extras(row.seconds, parameters, macs, lookahead, tuple(chunks), pipeline, reasons)


def _lookahead(subject: Subject, material: Material, row: Row, budget_s: float) -> Lookahead:
    _must_extract(subject)
    calls = min(MOST_CALLS, _affordable(row, budget_s))
    if calls < FEWEST_CALLS:
        raise Skipped(f"{FEWEST_CALLS} calls on {row.seconds:g} s would take longer than half of --budget")
    excerpt = material.excerpts[0].lasting(material.samples(row.seconds))
    return find_lookahead(subject.extract, excerpt, calls)


def _chunks(subject: Subject, material: Material, rows: Sequence[Row], row: Row, budget_s: float) -> list[Chunked]:
    _must_extract(subject)
    if not subject.info.aligned:
        raise Skipped("its estimates do not follow the target sample by sample")
    shorter = sorted({other.seconds for other in rows if other.seconds < row.seconds}) or [row.seconds / 4]
    targets = [excerpt for excerpt in material.excerpts if excerpt.target is not None]
    if not targets:
        raise Skipped("no trial of the task has a target")
    trials = min(len(targets), _affordable(row, budget_s) // (1 + len(shorter)))
    if trials < 1:
        raise Skipped(f"{1 + len(shorter)} times {row.seconds:g} s would take longer than half of --budget")
    excerpts = [excerpt.lasting(material.samples(row.seconds)) for excerpt in targets[:trials]]
    found = compare_chunks(subject.extract, excerpts, [material.samples(length) for length in shorter])
    if not found:
        raise Skipped("the answers have no SI-SDR (silent, or not finite)")
    return found


def _must_extract(subject: Subject) -> None:
    if not subject.info.extracts:
        raise Skipped("it returns words only")


def _affordable(row: Row, budget_s: float) -> int:
    assert row.p50_s is not None
    return int(budget_s / max(row.p50_s, 1e-6))
