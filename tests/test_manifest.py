"""Trial lists on disk: what is read, what is refused and where, and what a list's identity depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench import manifest
from tspbench.errors import ManifestError
from tspbench.manifest import Header, Manifest
from tspbench.types import Mix, QueryRecipe, Role, Source, TaskKind, Trial

HEADER = {"tspbench_manifest": 1, "kind": "lass", "sample_rate": 16000}
TARGET = {"path": "a.wav", "role": "target"}
ROW = {"trial_id": "t1", "sources": [TARGET, {"path": "b.wav"}], "query": {"text": "a dog"}}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(*lines: Any, name: str = "list.jsonl") -> Path:
        path = tmp_path / name
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8")
        return path

    return make


def row(trial_id: str = "t1", **changes: Any) -> dict[str, Any]:
    return {**ROW, "trial_id": trial_id, **changes}


def refusal(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        Manifest(path)
    return str(caught.value)


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    header = Header(TaskKind.TSE, 8000, name="mine", cluster="speaker", metrics=("si_sdr",), note="naïve ☃")
    trials = [
        Trial(f"t{i}", (Source("ä/b.wav", role=Role.TARGET),), Mix(snr_db=float(i)), QueryRecipe(text="é"))
        for i in range(5)
    ]
    manifest.write(tmp_path / "new" / "folder.jsonl", header, trials)
    read = Manifest(tmp_path / "new" / "folder.jsonl")
    assert read.header == header
    assert list(read) == trials
    assert read.ids == [trial.trial_id for trial in trials]


def test_access_by_index_slice_and_name_is_the_iteration(write: Write) -> None:
    read = Manifest(write(HEADER, "", row("a"), "   ", row("b", transcript="☃"), row("c")))
    trials = list(read)
    assert [trial.trial_id for trial in trials] == ["a", "b", "c"]
    assert len(read) == 3
    assert [read[i] for i in range(3)] == trials
    assert read[-1] == trials[-1]
    assert read[1:] == trials[1:]
    assert read[::-2] == trials[::-2]
    assert read[read.place("b")] == trials[1]
    with pytest.raises(IndexError):
        read[3]
    with pytest.raises(KeyError):
        read.place("d")


def test_two_iterations_at_once_do_not_disturb_each_other(write: Write) -> None:
    read = Manifest(write(HEADER, row("a"), row("b")))
    assert [(one.trial_id, two.trial_id) for one, two in zip(read, read, strict=True)] == [("a", "a"), ("b", "b")]


def test_the_data_root_is_relative_to_the_manifest(write: Write, tmp_path: Path) -> None:
    assert Manifest(write(HEADER, ROW)).data_root == tmp_path.resolve()
    assert Manifest(write({**HEADER, "data_root": "../sound"}, ROW)).data_root == (tmp_path / "../sound").resolve()


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_text(json.dumps(HEADER) + "\n" + json.dumps(ROW) + "\n", encoding="utf-8-sig")
    assert Manifest(path).ids == ["t1"]


def mask(rule: str, **fields: Any) -> dict[str, Any]:
    return row(query={"activity_mask": {"rule": rule, **fields}})


def turn(speaker: str, duration_s: float = 1.0) -> dict[str, Any]:
    return {"speaker": speaker, "start_s": 0.5, "duration_s": duration_s}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HEADER, "{'trial_id': 1}"], ", line 2: this is not JSON (Expecting property name"),
        ([HEADER, '{"trial_id": "a", "transcript": "\\ud83d"}'], ", line 2: this is not JSON ('utf-8' codec"),
        ([HEADER, "1" * 10_000], ", line 2: this is not JSON"),
        ([ROW], ", line 1: the first line must be a header such as"),
        ([[1, 2]], ", line 1: the first line must be a header such as"),
        ([{**HEADER, "tspbench_manifest": 2}, ROW], ": manifest version 2 is not known here (this tspbench reads ve"),
        ([{**HEADER, "kind": "tss"}, ROW], ", line 1: kind: 'tss' is not one of lass, tse, tsasr."),
        ([{**HEADER, "sample_rat": 1}, ROW], ", line 1: sample_rat: no such field. Did you mean sample_rate"),
        ([{**HEADER, "sample_rate": 0}, ROW], ", line 1: sample_rate must be positive, got 0."),
        ([HEADER], " holds no trials."),
        ([], " holds no trials."),
        ([HEADER, row("a"), row("b"), row("a")], ", line 4: trial 'a' was already on line 2."),
        ([HEADER, {"trial_id": "a"}], ", line 2, trial 'a': sources: this field is required."),
        ([HEADER, row(quary={})], ", line 2, trial 't1': quary: no such field. Did you mean query?"),
        ([HEADER, [1]], ", line 2: value: expected an object, got [1]."),
        ([HEADER, row("a/b")], ", line 2, trial 'a/b': a trial id is 1 to 128 of the characters"),
        ([HEADER, row("a" * 129)], "': a trial id is 1 to 128 of the characters"),
        ([HEADER, row("..")], ", line 2, trial '..': a trial id is"),
        ([HEADER, row(sources=[])], "trial 't1': sources is empty"),
        ([HEADER, row(sources=[TARGET, TARGET])], "trial 't1': more than one source has the role target."),
        ([HEADER, row(query={})], "'t1': query is empty: say text, audio, enrolment, speaker_vector or activity_mask."),
        ([HEADER, row(query={"activity_mask": {}})], "query.activity_mask.rule: this field is required."),
        ([HEADER, mask("energies")], 'query.activity_mask.rule: expected "energy" or "turns" or "file"'),
        ([HEADER, mask("energy", threshold_db=3)], "query.activity_mask: threshold_db counts from the loudest frame"),
        ([HEADER, mask("energy", pause_s=-1)], "query.activity_mask: pause_s must not be negative, got -1."),
        ([HEADER, mask("file")], 'query.activity_mask: file goes with the rule "file"'),
        ([HEADER, mask("energy", file={"path": "m.npy"})], 'query.activity_mask: file goes with the rule "file"'),
        ([HEADER, mask("energy", target="anna")], 'query.activity_mask: turns and target go with the rule "turns".'),
        ([HEADER, mask("turns", turns=[turn("anna", 0)])], "query.activity_mask: of a turn, start_s must not be neg"),
        (
            [HEADER, mask("turns", turns=[turn("otto"), turn("uwe")], target="anna")],
            "query.activity_mask: target 'anna' has no turn; the turns are of otto, uwe.",
        ),
        ([HEADER, row(query={"text": ""})], "trial 't1': query is empty"),
        ([HEADER, row(sources=[{"path": "b"}], mix={"snr_db": 3})], "mix.snr_db needs a target source"),
        ([HEADER, row(sources=[{"path": "b"}])], 'mix.length "target" needs a target source'),
        ([HEADER, row(mix={"length": 0})], "mix.length must be positive, got 0.0."),
        ([HEADER, row(sources=[{**TARGET, "start_s": -1}])], "a.wav: start_s must not be negative"),
        ([HEADER, row(sources=[{**TARGET, "duration_s": 0}])], "a.wav: start_s must not be negative and duration_s"),
        ([HEADER, row(query={"audio": [{"path": "q.wav", "start_s": -1}]})], "q.wav: start_s must not be negative"),
        ([HEADER, row(sources=[{**TARGET, "offset_s": -0.5}])], "offset_s must not be negative"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(write: Write, lines: list[Any], said: str) -> None:
    path = write(*lines)
    message = refusal(path)
    assert message.startswith(str(path))
    assert said in message


def test_a_manifest_that_cannot_be_opened(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.jsonl") == f"The manifest {tmp_path / 'no.jsonl'} does not exist."
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


def test_bytes_that_are_no_text_are_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.jsonl"
    path.write_bytes(json.dumps(HEADER).encode() + b'\n{"trial_id": "\xe9"}\n')
    assert f"{path}, line 2: this is not JSON" in refusal(path)


def test_a_target_absent_trial_with_a_length_is_fine(write: Write) -> None:
    read = Manifest(write(HEADER, row(sources=[{"path": "b.wav"}], mix={"length": "max"})))
    assert not read[0].target_present


@given(order=st.permutations(range(6)))
def test_the_digest_does_not_depend_on_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    trials = [Trial(f"t{i}", (Source(f"{i}.wav", role=Role.TARGET),), query=QueryRecipe(text="x")) for i in range(6)]
    header = Header(TaskKind.LASS, 8000)
    manifest.write(folder / "a.jsonl", header, trials)
    manifest.write(folder / "b.jsonl", header, [trials[i] for i in order])
    assert Manifest(folder / "a.jsonl").digest == Manifest(folder / "b.jsonl").digest


@pytest.mark.parametrize(
    "same",
    [
        row(mix={"snr_db": None, "level": "energy", "length": "target"}, conditions={}),
        row(sources=[{**TARGET, "gain": 1.0, "start_s": 0, "label": None}, {"path": "b.wav", "role": "interferer"}]),
        dict(reversed(ROW.items())),
    ],
)
def test_spelling_out_a_default_changes_nothing(write: Write, same: dict[str, Any]) -> None:
    assert Manifest(write(HEADER, same, name="b.jsonl")).digest == Manifest(write(HEADER, ROW)).digest


def test_names_and_places_of_a_list_are_not_its_identity(write: Write) -> None:
    other = {**HEADER, "name": "other", "data_root": "elsewhere", "note": "x", "metrics": ["snr"]}
    assert Manifest(write(other, ROW, name="b.jsonl")).digest == Manifest(write(HEADER, ROW)).digest


@pytest.mark.parametrize(
    ("header", "trial"),
    [
        ({**HEADER, "sample_rate": 8000}, ROW),
        ({**HEADER, "kind": "tse"}, ROW),
        (HEADER, row("t2")),
        (HEADER, row(query={"text": "a cat"})),
        (HEADER, row(mix={"snr_db": 0})),
        (HEADER, row(sources=[TARGET, {"path": "b.wav", "gain": 0.5}])),
        (HEADER, row(sources=[{"path": "b.wav"}, TARGET])),
        (HEADER, row(transcript="words")),
    ],
)
def test_content_is_identity(write: Write, header: dict[str, Any], trial: dict[str, Any]) -> None:
    assert Manifest(write(header, trial, name="b.jsonl")).digest != Manifest(write(HEADER, ROW)).digest


def test_conditions_only_describe(write: Write) -> None:
    described = Manifest(write(HEADER, row(conditions={"overlap": 0.5}), name="b.jsonl"))
    assert described.digest == Manifest(write(HEADER, ROW)).digest


def test_a_row_less_is_another_list(write: Write) -> None:
    one = Manifest(write(HEADER, row("a"), name="b.jsonl"))
    assert one.digest != Manifest(write(HEADER, row("a"), row("b"))).digest
