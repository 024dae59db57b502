"""Runs from start to seal."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from tspbench.baselines import cache_folder
from tspbench.errors import AudioError, MissingWeights, OtherIdentity, UnknownName, UsageError
from tspbench.runner.request import Request
from tspbench.runner.run import Outcome, run_systems
from tspbench.store import read_lines, read_record
from tspbench.tables import result_tables

HERE = Path(__file__).parent / "systems_under_test.py"


def run(system: str, task: Path, out: Path, options: tuple[str, ...] = (), **settings: object) -> Outcome:
    name = system if system.islower() else f"{HERE}:{system}"
    return run_systems([name], Request(task=str(task), out=out, workers=2, **settings), options)[0]


def rows(outcome: Outcome, name: str) -> list[dict]:
    return list(read_lines(outcome.path / f"{name}.jsonl"))


def test_every_trial_gets_one_line_and_one_line_per_metric(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("mixture", tiny(9), tmp_path / "out")
    assert outcome.status == "sealed"
    assert sorted(row["trial_id"] for row in rows(outcome, "trials")) == sorted(f"t{i}" for i in range(9))
    pairs = [(row["trial_id"], row["metric"]) for row in rows(outcome, "scores")]
    assert len(pairs) == len(set(pairs)) == 9 * 3
    assert not (outcome.path / "spool").exists()
    assert not (outcome.path / "audio").exists()


def test_the_mixture_scores_its_own_snr(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("mixture", tiny(5), tmp_path / "out")
    for row in rows(outcome, "scores"):
        number = int(row["trial_id"][1:])
        if row["metric"] == "snr":
            assert row["value"] == pytest.approx(number % 5, abs=1e-3)
        if row["metric"] == "si_sdr_i":
            assert row["value"] == 0.0


def test_a_sealed_run_is_left_alone(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4)
    first = run("mixture", task, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in first.path.iterdir() if path.suffix}
    second = run("mixture", task, tmp_path / "out")
    assert second.already_done
    assert second.summary == first.summary
    assert {path.name: path.stat().st_mtime_ns for path in second.path.iterdir() if path.suffix} == before


def test_metrics_can_be_added_to_a_sealed_run(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4)
    run("Slow", task, tmp_path / "out", metrics=("snr",))
    outcome = run("Slow", task, tmp_path / "out", metrics=("snr", "si_sdr"))
    pairs = [(row["trial_id"], row["metric"]) for row in rows(outcome, "scores")]
    assert len(pairs) == len(set(pairs)) == 8
    assert len(rows(outcome, "trials")) == 4
    assert set(outcome.summary["metrics"]) == {"snr", "si_sdr"}


def test_another_identity_is_refused_and_says_what_differs(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4)
    run("Options", task, tmp_path / "out")
    with pytest.raises(OtherIdentity, match=r"system.options.gain: 1.0 there, 2.0 now"):
        run("Options", task, tmp_path / "out", options=("gain=2",))
    with pytest.raises(OtherIdentity, match=r"protocol.seed: 0 there, 1 now"):
        run("Options", task, tmp_path / "out", seed=1)


def test_fresh_moves_the_old_run_aside(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    run("Options", task, tmp_path / "out")
    run("Options", task, tmp_path / "out", options=("gain=2",), fresh=True)
    aside = [path for path in tmp_path.iterdir() if path.name.startswith("out.replaced")]
    assert len(aside) == 1
    assert (aside[0] / "scores.jsonl").stat().st_size > 0


def test_several_systems_get_folders_of_their_own(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcomes = run_systems(["clean", "mixture"], Request(task=str(tiny(3)), out=tmp_path / "out"))
    assert [outcome.path.name for outcome in outcomes] == ["clean", "mixture"]


def test_clean_is_at_the_top_and_its_position_is_one(tiny: Callable[..., Path], tmp_path: Path) -> None:
    clean, _ = run_systems(["clean", "mixture"], Request(task=str(tiny(3)), out=tmp_path / "out"))
    assert clean.summary["metrics"]["si_sdr"]["mean"] == 100.0
    position = clean.summary["metrics"]["si_sdr"]["bounds"]["position"]
    assert (position["value"], position["lower"]) == (1.0, "mixture")
    assert position["upper"].startswith("clean@")


def test_the_mixture_is_scored_once_per_machine(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    run("Options", task, tmp_path / "one")
    with sqlite3.connect(cache_folder() / "baselines.sqlite") as cache:
        cache.execute("UPDATE baseline SET score = ?", [json.dumps([1000.0, "ok", None, None])])
    second = run("Slow", task, tmp_path / "two")
    assert {row["baseline"] for row in rows(second, "scores") if row["metric"] == "si_sdr"} == {1000.0}


def test_silence_is_undefined_and_penalised(tiny: Callable[..., Path], tmp_path: Path) -> None:
    summary = run("Mute", tiny(4), tmp_path / "out").summary["metrics"]["si_sdr"]
    assert summary["mean"] is None
    assert summary["penalised_mean"] == -50.0
    assert (summary["attempted"], summary["scored"]) == (4, 0)


def test_batches_of_several_reach_the_system_together(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(5)
    outcome = run("BatchAware", task, tmp_path / "out", batch_size=2, metrics=("snr",), save_audio="all")
    peaks = {row["trial_id"]: row["output"]["peak"] for row in rows(outcome, "trials")}
    alone = run("BatchAware", task, tmp_path / "alone", batch_size=1, metrics=("snr",))
    single = {row["trial_id"]: row["output"]["peak"] for row in rows(alone, "trials")}
    for name in ("t1", "t2", "t3", "t4"):  # the longest go together
        assert peaks[name] == pytest.approx(single[name] * 2 / 3, rel=1e-5)
    assert peaks["t0"] == pytest.approx(single["t0"], rel=1e-5)


def test_saved_audio_is_the_estimate(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Options", tiny(3), tmp_path / "out", options=("gain=0.25",), save_audio="all")
    for row in rows(outcome, "trials"):
        samples, rate = soundfile.read(outcome.path / "audio" / f"{row['trial_id']}.wav", dtype="float32")
        assert rate == 8000
        assert np.abs(samples).max() == np.float32(row["output"]["peak"])


def test_worst_keeps_the_ten_worst(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("mixture", tiny(15), tmp_path / "out", save_audio="worst")
    values = {row["trial_id"]: row["value"] for row in rows(outcome, "scores") if row["metric"] == "si_sdr"}
    kept = {path.stem for path in (outcome.path / "audio").iterdir()}
    assert kept == set(sorted(values, key=values.__getitem__)[:10])


def test_what_a_system_prints_does_not_disturb(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Scribe", tiny(3, kind="tsasr"), tmp_path / "out", metrics=("wer", "si_sdr"))
    assert outcome.summary["metrics"]["wer"]["mean"] == 0.0
    assert outcome.summary["metrics"]["si_sdr"]["not_applicable"] == 3


def test_unknown_names_are_refused_before_anything_is_written(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = str(tiny(3))
    out = tmp_path / "out"
    with pytest.raises(UnknownName, match="mixture"):
        run_systems(["mixtrue"], Request(task=task, out=out))
    with pytest.raises(UnknownName, match="lass-demo"):
        run_systems(["mixture"], Request(task="las-demo", out=out))
    with pytest.raises(UnknownName, match="si_sdr"):
        run_systems(["mixture"], Request(task=task, out=out, metrics=("si_sdri",)))
    with pytest.raises(UsageError, match=r"no option 'gian'\. Did you mean gain"):
        run("Options", Path(task), out, options=("gian=2",))
    with pytest.raises(UsageError, match=r"expected a (finite )?number"):
        run("Options", Path(task), out, options=("gain=loud",))
    assert not out.exists()


def test_a_query_that_the_task_does_not_offer_is_refused_by_name(tiny: Callable[..., Path], tmp_path: Path) -> None:
    message = r"needs to be told audio; trial 't0' of 'tiny' offers enrolment, text"
    with pytest.raises(UsageError, match=message):
        run("NeedsAudio", tiny(3), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_words_only_are_refused_for_waveform_tasks(tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="returns words only"):
        run("Scribe", tiny(3), tmp_path / "out")


def test_a_missing_file_is_named_with_its_trial(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(4)
    (task.parent / "2.wav").unlink()
    with pytest.raises(UsageError, match=r"Trial 't0': .*2\.wav does not exist"):
        run("mixture", task, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_system_that_cannot_load_says_so(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("CannotLoad", tiny(3), tmp_path / "out")
    assert outcome.status == "failed"
    assert "the weights are somewhere else" in outcome.message


def test_the_record_names_everything_that_matters(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Options", tiny(3), tmp_path / "out", options=("gain=2",))
    record = json.loads((outcome.path / "run.json").read_text())
    assert record["identity"]["system"]["options"] == {"gain": 2.0, "taps": 3, "fast": False}
    assert record["identity"]["task"]["trials"] == 3
    assert len(record["identity"]["task"]["trial_list"]) == 64
    assert {metric["id"] for metric in record["metrics"]} == {"si_sdr", "si_sdr_i", "snr"}
    assert record["environment"]["packages"]["numpy"] == np.__version__
    assert record["hardware"]["cores"] >= 1
    assert record["wall_time_s"] > 0


def test_a_module_beside_the_system_is_part_of_its_code(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    (tmp_path / "helper.py").write_text("GAIN = 0.5\n")
    (tmp_path / "mine.py").write_text(
        "from helper import GAIN\nclass Mine:\n    def extract(self, m, n, q):\n        return m * GAIN\n"
    )
    request = Request(task=str(task), out=tmp_path / "out")
    run_systems([f"{tmp_path / 'mine.py'}:Mine"], request)
    (tmp_path / "helper.py").write_text("GAIN = 0.25\n")
    with pytest.raises(OtherIdentity, match=r"system\.code"):
        run_systems([f"{tmp_path / 'mine.py'}:Mine"], request)


def test_kept_audio_is_scored_again_without_the_system(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    options = (f"marker={tmp_path / 'marker'}",)
    run("Counted", task, tmp_path / "out", options, save_audio="all", metrics=("snr",))
    outcome = run("Counted", task, tmp_path / "out", options, metrics=("snr", "si_sdr"))
    assert outcome.summary["metrics"]["si_sdr"]["scored"] == 3
    assert (tmp_path / "marker").read_text() == "..."


def test_a_run_without_any_number_says_why(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Generative", tiny(3), tmp_path / "out", metrics=("si_sdr",))
    assert "no metric applies: the system's output is not aligned with the target" in outcome.message


def test_what_is_not_aligned_can_be_forced_and_is_marked(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    forced = run("Generative", task, tmp_path / "forced", metrics=("si_sdr",), force_aligned=True)
    aligned = run("mixture", task, tmp_path / "aligned", metrics=("si_sdr",), force_aligned=True)
    assert forced.summary["metrics"]["si_sdr"]["mean"] == aligned.summary["metrics"]["si_sdr"]["mean"]
    assert (forced.forced, aligned.forced) == (True, False)
    protocols = [read_record(each.path)["identity"]["protocol"] for each in (forced, aligned)]
    assert [protocol.get("alignment") for protocol in protocols] == ["forced", None]
    assert [read_record(each.path)["aligned"] for each in (forced, aligned)] == [False, True]
    again = run("Generative", task, tmp_path / "forced", metrics=("si_sdr",), force_aligned=True)
    assert again.already_done
    assert again.forced
    with pytest.raises(OtherIdentity, match=r"protocol\.alignment"):
        run("Generative", task, tmp_path / "forced", metrics=("si_sdr",))
    wide = Console(width=200, record=True, file=io.StringIO())
    for table in result_tables([forced, aligned], "", wide):
        wide.print(table)
    lines = wide.export_text().splitlines()
    assert ["(not aligned)" in line for line in lines if "Generative" in line or "mixture" in line] == [True, False]


def test_what_a_system_prints_is_kept(tiny: Callable[..., Path], tmp_path: Path) -> None:
    outcome = run("Scribe", tiny(3, kind="tsasr"), tmp_path / "out", metrics=("wer",))
    run("Scribe", tiny(3, kind="tsasr"), tmp_path / "out", metrics=("wer", "cer"))
    assert (outcome.path / "system.log").read_text().count("scribbling") >= 6


def test_a_checkpoint_that_is_not_there_is_named(tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match=r"Weighty\.weight_files names nowhere/net\.pt"):
        run("Weighty", tiny(3), tmp_path / "out")


def test_a_file_that_was_changed_is_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(3)
    task.write_text(task.read_text().replace('"path": "0.wav"', '"path": "0.wav", "sha256": "' + "0" * 64 + '"', 1))
    with pytest.raises(AudioError, match=r"Trial 't0': .*0\.wav is not the file that the trial list names"):
        run("mixture", task, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_batch_that_does_not_fit_into_memory_is_answered_in_parts(tiny: Callable[..., Path], tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    outcome = run("Hungry", tiny(16), tmp_path / "out", options=(f"log={log}",), batch_size=8)
    assert outcome.status == "sealed"
    assert outcome.summary["trials"]["ok"] == 16
    assert [row["value"] for row in rows(outcome, "scores") if row["metric"] == "si_sdr_i"] == [0.0] * 16
    tried = log.read_text().split()
    assert sum(size == "2" for size in tried) == 8
    assert tried.count("8") == 1  # what did not fit is not tried again
    assert tried[:3] == ["8", "4", "2"]
    assert tried.count("4") <= 4  # and less only where the mixtures are shorter
