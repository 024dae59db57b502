"""``tspbench data mix`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench.cli import main
from tspbench.manifest import Manifest


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for i, label in enumerate(("dog_bark", "rain")):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for n in range(3):
            samples = 0.1 * np.random.Generator(np.random.PCG64([i, n])).standard_normal(4_000)
            soundfile.write(tmp_path / "sounds" / label / f"{n}.wav", samples, 8_000)
    return tmp_path / "sounds"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["tspbench", "data", "mix", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_mix_writes_a_manifest_and_says_what_comes_next(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("--corpus", corpus, "--kind", "lass", "--trials", 4, "--snr", -5, 5, "--seed", 3, "--out", out)
    assert run(monkeypatch, *arguments, "--length", "0.25", "--sample-rate", 16_000) == 0
    printed = capfd.readouterr().out
    manifest = Manifest(out / "manifest.jsonl")
    assert len(manifest) == 4
    assert manifest.header.sample_rate == 16_000
    assert manifest[0].mix.length == 0.25
    assert all(-5 <= (trial.mix.snr_db or 0) <= 5 for trial in manifest)
    assert manifest.digest in printed
    assert "tspbench run --system clean,mixture,oracle-ibm" in printed
    assert f"--task {out / 'manifest.jsonl'}" in printed
    before = (out / "manifest.jsonl").read_bytes()
    assert run(monkeypatch, *arguments) == 2
    assert (out / "manifest.jsonl").read_bytes() == before
    assert run(monkeypatch, *arguments, "--force") == 0
    assert (out / "manifest.jsonl").read_bytes() != before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("--snr", 5, -5), "Write --snr -5 5"),
        (("--trials", 0), "--trials must be at least 1"),
        (("--corpus", "no.csv"), "no.csv does not exist"),
        (("--kind", "separation"), "'separation' is not one of"),
        (("--apart", "dog bark", "rain"), "all others are to be kept apart"),
    ],
)
def test_wrong_requests_exit_with_2_and_write_nothing(
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    changed: tuple[object, ...],
    message: str,
) -> None:
    out = tmp_path / "out"
    arguments = ("--corpus", corpus, "--kind", "lass", "--trials", 4, "--snr", -5, 5, "--out", out)
    assert run(monkeypatch, *arguments, *changed) == 2
    error = capfd.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


def test_the_manifest_runs_at_once(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--corpus", corpus, "--kind", "lass", "--trials", 2, "--snr", 0, 5, "--out", tmp_path / "out")
    assert run(monkeypatch, *arguments) == 0
    command = capfd.readouterr().out.splitlines()[-1].split()
    assert command[1:3] == ["tspbench", "run"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [*command[1:3], "--system", "mixture", "--metrics", "si_sdr", *command[5:]])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0


@pytest.mark.parametrize(
    ("folder", "name"), [("my-set", "my-set"), ("My set, v2.1", "My_set_v2_1"), ("-_-", "mix"), ("a" * 60, "a" * 40)]
)
def test_the_task_is_called_as_its_folder(
    folder: str, name: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / folder
    assert run(monkeypatch, "--corpus", corpus, "--kind", "lass", "--trials", 1, "--snr", 0, 5, "--out", out) == 0
    assert Manifest(out / "manifest.jsonl").header.name == name
