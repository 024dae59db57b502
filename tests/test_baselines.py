"""Scores that depend on the trial alone: found again only for the same samples, metric, version and packages."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tspbench import baselines as module
from tspbench.baselines import MIXTURE, Baselines, cache_folder, package_versions
from tspbench.metrics import Score, Status, resolve

SNR, SDR = resolve("snr"), resolve("sdr")


def test_scores_are_found_by_another_process_later(tmp_path: Path) -> None:
    scores = {
        "snr": Score(0.1 + 0.2),
        "sdr": Score.undefined("silent estimate"),
    }
    first = Baselines(tmp_path)
    first.add("in1", scores)
    first.close()
    second = Baselines(tmp_path)
    assert second.find("in1", [SNR, SDR]) == scores
    assert second.find("in1", [SDR]) == {"sdr": scores["sdr"]}
    assert second.find("in2", [SNR, SDR]) == {}
    assert second.find("in1", []) == {}
    second.close()


def test_counts_and_status_come_back(tmp_path: Path) -> None:
    known = Baselines(tmp_path)
    score = Score(0.5, Status.OK, None, {"errors": 1, "total": 2})
    known.add("in", {"snr": score})
    assert known.find("in", [SNR])["snr"] == score


def test_rows_are_kept_apart() -> None:
    known = Baselines()
    known.add("in", {"snr": Score(1.0)})
    known.add("in", {"snr": Score(100.0)}, "upper:clean")
    assert known.find("in", [SNR])["snr"].value == 1.0
    assert known.find("in", [SNR], "upper:clean")["snr"].value == 100.0
    assert known.find("in", [SNR], "upper:other") == {}
    assert known.rows() == [MIXTURE, "upper:clean"]


def test_a_later_score_replaces_an_earlier_one() -> None:
    known = Baselines()
    known.add("in", {"snr": Score(1.0)})
    known.add("in", {"snr": Score(2.0)})
    assert known.find("in", [SNR])["snr"].value == 2.0


def remember(folder: Path) -> None:
    known = Baselines(folder)
    known.add("in", {"snr": Score(1.0)})
    known.close()
    assert Baselines(folder).find("in", [SNR]) == {"snr": Score(1.0)}


def test_a_new_version_of_the_metric_does_not_find_old_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(tmp_path)
    monkeypatch.setattr(module, "resolve", lambda name: replace(resolve(name), version=99))
    assert Baselines(tmp_path).find("in", [SNR]) == {}


def test_another_version_of_a_package_does_not_find_old_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(tmp_path)
    assert "numpy" in package_versions(SNR)
    monkeypatch.setattr(module.metadata, "version", lambda name: "0.0.1")
    assert Baselines(tmp_path).find("in", [SNR]) == {}


def test_the_folder_is_the_environments_or_the_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path / "named"))
    assert cache_folder() == tmp_path / "named"
    Baselines().close()
    assert (tmp_path / "named" / "baselines.sqlite").is_file()
    monkeypatch.delenv("TSPBENCH_CACHE")
    assert cache_folder().name == "tspbench"


def unusable_file(folder: Path) -> None:
    folder.write_text("not a folder")


def damaged_table(folder: Path) -> None:
    folder.mkdir()
    (folder / "baselines.sqlite").write_bytes(b"this is no database " * 100)


@pytest.mark.parametrize("spoil", [unusable_file, damaged_table])
def test_unusable_storage_only_makes_it_forgetful(tmp_path: Path, spoil: object) -> None:
    folder = tmp_path / "cache"
    spoil(folder)
    known = Baselines(folder)
    known.add("in", {"snr": Score(1.0)})
    assert known.find("in", [SNR])["snr"].value == 1.0
    known.close()
    assert Baselines(folder).find("in", [SNR]) == {}


def test_two_at_once_share_one_table(tmp_path: Path) -> None:
    one, two = Baselines(tmp_path), Baselines(tmp_path)
    one.add("in", {"snr": Score(1.0)})
    assert two.find("in", [SNR])["snr"].value == 1.0
    two.add("in", {"sdr": Score(2.0)})
    assert set(one.find("in", [SNR, SDR])) == {"snr", "sdr"}


def test_a_table_that_breaks_later_raises_nothing(tmp_path: Path) -> None:
    known = Baselines(tmp_path)
    with sqlite3.connect(tmp_path / "baselines.sqlite") as other:
        other.execute("DROP TABLE baseline")
        other.execute("DROP TABLE label")
    known.add("in", {"snr": Score(1.0)})
    assert known.find("in", [SNR]) == {}
    assert known.rows() == []
    known.close()
