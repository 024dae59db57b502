"""Lists of sound mixtures, good and bad, read into trials."""

from __future__ import annotations

import csv
import hashlib
import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tspbench import manifest
from tspbench.prepared.material import ListError, Material
from tspbench.prepared.names import fill
from tspbench.task import known_tasks
from tspbench.types import QueryKind, Role, TaskKind, Trial

CLAPSEP = ("source_file", "positive_caption", "noise_file", "negative_caption")
AUDIOSEP = ("idx", "caption", "src_wav", "noise_wav")
DOG, CAT = "the sound of dog", "the sound of cat"
PAIRS = [("1-10-A-0.wav", DOG, "1-20-B-5.wav", CAT), ("2-30-A-5.wav", CAT, "1-10-A-0.wav", DOG)]
SAMPLES = [(DOG, ["3-1-A-0.wav", "3-2-A-0.wav", "3-3-A-0.wav"]), (CAT, ["4-1-A-5.wav", "4-2-A-5.wav", "4-3-A-5.wav"])]
TOLD = {
    "text": {"text"},
    "text+negative": {"text", "negative_text"},
    "audio": {"audio"},
    "audio+negative": {"audio", "negative_audio"},
    "text+audio": {"text", "audio"},
    "all": {"text", "negative_text", "audio", "negative_audio"},
}


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def esc50(protocol: str, lists: dict[str, Path], **options: str) -> list[Trial]:
    return made("esc50", protocol, lists, **options)


def made(task: str, protocol: str, lists: dict[str, Path], **options: str) -> list[Trial]:
    info = known_tasks()[task]
    declared = next(one for one in info.protocols if one.name == protocol)
    assert info.importer is not None
    importer = importlib.import_module(info.importer)
    return list(importer.trials(Material(protocol, fill(declared, options), lists)))


@pytest.fixture
def lists(tmp_path: Path) -> dict[str, Path]:
    return {
        "trials": write(tmp_path / "pairs.csv", CLAPSEP, PAIRS),
        "samples": write(tmp_path / "examples.csv", ("class", "file"), SAMPLES),
    }


def refused(path: Path, text: str | bytes, protocol: str = "clapsep") -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ListError) as caught:
        esc50(protocol, {"trials": path})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def attempted(path: Path) -> list[Trial] | str:
    """The trials of a list, or what is wrong with it."""
    try:
        return esc50("clapsep", {"trials": path})
    except ListError as error:
        return str(error)


def test_a_row_becomes_a_trial(lists: dict[str, Path]) -> None:
    first, second = esc50("clapsep", lists)
    target, interferer = first.sources
    assert first.trial_id == "00001-1-10-A-0"
    assert (target.path, target.label, target.role) == ("esc50/1-10-A-0.wav", "dog", Role.TARGET)
    assert (interferer.path, interferer.label, interferer.role) == ("esc50/1-20-B-5.wav", "cat", Role.INTERFERER)
    assert (first.mix.snr_db, first.mix.level, first.mix.length, first.mix.clip) == (0.0, "energy", 10.0, "rescale")
    assert (first.query.text, first.query.negative_text) == (DOG, CAT)
    assert first.conditions == {
        "queries": "text+negative",
        "source_is_interferer": False,
        "class": "dog",
        "negative_class": "cat",
        "shared_labels": False,
        "same_fold": True,
    }
    assert first.clusters == {"clip": "1-10-A-0"}
    assert second.conditions["same_fold"] is False


@pytest.mark.parametrize("queries", TOLD)
def test_queries_choose_what_is_told(lists: dict[str, Path], queries: str) -> None:
    for trial in esc50("clapsep", lists, queries=queries):
        assert {kind.value for kind in trial.query.kinds - {QueryKind.TRUTH}} == TOLD[queries]
        assert trial.conditions["queries"] == queries


def test_examples_follow_the_stated_rule(lists: dict[str, Path]) -> None:
    ours = dict(SAMPLES)
    for shots in ("1", "2", "3"):
        for trial in esc50("clapsep", lists, queries="all", shots=shots):
            for clips, label in zip((trial.query.audio, trial.query.negative_audio), trial.sources, strict=True):
                names = ours[f"the sound of {label.label}"]
                order = sorted(
                    names, key=lambda name: hashlib.sha256(f"0/{trial.trial_id}/{name}".encode()).hexdigest()
                )
                assert [clip.path for clip in clips] == [f"esc50/{name}" for name in order[: int(shots)]]


def test_an_example_is_never_a_clip_of_its_trial(tmp_path: Path) -> None:
    own = [(DOG, ["1-10-A-0.wav", "3-1-A-0.wav"]), (CAT, ["2-30-A-5.wav", "1-20-B-5.wav", "4-1-A-5.wav"])]
    held = {
        "trials": write(tmp_path / "pairs.csv", CLAPSEP, PAIRS),
        "samples": write(tmp_path / "examples.csv", ("class", "file"), own),
    }
    for trial in esc50("clapsep", held, queries="all"):
        used = {source.path for source in trial.sources}
        assert used.isdisjoint(clip.path for clip in (*trial.query.audio, *trial.query.negative_audio))
    with pytest.raises(ListError, match=r"has 1 example\(s\) of 'the sound of dog' besides .* shots=2"):
        esc50("clapsep", held, queries="audio", shots="2")


