"""What task.toml says of the published sound mixtures, against the lists themselves.

The lists are looked up beside the repository and are no part of it.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tspbench.manifest import list_digest, row_digest
from tspbench.prepared.declaration import Protocol
from tspbench.prepared.material import Material
from tspbench.prepared.names import fill
from tspbench.task import TaskInfo, known_tasks

LISTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "lists"
TASKS = ("audiocaps", "esc50", "fsdkaggle2018")
Rows = list[dict[str, str]]

CASES = [
    pytest.param(known_tasks()[name], protocol, id=f"{name}:{protocol.name}")
    for name in TASKS
    for protocol in known_tasks()[name].protocols
]
published = pytest.mark.skipif(not LISTS.is_dir(), reason="needs the lists in ../shared/data, which are not here")
every = pytest.mark.parametrize(("task", "protocol"), CASES)


def files(protocol: Protocol) -> dict[str, Path]:
    folder = LISTS / ("clapsep" if protocol.name == "clapsep" else "audiosep")
    return {file.role: folder / file.name for file in protocol.files}


def rows_of(path: Path) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@published
@every
def test_lists_are_those_that_were_published(task: TaskInfo, protocol: Protocol) -> None:
    for declared in protocol.files:
        path = files(protocol)[declared.role]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == declared.sha256
        rows = rows_of(path)
        assert len(rows) == declared.rows
        assert tuple(rows[0]) == declared.columns
        assert declared.source.endswith(f"/{declared.name}")


@published
@every
def test_statistics_are_those_of_the_lists(task: TaskInfo, protocol: Protocol) -> None:
    rows = rows_of(files(protocol)["trials"])
    assert protocol.rows == len(rows)
    found = dict(common_statistics(rows))
    captioned = "positive_caption" in rows[0]
    found |= dict(negative_statistics(rows)) if captioned and task.name == "audiocaps" else {}
    found |= dict(label_statistics(rows)) if "labels" in rows[0] else {}
    found |= dict(class_statistics(task.name, rows)) if task.name != "audiocaps" else {}
    if "samples" in files(protocol):
        found |= dict(example_statistics(rows, rows_of(files(protocol)["samples"])))
    assert dict(protocol.statistics) == found


def pair(row: dict[str, str]) -> tuple[str, str]:
    return (row["source_file"], row["noise_file"]) if "source_file" in row else (row["src_wav"], row["noise_wav"])


def common_statistics(rows: Rows) -> Iterator[tuple[str, int]]:
    pairs = [pair(row) for row in rows]
    sources, noises = ({names[place] for names in pairs} for place in (0, 1))
    (per_source,) = set(Counter(source for source, _ in pairs).values())
    yield from {"rows": len(rows), "sources": len(sources), "noises": len(noises)}.items()
    yield "clips", len(sources | noises)
    yield "rows_per_source", per_source
    yield "repeated_rows", len(rows) - len({tuple(row.values()) for row in rows})
    yield "repeated_pairs", len(rows) - len(set(pairs))
    yield "source_is_interferer", sum(source == noise for source, noise in pairs)


def negative_statistics(rows: Rows) -> Iterator[tuple[str, int]]:
    captions: dict[str, set[str]] = {}
    for row in rows:
        captions.setdefault(row["source_file"], set()).add(row["positive_caption"])
        captions.setdefault(row["noise_file"], set()).add(row["negative_caption"])
    yield "captions", len({row["positive_caption"] for row in rows})
    yield "negative_captions", len({row["negative_caption"] for row in rows})
    yield "equal_captions", sum(row["positive_caption"] == row["negative_caption"] for row in rows)
    yield "clips_with_several_captions", sum(len(several) > 1 for several in captions.values())


def label_statistics(rows: Rows) -> Iterator[tuple[str, int]]:
    """Labels are told apart by hand here: a label begins with a capital letter and a comma joins."""
    labels: dict[str, set[str]] = {}
    for row in rows:
        pieces: list[str] = []
        for word in row["labels"].split(" "):
            if word[0].isupper() and not (pieces and pieces[-1].endswith(",")):
                pieces.append(word)
            else:
                pieces[-1] += f" {word}"
        labels[row["src_wav"]] = set(pieces)
    yield "captions", len({row["caption"] for row in rows})
    yield "label_sets", len({row["labels"] for row in rows})
    yield "labels", len(set().union(*labels.values()))
    yield "shared_labels", sum(bool(labels[row["src_wav"]] & labels[row["noise_wav"]]) for row in rows)


def class_statistics(task: str, rows: Rows) -> Iterator[tuple[str, int]]:
    classes = {pair(row)[0]: row.get("positive_caption") or row["caption"] for row in rows}
    yield "classes", len(set(classes.values()))
    yield "shared_labels", sum(classes[source] == classes[noise] for source, noise in map(pair, rows))
    if task == "esc50":
        assert {len({name.rpartition("-")[2] for name in classes if classes[name] == c}) for c in classes.values()} == {
            1
        }
        (per_class,) = set(Counter(classes.values()).values())
        yield "sources_per_class", per_class
        yield "same_fold", sum(source[0] == noise[0] for source, noise in map(pair, rows))
    else:
        sizes = Counter(classes[pair(row)[0]] for row in rows).values()
        yield from {"rows_of_largest_class": max(sizes), "rows_of_smallest_class": min(sizes)}.items()


def example_statistics(rows: Rows, samples: Rows) -> Iterator[tuple[str, int]]:
    examples = {row["class"]: ast.literal_eval(row["file"]) for row in samples}
    assert set(examples) == {row["positive_caption"] for row in rows}
    (per_class,) = {len(names) for names in examples.values()}
    names = {name for several in examples.values() for name in several}
    yield "examples", len(names)
    yield "examples_per_class", per_class
    yield "examples_in_trials", len(names & {name for row in rows for name in pair(row)})


@published
@every
def test_the_default_trials_have_the_pinned_digest(task: TaskInfo, protocol: Protocol) -> None:
    assert task.importer is not None
    importer = importlib.import_module(task.importer)
    trials = list(importer.trials(Material(protocol.name, fill(protocol, {}), files(protocol))))
    assert len(trials) == len({trial.trial_id for trial in trials}) == protocol.rows
    assert list_digest(task.kind, task.sample_rate, map(row_digest, trials)) == protocol.digest
    flagged = sum(bool(trial.conditions["source_is_interferer"]) for trial in trials)
    assert flagged == protocol.statistics["source_is_interferer"]
    for name in ("shared_labels", "same_fold"):
        if name in protocol.statistics:
            assert sum(bool(trial.conditions[name]) for trial in trials) == protocol.statistics[name]


@published
def test_only_thirty_pairs_are_common_to_the_two_audiocaps_lists() -> None:
    both = [{pair(row) for row in rows_of(LISTS / name / "audiocaps_eval.csv")} for name in ("clapsep", "audiosep")]
    assert len(both[0] & both[1]) == 30
    assert "only 30 pairs are common" in known_tasks()["audiocaps"].description


@published
def test_a_row_mixed_with_itself_is_flagged_where_it_is() -> None:
    protocol = known_tasks()["audiocaps"].protocols[1]
    importer = importlib.import_module("tspbench.tasks.audiocaps.importer")
    trials = importer.trials(Material(protocol.name, fill(protocol, {}), files(protocol)))
    same = [int(trial.trial_id.partition("-")[0]) for trial in trials if trial.conditions["source_is_interferer"]]
    assert same == [769, 911, 1859]


@every
def test_a_declaration_is_whole(task: TaskInfo, protocol: Protocol) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", protocol.digest)
    for file in protocol.files:
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert re.search(r"/blob/[0-9a-f]{40}/", file.source)
    for said in (protocol.span, protocol.level, protocol.queries, protocol.used_by, protocol.dialect):
        assert said
    for option in protocol.options:
        assert option.default == option.choices[0]
    assert all(root.source and root.what for root in protocol.roots)
    assert task.cluster == "clip"
    assert bool(protocol.side_information) == (protocol.name == "clapsep")
