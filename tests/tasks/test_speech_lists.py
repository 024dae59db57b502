"""The published speech lists: their identity and statistics, and the digests of the trials made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tspbench import manifest
from tspbench.prepared.declaration import Protocol
from tspbench.prepared.load import _rate
from tspbench.prepared.material import Material
from tspbench.prepared.names import fill
from tspbench.task import task_folder
from tspbench.tasks.libri2mix import importer as libri2mix
from tspbench.tasks.libri2mix_asr import importer as libri2mix_asr
from tspbench.tasks.wsj0_2mix import importer as wsj0_2mix
from tspbench.types import Role, Trial

IMPORTERS: dict[str, Any] = {"libri2mix": libri2mix, "libri2mix-asr": libri2mix_asr, "wsj0-2mix": wsj0_2mix}
CELLS = [(task, protocol.name) for task in IMPORTERS for protocol in task_folder(task)[0].protocols]
Published = Callable[[Protocol], dict[str, Path]]
Declared = Callable[[str, str], Protocol]


@pytest.fixture(params=CELLS, ids=":".join)
def cell(request: Any, declared: Declared) -> tuple[str, Protocol]:
    task, name = request.param
    return task, declared(task, name)


def made(task: str, protocol: Protocol, files: dict[str, Path], **options: str) -> list[Trial]:
    if (task, protocol.name) == ("libri2mix-asr", "disjoint") and "transcripts" not in files:
        pytest.skip("needs TS-Whisper's test.json, as LibriSpeech's own transcripts are not here")
    return list(IMPORTERS[task].trials(Material(protocol.name, fill(protocol, options), files)))


def digest(task: str, protocol: Protocol, trials: list[Trial]) -> str:
    info = task_folder(task)[0]
    rate = _rate(fill(protocol, {}).get("rate")) or info.sample_rate
    return manifest.list_digest(info.kind, rate, map(manifest.row_digest, trials))


def test_the_lists_are_the_ones_declared(cell: tuple[str, Protocol], published: Published) -> None:
    protocol = cell[1]
    known = {file.role: file for file in protocol.files}
    for role, path in published(protocol).items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == known[role].sha256
        lines = path.read_text().splitlines()
        assert len(lines) - bool(known[role].columns) == known[role].rows


def test_the_trials_have_the_committed_digest(cell: tuple[str, Protocol], published: Published) -> None:
    task, protocol = cell
    trials = made(task, protocol, published(protocol))
    assert len(trials) == protocol.rows
    assert len({trial.trial_id for trial in trials}) == protocol.rows
    assert all(manifest.TRIAL_ID.fullmatch(trial.trial_id) for trial in trials)
    assert digest(task, protocol, trials) == protocol.digest


def count(trials: list[Trial]) -> dict[str, float]:
    """Every statistic that a task.toml may state, counted from the trials."""
    targets = [next(s for s in trial.sources if s.role is Role.TARGET) for trial in trials]
    ratios = [float(trial.conditions.get("snr_db") or 0.0) for trial in trials]
    clips = [clip for trial in trials for clip in trial.query.enrolment]
    leaks = [trial.conditions.get("enrolment_leak") for trial in trials]
    own = [any(c.path == t.path for c in trial.query.enrolment) for trial, t in zip(trials, targets, strict=True)]
    return {
        "mixtures": len({trial.clusters["mixture"] for trial in trials}),
        "trials": len(trials),
        "speakers": len({trial.clusters["speaker"] for trial in trials}),
        "utterances": len({trial.clusters["utterance"] for trial in trials}),
        "enrolments": len({(c.path, c.gain, c.partner) for c in clips}),
        "enrolment_utterances": len({trial.trial_id.rpartition("_")[2] for trial in trials}),
        "same_chapter": sum(bool(trial.conditions.get("same_chapter")) for trial in trials),
        "enrolled_with_target": sum(own),
        "enrolled_with_file": leaks.count("file"),
        "words": sum(len((trial.transcript or "").split()) for trial in trials),
        "mean_snr_db": round(sum(ratios) / len(trials), 4),
        "mean_louder_by_db": round(sum(map(abs, ratios)) / len(trials), 4),
    }


def test_the_statistics_are_those_declared(cell: tuple[str, Protocol], published: Published) -> None:
    task, protocol = cell
    counted = count(made(task, protocol, published(protocol)))
    assert dict(protocol.statistics) == {name: counted[name] for name in protocol.statistics}


def test_leaks_of_speakerbeams_map_are_flagged(declared: Declared, published: Published) -> None:
    protocol = declared("libri2mix", "speakerbeam")
    trials = made("libri2mix", protocol, published(protocol))
    flags = [trial.conditions["enrolment_leak"] for trial in trials]
    assert (flags.count("none"), flags.count("utterance"), flags.count("file")) == (5929, 52, 19)
    leaky = next(t for t in trials if t.trial_id == "8230-279154-0017_8224-274384-0004_s2")
    assert leaky.conditions["enrolment_leak"] == "file"


@pytest.mark.parametrize("options", [{}, {"mix": "both"}, {"mix": "single"}, {"source": "tree", "mode": "max"}])
def test_disjoint_enrolments_share_nothing_with_their_mixture(
    declared: Declared, published: Published, options: dict[str, str]
) -> None:
    protocol = declared("libri2mix", "disjoint")
    trials = made("libri2mix", protocol, published(protocol), **options)
    assert len(trials) == (3000 if options.get("mix") == "single" else 6000)
    for trial in trials:
        utterance = Path(trial.query.enrolment[0].path).stem
        assert utterance not in trial.clusters["mixture"]
        assert utterance.partition("-")[0] == trial.clusters["speaker"]


def test_both_lists_of_ts_whisper_ask_for_the_same(declared: Declared, published: Published) -> None:
    protocol = declared("libri2mix-asr", "ts-whisper")
    files = published(protocol)
    if "noisy" not in files:
        pytest.skip("needs test-noisy.json")
    noisy = made("libri2mix-asr", protocol, files, mix="both")
    assert noisy == made(
        "libri2mix-asr", protocol, {role: p for role, p in files.items() if role != "noisy"}, mix="both"
    )
    assert {len(trial.sources) for trial in noisy} == {3}


def test_ts_whispers_texts_are_those_of_the_disjoint_protocol(declared: Declared, published: Published) -> None:
    ours, theirs = declared("libri2mix-asr", "disjoint"), declared("libri2mix-asr", "ts-whisper")
    a, b = (made("libri2mix-asr", protocol, published(protocol)) for protocol in (ours, theirs))
    assert {t.trial_id: t.transcript for t in a} == {t.trial_id: t.transcript for t in b}
