"""The rules of drawing, on corpora in memory."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench.corpus import Corpus, Recording
from tspbench.draw import Rules, draw
from tspbench.errors import UsageError
from tspbench.manifest import TRIAL_ID, Manifest, write
from tspbench.tasks.tse_demo.make_manifest import HEADER
from tspbench.types import Role, TaskKind, Trial


def recording(group: str, number: int, seconds: float = 3.0, copy_of: int | None = None, **other: Any) -> Recording:
    sha256 = hashlib.sha256(f"{group}/{number if copy_of is None else copy_of}".encode()).hexdigest()
    path = f"{group}/{number}.wav"
    return Recording(path, group, "made up", seconds=seconds, sample_rate=16_000, sha256=sha256, **other)


@st.composite
def corpora(draw_: st.DrawFn, kind: TaskKind, least_groups: int = 3) -> Corpus:
    """Two to six distinct recordings a group, some of them twice under two names."""
    found = []
    names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
    for group in sorted(draw_(st.sets(names, min_size=least_groups, max_size=6))):
        count = draw_(st.integers(2, 6))
        for number in range(count):
            seconds = draw_(st.floats(0.1, 30))
            words = draw_(st.none() | st.just(f"words {number} of {group}")) if number else f"words 0 of {group}"
            sex = draw_(st.sampled_from(["F", "M", None]))
            found.append(recording(group, number, seconds, caption=words, transcript=words, sex=sex))
        if draw_(st.booleans()):
            found.append(recording(group, count, copy_of=0, transcript="a copy", caption="a copy"))
    return Corpus("made up", Path("/nowhere"), kind, tuple(sorted(found, key=lambda one: one.path)))


kinds = st.sampled_from(list(TaskKind))
cases = kinds.flatmap(lambda kind: st.tuples(corpora(kind), st.integers(1, 40), st.integers(0, 6), st.integers(0, 999)))


def drawn(case: tuple[Corpus, int, int, int], **rules: Any) -> list[Trial]:
    corpus, trials, absent, seed = case
    return draw(corpus, Rules(trials=trials, absent=absent, seed=seed, snr=(-5, 5), **{"length": "max"} | rules))


@given(cases)
@settings(deadline=None)
def test_no_recording_has_two_roles(case: tuple[Corpus, int, int, int]) -> None:
    for trial in drawn(case):
        contents = [clip.sha256 for clip in trial.clips()]
        assert len(set(contents)) == len(contents), "copies under another name count as the same recording"


@given(cases)
@settings(deadline=None)
def test_sources_differ_and_queries_are_of_the_group_that_is_asked_for(case: tuple[Corpus, int, int, int]) -> None:
    corpus, trials, absent, _ = case
    group_of = {one.path: one.group for one in corpus.recordings}
    listed = drawn(case)
    assert [trial.target_present for trial in listed] == [True] * trials + [False] * absent
    for trial in listed:
        heard = [group_of[source.path] for source in trial.sources]
        assert len(set(heard)) == 2
        asked = trial.conditions["class" if corpus.kind is TaskKind.LASS else "speaker"]
        assert (asked in heard) == trial.target_present
        if trial.target_present:
            assert (trial.sources[0].role, heard[0]) == (Role.TARGET, asked)
        wanted = trial.query.audio if corpus.kind is TaskKind.LASS else trial.query.enrolment
        assert wanted
        assert {group_of[clip.path] for clip in wanted} == {asked}
        assert {group_of[clip.path] for clip in trial.query.negative_audio} <= set(heard) - {asked}


@given(cases)
@settings(deadline=None)
def test_targets_spread_evenly(case: tuple[Corpus, int, int, int]) -> None:
    corpus, trials, _, _ = case
    present = drawn(case)[:trials]
    able = [one for one in corpus.recordings if corpus.kind is not TaskKind.TSASR or one.transcript]
    groups = Counter({one.group: 0 for one in able})
    files = Counter({one.path: 0 for one in able})
    group_of = {one.path: one.group for one in able}
    for trial in present:
        groups[group_of[trial.sources[0].path]] += 1
        files[trial.sources[0].path] += 1
    assert max(groups.values()) - min(groups.values()) <= 1
    for group in groups:
        uses = [files[path] for path in files if group_of[path] == group]
        assert max(uses) - min(uses) <= 1


@given(cases, st.integers(1, 40))
@settings(deadline=None)
def test_the_seed_decides_and_fewer_trials_are_a_prefix(case: tuple[Corpus, int, int, int], fewer: int) -> None:
    corpus, trials, _, seed = case
    listed = drawn(case)
    assert listed == drawn(case)
    assert drawn((corpus, min(fewer, trials), 0, seed)) == listed[: min(fewer, trials)]


def test_another_seed_draws_another_list() -> None:
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(recording(g, n) for g in "abcd" for n in range(4)))
    assert drawn((corpus, 10, 0, 1)) != drawn((corpus, 10, 0, 2))


@given(cases)
@settings(deadline=None)
def test_what_is_drawn_is_a_valid_manifest(case: tuple[Corpus, int, int, int]) -> None:
    listed = drawn(case)
    assert len({trial.trial_id for trial in listed}) == len(listed)
    assert all(TRIAL_ID.fullmatch(trial.trial_id) for trial in listed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.jsonl")
        write(path, replace(HEADER, kind=case[0].kind), listed)
        assert list(Manifest(path)) == listed


@given(cases)
@settings(deadline=None)
def test_transcripts_are_carried(case: tuple[Corpus, int, int, int]) -> None:
    corpus = case[0]
    said = {one.path: one.transcript for one in corpus.recordings}
    for trial in drawn(case):
        if corpus.kind is TaskKind.LASS:
            assert {source.transcript for source in trial.sources} == {None}
            continue
        assert [source.transcript for source in trial.sources] == [said[source.path] for source in trial.sources]
        if trial.target_present:
            assert trial.transcript == said[trial.sources[0].path]
        if corpus.kind is TaskKind.TSASR:
            assert bool(trial.transcript) == trial.target_present
            assert trial.transcript is not None


@given(st.floats(-60, 60), st.floats(0, 30), st.integers(0, 99))
def test_ratios_stay_within_the_range(low: float, width: float, seed: int) -> None:
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(recording(g, n) for g in "ab" for n in range(2)))
    listed = draw(corpus, Rules(trials=20, snr=(low, low + width), seed=seed, length="target"))
    for trial in listed:
        assert trial.mix.snr_db is not None
        assert low <= trial.mix.snr_db <= low + width
        assert trial.conditions["snr_db"] == trial.mix.snr_db


def test_ratios_are_drawn_evenly() -> None:
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(recording(g, n) for g in "ab" for n in range(2)))
    ratios = [trial.mix.snr_db or 0.0 for trial in draw(corpus, Rules(trials=2000, snr=(-5, 5), length="target"))]
    counts, _ = np.histogram(ratios, bins=10, range=(-5, 5))
    assert np.abs(counts - 200).max() < 5 * math.sqrt(200 * 0.9)
    assert np.mean(ratios) == pytest.approx(0, abs=4 * 10 / math.sqrt(12 * 2000))


@pytest.mark.parametrize(
    ("length", "span", "overlap"),
    [("max", 4.0, 0.25), ("min", 1.0, 1.0), (2.0, 2.0, 0.5), (9.0, 9.0, 0.25)],
)
def test_overlap_is_the_share_in_which_both_sound(length: Any, span: float, overlap: float) -> None:
    listed = [recording("a", n, 4.0) for n in range(2)] + [recording("b", n, 1.0) for n in range(2)]
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(listed))
    for trial in draw(corpus, Rules(trials=6, snr=(0, 0), length=length)):
        assert (trial.conditions["mixture_s"], trial.conditions["overlap"]) == (span, overlap)
        assert trial.conditions["enrolment_s"] == (4.0 if trial.conditions["speaker"] == "a" else 1.0)


def test_gender_pair_names_the_target_first_and_is_open_where_unknown() -> None:
    sexes: Mapping[str, str | None] = {"a": "F", "b": "M", "c": None}
    listed = tuple(recording(group, n, sex=sex) for group, sex in sexes.items() for n in range(2))
    for trial in draw(Corpus("x", Path(), TaskKind.TSE, listed), Rules(trials=12, snr=(0, 0), length="max")):
        pair = (trial.conditions["speaker"], trial.conditions["interferer_speaker"])
        assert trial.conditions["gender_pair"] == {("a", "b"): "FM", ("b", "a"): "MF"}.get(pair)


def test_captions_are_the_query_and_labels_stand_in_for_them() -> None:
    listed = [recording("dog", n, caption=f"dog number {n}") for n in range(4)] + [recording("rain", n) for n in (0, 1)]
    corpus = Corpus("x", Path(), TaskKind.LASS, tuple(listed))
    for trial in draw(corpus, Rules(trials=8, snr=(0, 0), length="target")):
        texts = {"dog": None, "rain": "the sound of rain"}
        texts["dog"] = f"dog number {next(s.path[4] for s in trial.sources if s.label == 'dog')}"
        target, other = (source.label for source in trial.sources)
        assert (trial.query.text, trial.query.negative_text) == (texts[str(target)], texts[str(other)])
        assert len(trial.query.audio) == (2 if target == "dog" else 1), "up to two others of the class"
        assert trial.clusters == {"clip": trial.sources[0].path, "class": target}


def test_groups_kept_apart_never_meet() -> None:
    corpus = Corpus("x", Path(), TaskKind.TSE, tuple(recording(g, n) for g in "abcde" for n in range(2)))
    apart = frozenset({frozenset("ab"), frozenset("cd")})
    for trial in drawn((corpus, 60, 10, 3), apart=apart):
        met = {str(source.speaker) for source in trial.sources} | {str(trial.conditions["speaker"])}
        assert not any(pair <= met for pair in apart)
    with pytest.raises(UsageError, match="all others are to be kept apart"):
        drawn((corpus, 5, 0, 3), apart=frozenset(frozenset((one, "a")) for one in "bcde"))