def test_native_span_is_the_targets(lists: dict[str, Path]) -> None:
    assert [trial.mix.length for trial in esc50("clapsep", lists, span="native")] == ["target", "target"]


def test_audiosep_rows(tmp_path: Path) -> None:
    rows = [(7, "dog", "1-10-A-0.wav", "2-30-A-5.wav"), (3, "cat", "2-30-A-5.wav", "5-9-A-9.wav")]
    held = {"trials": write(tmp_path / "list.csv", AUDIOSEP, rows)}
    first, second = esc50("audiosep", held)
    assert (first.trial_id, second.trial_id) == ("00007-1-10-A-0", "00003-2-30-A-5")
    assert (first.query.text, first.query.negative_text) == ("dog", None)
    assert first.mix.length == "target"
    assert first.conditions["negative_class"] == "cat"
    assert second.conditions["negative_class"] is None
    assert second.conditions["shared_labels"] is None


def test_audiosep_rendered_files_are_the_mixture(tmp_path: Path) -> None:
    held = {"trials": write(tmp_path / "list.csv", AUDIOSEP, [(12, "dog", "1-10-A-0.wav", "2-30-A-5.wav")])}
    (trial,) = esc50("audiosep-rendered", held)
    assert [source.path for source in trial.sources] == ["audiosep-esc50/segment-12.wav"]
    assert trial.mixture is not None
    assert trial.mixture.path == "audiosep-esc50/mixture-12.wav"
    assert trial.mix.snr_db is None


def test_audiocaps_labels_as_text_and_as_condition(tmp_path: Path) -> None:
    rows = [
        (0, "a dog", "Dog Bow-wow Inside, small room", "Ya.wav", "Yb.wav"),
        (1, "a boat", "Boat, Water vehicle Speech", "Yb.wav", "Yc.wav"),
        (2, "a man", "Male speech, man speaking Speech", "Yc.wav", "Yb.wav"),
        (3, "the dog", "Dog Bow-wow Inside, small room", "Ya.wav", "Ya.wav"),
    ]
    header = ("idx", "caption", "labels", "src_wav", "noise_wav")
    held = {"trials": write(tmp_path / "list.csv", header, rows)}
    trials = made("audiocaps", "audiosep", held)
    assert [trial.query.text for trial in trials] == [row[1] for row in rows]
    assert [trial.conditions["shared_labels"] for trial in trials] == [False, True, True, True]
    assert [trial.conditions["source_is_interferer"] for trial in trials] == [False, False, False, True]
    told = made("audiocaps", "audiosep", held, queries="labels")
    assert [trial.query.text for trial in told] == [row[2] for row in rows]


@pytest.mark.parametrize(
    ("path", "stems"),
    [
        ("esc50/1-100032-A-0.wav", ("1-100032-A-0", "1-100032-A")),
        ("esc50/a/5-9032-C-49.wav", ("5-9032-C-49", "5-9032-C")),
        ("esc50/my-own.wav", ("my-own",)),
    ],
)
def test_esc10_names_are_stems_too(path: str, stems: tuple[str, ...]) -> None:
    assert importlib.import_module("tspbench.tasks.esc50.importer").stems(path) == stems


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    rows = [("x", row[3], row[0], row[2], row[1]) for row in PAIRS]
    header = ("note", "negative_caption", "source_file", "noise_file", "positive_caption")
    path = write(tmp_path / "pairs.csv", header, rows)
    plain = write(tmp_path / "plain.csv", CLAPSEP, PAIRS)
    assert esc50("clapsep", {"trials": path}) == esc50("clapsep", {"trials": plain})


