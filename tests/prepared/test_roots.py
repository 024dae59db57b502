"""Which corpora a choice of options needs, and which of several files of one name is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tspbench.prepared.corpus import Finder, take_stock
from tspbench.prepared.declaration import Root


@pytest.mark.parametrize(
    ("mix", "source", "needed"),
    [("clean", "made", False), ("both", "made", True), ("single", "made", True), ("both", "tree", False)],
)
def test_a_corpus_is_needed_where_all_its_choices_hold(mix: str, source: str, needed: bool) -> None:
    root = Root("noise", "noise", when={"mix": "both|single", "source": "made"})
    assert root.needed({"mix": mix, "source": source}) is needed


def test_without_choices_a_corpus_is_needed_unless_it_is_optional() -> None:
    assert Root("a", "a").needed({"mix": "clean"})
    assert not Root("a", "a", required=False).needed({"mix": "clean"})


def files(folder: Path, *names: str) -> Finder:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return Finder(folder)


def test_of_files_that_lie_alike_the_published_ending_is_meant(tmp_path: Path) -> None:
    finder = files(tmp_path, "disc/050/a.wv1", "disc/050/a.wv2", "disc/051/a.wv1")
    assert finder.find("si_dt_05/050/a.wv1", ("a",)) == ["disc/050/a.wv1"]
    assert finder.find("si_dt_05/050/a.WV2", ("a",)) == ["disc/050/a.wv2"]
    assert finder.find("si_dt_05/050/a.wav", ("a",)) == ["disc/050/a.wv1", "disc/050/a.wv2"]
    assert finder.find("050/b.wav", ("b",)) == []


def test_where_a_file_lies_counts_more_than_its_ending(tmp_path: Path) -> None:
    finder = files(tmp_path, "s1/x.flac", "s2/x.wav")
    assert finder.find("test/s1/x.wav", ("x",)) == ["s1/x.flac"]


@pytest.mark.parametrize("given", ["", "wav8k", "wav8k/min/test"])
def test_a_tree_is_not_taken_for_one_of_another_rate_mode_or_voice(tmp_path: Path, given: str) -> None:
    files(tmp_path, "wav8k/min/test/s1/x.flac", "wav8k/max/test/s2/x.wav", "wav16k/min/test/mix/x.wav")
    clips = {f"tree/wav8k/min/test/{voice}/x.wav" for voice in ("s1", "s2", "mix")}
    stock = take_stock(clips, {"tree": tmp_path / given}, [Root("tree", "tree", layout=True)], lambda _: ("x",))
    assert [*stock.broken] == ["tree/wav8k/min/test/s1/x.wav"]  # found, and empty
    assert set(stock.missing) == clips - {*stock.broken}


def test_a_file_that_is_reached_by_two_links_is_one_file(tmp_path: Path) -> None:
    files(tmp_path, "kept/x.wav", "kept/y.wav", "other/y.wav")
    (tmp_path / "again").symlink_to(tmp_path / "kept")
    finder = Finder(tmp_path)
    assert finder.find("x.wav", ("x",)) == ["again/x.wav"]
    assert finder.find("y.wav", ("y",)) == ["again/y.wav", "other/y.wav"]
