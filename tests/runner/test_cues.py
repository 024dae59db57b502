"""The four cues through the real command line: systems that profit from a mask or a prefix, and what is recorded."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import tspbench
from tspbench import manifest
from tspbench.activity import ORACLE
from tspbench.export import export
from tspbench.leaderboard.cells import grouped
from tspbench.manifest import Manifest
from tspbench.prefix import put_before
from tspbench.sealed import of_run
from tspbench.systems.cascade.cascade import Cascade
from tspbench.task import load_task
from tspbench.types import Activity, Clip, Query, QueryRecipe, TaskKind, Turn

SYSTEMS = Path(__file__).with_name("cued_systems.py")
SCHEMA = json.loads((Path(tspbench.__file__).parent / "run_folder-1.schema.json").read_text())


def type_in(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tspbench", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def run(folder: Path, systems: str, task: object, metrics: str, *more: object) -> dict[str, tspbench.Run]:
    named = [f"{SYSTEMS}:{name}" if name[0].isupper() else name for name in systems.split(",")]
    out = folder / "out"
    options = ("--system", ",".join(named), "--task", task, "--metrics", metrics, "--out", out, *more)
    done = type_in(folder, "run", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    places = [out / name.rpartition(":")[2] for name in named] if len(named) > 1 else [out]
    runs = {path.name if len(named) > 1 else named[0].rpartition(":")[2]: tspbench.load_run(path) for path in places}
    for each in runs.values():
        jsonschema.Draft202012Validator({**SCHEMA, "$ref": "#/$defs/run"}).validate(each.record)
    return runs


def mean(found: tspbench.Run, metric: str) -> float:
    return float(found.summary["metrics"][metric]["mean"])


def test_a_mask_lifts_the_mixture(tmp_path: Path) -> None:
    runs = run(tmp_path, "mixture,Gate", "tse-demo[cue=activity]", "si_sdr,si_sdr_i", "--limit", 16)
    gain = runs["Gate"].summary["metrics"]["si_sdr_i"]
    assert gain["mean"] > 0.3
    assert gain["interval"]["low"] > 0
    record = runs["Gate"].record
    assert record["side_information"] == [ORACLE]
    assert record["identity"]["task"]["name"] == "tse-demo[cue=activity]"
    assert record["cues"]["activity_mask"] == {
        "frames_per_s": 50,
        "classes": ["silence", "target", "non-target", "overlap"],
        "made_by": [{"rule": "energy", "threshold_db": -30.0, "pause_s": 0.2}],
    }
    assert set(runs["Gate"].trials["conditions.query_kind"]) == {"activity_mask"}
    assert runs["mixture"].record["side_information"] == []
    assert "cues" not in runs["mixture"].record


@pytest.mark.slow
def test_a_mask_helps_a_recogniser(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx")
    runs = run(tmp_path, "recogniser,HearsGated", "tsasr-demo[cue=activity]", "wer", "--limit", 10)
    assert mean(runs["HearsGated"], "wer") < mean(runs["recogniser"], "wer") - 0.05


def test_a_prefix_is_enough_to_follow_a_voice(tmp_path: Path) -> None:
    runs = run(tmp_path, "mixture,Match", "tse-demo", "si_sdr,si_sdr_i", "--limit", 6, "--batch-size", 3)
    assert mean(runs["Match"], "si_sdr_i") > 1
    assert runs["Match"].record["side_information"] == []
    assert runs["Match"].record["cues"] == {
        "enrolment_prefix": {"gap_s": 0.2, "level": "mixture", "longest_s": 4.0, "shortest_s": 0.0}
    }
    task = load_task("tse-demo")
    for row in runs["Match"].trials.to_dict("records"):
        mixture = task.stage.render(task.trial(row["trial_id"])).mixture
        assert row["output.samples"] == len(mixture)
        assert row["duration_s"] == pytest.approx(len(mixture) / 16_000)


def test_lengths_in_a_batch_count_the_prefix(tiny: Callable[..., Path], tmp_path: Path) -> None:
    task = tiny(5, TaskKind.TSASR)
    found = run(tmp_path, "MatchWords", task, "wer", "--batch-size", 5)["MatchWords"]
    opened = load_task(str(task))
    for row in found.trials.to_dict("records"):
        trial = opened.trial(row["trial_id"])
        (enrolment,) = opened.stage.clips(trial.query.enrolment, 8_000, trial.mix)
        assert row["text"] == f"{len(enrolment) + 1600} {len(opened.stage.render(trial).mixture)}"


def test_a_cascade_passes_the_prefix_on_and_hears_the_mixture_alone() -> None:
    cascade = Cascade(extractor=f"{SYSTEMS}:Through", recogniser=f"{SYSTEMS}:Counts")
    voice = (np.ones(500, np.float32),)
    mixtures, lengths = np.ones((2, 900), np.float32), np.array([900, 400])
    queries = [Query(8_000, enrolment=voice), Query(8_000)]
    given = put_before(mixtures, lengths, queries, cascade.enrolment_prefix)
    assert list(given[1]) == [500 + 1600 + 900, 400]
    assert cascade.transcribe(*given) == ["900", "400"]


def retold(path: Path, query: Callable[[QueryRecipe], QueryRecipe]) -> Path:
    """The manifest with other queries."""
    old = Manifest(path)
    new = path.with_name("retold.jsonl")
    manifest.write(new, old.header, [replace(trial, query=query(trial.query)) for trial in old])
    return new


def test_turns_of_a_list_reach_the_system_and_the_record(tiny: Callable[..., Path], tmp_path: Path) -> None:
    turns = (Turn(0.0, 0.1, "target"), Turn(0.1, 9.0, "other"))
    given = Activity("turns", turns=turns, target="target", origin="some diariser")
    task = retold(tiny(2, TaskKind.TSE), lambda query: QueryRecipe(activity_mask=given))
    found = run(tmp_path, "Gate", task, "si_sdr", "--save-audio", "all")["Gate"]
    assert found.record["side_information"] == ["who speaks when, given with the trials: some diariser"]
    assert found.record["cues"]["activity_mask"]["made_by"] == [{"rule": "turns", "origin": "some diariser"}]
    opened = load_task(str(task))
    for trial in opened:
        estimate, _ = tspbench.audio.read(found.path / "audio" / f"{trial.trial_id}.wav")
        mixture = opened.stage.render(trial).mixture
        np.testing.assert_array_equal(estimate[:800], mixture[:800])
        assert not estimate[800:].any()


def test_a_mask_of_another_length_costs_its_trial_and_says_why(tiny: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny(2, TaskKind.TSE)
    np.save(path.parent / "t0.npy", np.eye(4, dtype=np.float32)[:, [1] * 99])
    given = Activity("file", file=Clip("t0.npy"))
    task = retold(path, lambda query: QueryRecipe(activity_mask=given))
    done = type_in(tmp_path, "run", "--system", f"{SYSTEMS}:Gate", "--task", task, "--metrics", "si_sdr", "--out", "o")
    assert done.returncode != 0
    errors = [row["error.message"] for row in tspbench.load_run(tmp_path / "o").trials.to_dict("records")]
    assert all("t0.npy holds 99 frames, but the mixture has 1" in error for error in errors)


@pytest.mark.parametrize(
    ("system", "task", "said"),
    [
        ("Gate", "tse-demo", "told activity_mask; trial '0001-fiona+edgar' of 'tse-demo' offers enrolment. "
         "Add --task-option cue=activity."),
        ("Match", "tse-demo[cue=activity]", "offers activity_mask. Add --task-option cue=enrolment."),
        ("Gate", "lass-demo", 'A trial list offers a mask by "activity_mask": {"rule": "energy"} in its queries.'),
        ("Gate", "tse-demo[cue=activty]", "cue=activty: Did you mean activity"),
        ("Gate", "tse-demo[cues=activity]", "no option of tse-demo called 'cues'"),
        ("Gate", "tse-demo:whole", "The task 'tse-demo' has no protocols: write --task tse-demo."),
        ("Gate", "lass-demo[cue=activity]", "has no protocols and no options"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_way_out(system: str, task: str, said: str, tmp_path: Path) -> None:
    done = type_in(tmp_path, "run", "--system", f"{SYSTEMS}:{system}", "--task", task, "--metrics", "si_sdr")
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "runs").exists()


def test_rows_with_and_without_a_mask_never_share_a_table(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"limit": 2, "metrics": ["si_sdr"]}
    system = f"{SYSTEMS}:GateOrVoice"
    told = [
        tspbench.run(system, f"tse-demo{cue}", out=tmp_path / str(i), **settings)[0]
        for i, cue in enumerate(["", "[cue=activity]", "[cue=enrolment+activity]"])
    ]
    assert len({each.record["identity"]["task"]["trial_list"] for each in told}) == 3
    assert [bool(each.record["side_information"]) for each in told] == [False, True, True]
    assert len(grouped([of_run(each) for each in told])) == 3
    done = type_in(tmp_path, "compare", told[0].path, told[1].path)
    assert done.returncode == 2
    assert "task.trial_list" in done.stderr


@pytest.mark.parametrize("system", ["Gate", "GateOrVoice", "Match", "MatchWords"])
def test_they_keep_the_contract(system: str, tmp_path: Path) -> None:
    done = type_in(tmp_path, "check", f"{SYSTEMS}:{system}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("system", ["Gate", "Match"])
def test_they_can_be_profiled(system: str, tmp_path: Path) -> None:
    options = ("--seconds", "0.5", "--batch", "1", "--budget", "2", "--out", "p.json")
    done = type_in(tmp_path, "profile", "--system", f"{SYSTEMS}:{system}", *options)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "p.json").read_text())
    assert record["settings"]["task"] == {"Gate": "tse-demo[cue=activity]", "Match": "tse-demo"}[system]
    (row,) = record["table"]
    assert row["rtf"] == pytest.approx(row["p50_s"] / 0.5, rel=1e-4), "per second of mixture, the prefix not counted"
    assert all(math.isfinite(chunk["difference_db"]) for chunk in record["chunks"])


def test_masks_are_exported(tmp_path: Path) -> None:
    out = export("tse-demo[cue=enrolment+activity]", tmp_path / "out", limit=1, rate=8_000)
    (row,) = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    mask = np.load(out / row["activity_mask"])
    task = load_task("tse-demo[cue=enrolment+activity]")
    trial = next(iter(task))
    query = task.stage.query(trial, trial.query.kinds, 16_000, task.stage.render(trial))
    np.testing.assert_array_equal(mask, query.activity_mask)
    assert row["enrolment"] == [f"queries/{trial.trial_id}/enrolment-0.wav"]


def test_data_mix_offers_masks_besides(tmp_path: Path) -> None:
    voices = Path(str(load_task("tse-demo").trials.data_root)) / "audio"
    options = ("--corpus", voices, "--kind", "tse", "--trials", 3, "--absent", 1, "--snr", 0, 0)
    assert type_in(tmp_path, "data", "mix", *options, "--out", "plain").returncode == 0
    assert type_in(tmp_path, "data", "mix", *options, "--out", "masks", "--activity").returncode == 0
    plain, masks = (list(Manifest(tmp_path / name / "manifest.jsonl")) for name in ("plain", "masks"))
    for one, other in zip(plain, masks, strict=True):
        assert other.query == replace(one.query, activity_mask=Activity("energy"))
        assert replace(other, query=one.query) == one
    assert run(tmp_path, "Gate", tmp_path / "masks" / "manifest.jsonl", "si_sdr,leakage")["Gate"].status == "sealed"