def test_a_list_saved_by_a_spreadsheet(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.csv", CLAPSEP, PAIRS)
    (tmp_path / "saved.csv").write_bytes(b"\xef\xbb\xbf" + plain.read_bytes() + b"\r\n")
    assert esc50("clapsep", {"trials": tmp_path / "saved.csv"}) == esc50("clapsep", {"trials": plain})


HEAD = ",".join(CLAPSEP) + "\n"
BAD = {
    "": "pairs.csv is empty. Its first line must name the columns source_file, positive_caption",
    HEAD: "has no rows below its header",
    "a,b\n1,2\n": "lacks the column(s) source_file, positive_caption, noise_file, negative_caption. "
    "Its first line has: a, b.",
    "source_file;positive_caption;noise_file;negative_caption\n": "lacks the column(s)",
    HEAD + "a.wav,x,b.wav,y\na.wav,,b.wav,y\na.wav,x,,y\n,,,\na.wav,x,b.wav,\n": "pairs.csv: 4 row(s) cannot be used: "
    "line 3 has no positive_caption; line 4 has no noise_file; line 5 has no source_file and no ",
    HEAD + "a.wav,a dog, barking,b.wav,y\n": "line 2 has 5 cells for 4 columns (a cell with a comma needs quotes)",
    HEAD + "a.wav,x\n": "line 2 has no noise_file and no negative_caption",
    HEAD + '"a.wav,x,b.wav,y\n': "pairs.csv, line 2: this is not CSV",
    HEAD + "/etc/passwd,x,b.wav,y\n": "line 2: '/etc/passwd' is not the name of a file below a folder",
    HEAD + "a.wav,x,../../b.wav,y\n": "line 2: '../../b.wav' is not the name of a file below a folder",
    HEAD + "a\0.wav,x,b.wav,y\n": "is not the name of a file below a folder",
    b"\xff\xfe\x00\x01": "pairs.csv is not text in UTF-8",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_lists(tmp_path: Path, text: str | bytes) -> None:
    assert BAD[text] in refused(tmp_path / "pairs.csv", text)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,dog,a.wav,b.wav\n0,dog,a.wav,c.wav\n", "line 3 has the idx 0 of line 2"),
        ("00,dog,a.wav,b.wav\n0,dog,a.wav,c.wav\n", "line 3 has the idx 0 of line 2"),
        ("one,dog,a.wav,b.wav\n", "line 2 has the idx 'one', not a whole number"),
        ("-1,dog,a.wav,b.wav\n", "line 2 has the idx '-1', not a whole number"),
    ],
)
def test_bad_numbers(tmp_path: Path, rows: str, message: str) -> None:
    assert message in refused(tmp_path / "list.csv", ",".join(AUDIOSEP) + "\n" + rows, "audiosep")


def test_a_list_that_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(ListError, match="cannot be read"):
            esc50("clapsep", {"trials": path})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("a.wav", "file must be a list such as"),
        ("[", "file must be a list such as"),
        ("[]", "file must be a list such as"),
        ("['a.wav', 3]", "file must be a list such as"),
        ("{[]: 1}", "file must be a list such as"),
        ("__import__('os')", "file must be a list such as"),
        ("['../a.wav']", "'../a.wav' is not the name of a file"),
        ("['\\ud800.wav']", "is not the name of a file"),
    ],
)
def test_bad_examples(lists: dict[str, Path], cell: str, message: str) -> None:
    write(lists["samples"], ("class", "file"), [(DOG, cell)])
    with pytest.raises(ListError, match=r"examples\.csv, line 2: ") as caught:
        esc50("clapsep", lists, queries="audio")
    assert message in str(caught.value)


def test_a_class_without_examples_or_with_two_lines(lists: dict[str, Path]) -> None:
    write(lists["samples"], ("class", "file"), SAMPLES[:1])
    with pytest.raises(ListError, match="has no examples of 'the sound of cat', which trial 00002-2-30-A-5 asks for"):
        esc50("clapsep", lists, queries="audio")
    write(lists["samples"], ("class", "file"), [*SAMPLES, SAMPLES[0]])
    with pytest.raises(ListError, match="line 4: the class 'the sound of dog' has a line already"):
        esc50("clapsep", lists, queries="audio")


def test_audio_queries_need_the_list_of_examples(lists: dict[str, Path]) -> None:
    del lists["samples"]
    assert len(esc50("clapsep", lists)) == 2
    with pytest.raises(ListError, match=r"queries=audio needs the list of example recordings: .* --list samples=FILE"):
        esc50("clapsep", lists, queries="audio")


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from(["a.wav", "b/c.wav", "ä ö.flac", "..", "", " ", ".wav", "x" * 200]) | CELLS


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, CELLS, NAMES, CELLS), max_size=6))
def test_wild_rows_make_valid_trials_or_one_error(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    folder = tmp_path_factory.mktemp("wild")
    path = write(folder / "pairs.csv", CLAPSEP, rows)
    trials = attempted(path)
    if isinstance(trials, str):
        assert "pairs.csv" in trials
        return
    assert len(trials) == len(rows)
    manifest.write(folder / "manifest.jsonl", manifest.Header(TaskKind.LASS, 32000), trials)
    assert list(manifest.Manifest(folder / "manifest.jsonl")) == trials


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text("\",\n\r;a[]'", max_size=60).map(lambda text: (HEAD + text).encode()))
def test_wild_files_make_trials_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("wild") / "pairs.csv"
    path.write_bytes(data)
    trials = attempted(path)
    assert "pairs.csv" in trials if isinstance(trials, str) else trials


def test_a_hundred_thousand_rows(tmp_path: Path) -> None:
    rows = [
        (f"Y{i % 957:011d}.wav", f"caption {i % 957}", f"Y{(i * 7 + 1) % 957:011d}.wav", "x") for i in range(100_000)
    ]
    path = write(tmp_path / "many.csv", CLAPSEP, rows)
    trials = made("audiocaps", "clapsep", {"trials": path})
    assert len({trial.trial_id for trial in trials}) == 100_000
    assert len({id(trial.sources[0]) for trial in trials}) == 957
    assert trials[-1].trial_id == f"100000-Y{99_999 % 957:011d}"
