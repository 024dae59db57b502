"""What is left of a run, and seeds that never depend on what happened before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench import audio
from tspbench.metrics import Need, Score, Status, resolve
from tspbench.runner import plan
from tspbench.runner.plan import ORDER, WINDOW, Batch, Todo, at_hand, batches, failure_scores
from tspbench.runner.spool import Spool, write_samples
from tspbench.store import RunFolder
from tspbench.types import Role, Source, Trial

IDS = [f"t{i}" for i in range(10)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(tmp_path / "run", {"identity": {}, "metrics": [{"id": "snr", "version": 1}]})
    made.begin()
    yield made
    made.close()


def todo(ids: Sequence[str], size: int, folder: RunFolder) -> Todo:
    return plan.todo(batches(ids, size), folder, Spool(folder.path / "spool"))


def answer(folder: RunFolder, trial_id: str, *, status: str = "ok", waits: bool = True, words: bool = False) -> None:
    """Note an answer; its estimate ``waits`` in the spool to be scored."""
    samples = np.full(3, len(folder.states), np.float32)
    output = {"digest": audio.digest(samples)} if status == "ok" and not words else None
    folder.add_trial({"trial_id": trial_id, "status": status, "input_digest": "", "output": output, "text": None})
    if output and waits:
        write_samples(Spool(folder.path / "spool").estimate(trial_id), samples)


def finish(folder: RunFolder, trial_id: str) -> None:
    answer(folder, trial_id)
    folder.add_scores(trial_id, {"snr": Score(1.0)}, {})


def ids(folder: RunFolder, size: int) -> list[tuple[str, ...]]:
    return [batch.trial_ids for batch in todo(IDS, size, folder).batches]


def test_a_new_run_has_everything_to_do(folder: RunFolder) -> None:
    assert ids(folder, 4) == [("t0", "t1", "t2", "t3"), ("t4", "t5", "t6", "t7"), ("t8", "t9")]
    assert not any(batch.solo for batch in todo(IDS, 4, folder).batches)


def test_a_finished_run_has_nothing_to_do(folder: RunFolder) -> None:
    for trial_id in IDS:
        finish(folder, trial_id)
    left = todo(IDS, 4, folder)
    assert (left.batches, left.to_score, left.failed) == ((), (), ())


def test_a_batch_with_one_trial_unanswered_is_answered_whole(folder: RunFolder) -> None:
    for trial_id in IDS:
        if trial_id != "t5":
            finish(folder, trial_id)
    assert ids(folder, 4) == [("t4", "t5", "t6", "t7")]
    assert ids(folder, 1) == [("t5",)]


def test_an_answer_that_waits_is_only_scored(folder: RunFolder) -> None:
    answer(folder, "t1")
    answer(folder, "t2", words=True)
    left = todo(IDS[1:3], 2, folder)
    assert (left.batches, left.to_score) == ((), ("t1", "t2"))


def test_an_answer_whose_estimate_is_gone_is_asked_for_again(folder: RunFolder) -> None:
    answer(folder, "t1", waits=False)
    left = todo(IDS[:2], 1, folder)
    assert [batch.trial_ids for batch in left.batches] == [("t0",), ("t1",)]
    assert left.to_score == ()


@pytest.mark.parametrize("left", [b"", b"\x00" * 5, b"\x00" * 12])
def test_an_estimate_that_was_written_by_halves_is_not_scored(folder: RunFolder, left: bytes) -> None:
    answer(folder, "t0")
    answer(folder, "t1")
    Spool(folder.path / "spool").estimate("t1").write_bytes(left)
    found = todo(IDS[:2], 1, folder)
    assert ([batch.trial_ids for batch in found.batches], found.to_score) == ([("t1",)], ("t0",))


@pytest.mark.parametrize("status", ["failed", "timed_out"])
def test_what_failed_before_is_not_tried_again(folder: RunFolder, status: str) -> None:
    answer(folder, "t0", status=status)
    left = todo(["t0"], 1, folder)
    assert (left.batches, left.to_score, left.failed) == ((), (), ("t0",))


@given(size=st.integers(1, 12), done=st.sets(st.sampled_from(IDS)))
def test_batches_are_those_of_a_new_run_whatever_is_done(
    tmp_path_factory: pytest.TempPathFactory, size: int, done: set[str]
) -> None:
    folder = RunFolder(
        tmp_path_factory.mktemp("plan") / "run", {"identity": {}, "metrics": [{"id": "snr", "version": 1}]}
    )
    whole = todo(IDS, size, folder).batches
    for trial_id in done:
        answer(folder, trial_id, words=True)
        folder.add_scores(trial_id, {"snr": Score(1.0)}, {})
    left = todo(IDS, size, folder)
    folder.close()
    assert set(left.batches) <= set(whole)
    asked = {trial_id for batch in left.batches for trial_id in batch.trial_ids}
    assert set(IDS) - done <= asked
    assert all(set(batch.trial_ids) - done for batch in left.batches)


def test_a_seed_depends_on_the_batch_and_the_run_alone() -> None:
    batch = Batch(("a", "b"))
    assert batch.seed(0) == Batch(("a", "b")).seed(0) == Batch(("a", "b"), solo=True).seed(0)
    others = [batch.seed(1), Batch(("b", "a")).seed(0), Batch(("a",)).seed(0), Batch(("ab",)).seed(0)]
    assert len({batch.seed(0), *others}) == 5


def test_a_seed_is_the_same_in_every_version() -> None:
    """Kept: another seed would be another measurement."""
    assert Batch(("t0", "t1")).seed(0) == 3664061556


@given(st.integers(0, 2**31), st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_a_seed_fits_every_generator(run_seed: int, trial_ids: list[str]) -> None:
    assert 0 <= Batch(tuple(trial_ids)).seed(run_seed) < 2**32


def test_the_singles_of_a_batch_are_its_trials_one_by_one() -> None:
    assert Batch(("a", "b")).singles() == [Batch(("a",), solo=True), Batch(("b",), solo=True)]


def test_a_failure_is_a_failed_score_of_every_metric_that_could_have_had_one() -> None:
    failed = Score(None, Status.FAILED, "crashed: x")
    metrics = [resolve("snr"), resolve("sdr_i"), resolve("leakage"), resolve("wer")]
    present = Trial("t", (Source("a.wav", role=Role.TARGET), Source("b.wav")), transcript="words")
    absent = Trial("t", (Source("b.wav"),))

    def failures(trial: Trial, **given: bool) -> dict[str, Status]:
        answered = {"waveform": True, "words": False, "aligned": True} | given
        return {name: one.status for name, one in failure_scores(metrics, at_hand(trial, **answered), "x").items()}

    none, yes = Status.NOT_APPLICABLE, Status.FAILED
    assert failures(present) == {"snr": yes, "sdr_i": yes, "leakage": none, "wer": none}
    assert failures(absent) == {"snr": none, "sdr_i": none, "leakage": yes, "wer": none}
    assert failures(present, words=True)["wer"] is yes
    assert failures(present, aligned=False)["snr"] is none
    everything = frozenset(Need)
    assert failure_scores([resolve("snr")], everything, "crashed: x") == {"snr": failed}


SECONDS = st.lists(st.floats(0.1, 60), min_size=1, max_size=300)


@given(seconds=SECONDS, size=st.integers(2, 5))
def test_batches_of_like_lengths_hold_every_trial_once_and_pad_no_more(seconds: list[float], size: int) -> None:
    """That they pad no more holds where all batches are full: a single trial in the last one pads nothing."""
    ids = [str(i) for i in range(len(seconds))]
    planned = batches(ids, size, seconds)
    assert sorted(name for batch in planned for name in batch.trial_ids) == sorted(ids)
    assert [len(batch.trial_ids) for batch in planned] == [len(batch.trial_ids) for batch in batches(ids, size)]
    full = seconds[: len(seconds) // size * size]
    there = ids[: len(full)]
    assert padded(batches(there, size, full), full) <= padded(batches(there, size), full) + 1e-6


def padded(planned: Sequence[Batch], seconds: Sequence[float]) -> float:
    """Seconds that the batches take when every mixture of one is as long as its longest."""
    return sum(len(batch.trial_ids) * max(seconds[int(name)] for name in batch.trial_ids) for batch in planned)


def test_lengths_are_put_in_order_within_a_window_only() -> None:
    count = 2 * WINDOW * 2
    planned = batches([str(i) for i in range(count)], 2, [float(i) for i in range(count)])
    half = count // 2
    assert planned[0].trial_ids == (str(half - 1), str(half - 2))
    assert {name for batch in planned[:WINDOW] for name in batch.trial_ids} == {str(i) for i in range(half)}
    assert str(WINDOW) in ORDER


def test_alone_or_of_unknown_lengths_trials_keep_their_order() -> None:
    ids = [str(i) for i in range(7)]
    assert [batch.trial_ids for batch in batches(ids, 1, range(7))] == [(name,) for name in ids]
    assert batches(ids, 3, [0.0] * 7) == batches(ids, 3)
