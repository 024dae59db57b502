"""Real recordings: every bound in its place on ESC-10 and LibriSpeech.

The recordings and the published list are looked up beside the repository and are no part of it.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

import tspbench
from tspbench import manifest
from tspbench.mix import mix
from tspbench.types import Clip, Mix, QueryRecipe, Role, Source, TaskKind, Trial

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ESC10, LISTS = DATA / "esc10", DATA / "lists" / "clapsep"
BOUNDS = ["clean", "oracle-psm", "oracle-irm", "oracle-ibm", "mixture", "silence"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ESC10.is_dir(), reason="needs the recordings in ../shared/data, which are not here"),
]


def esc10_files() -> dict[str, Path]:
    """ESC-50's names less the class suffix, as ``1-100032-A``, to the recordings at hand."""
    return {path.stem: path.relative_to(DATA) for path in ESC10.rglob("*.ogg")}


def stem(name: str) -> str:
    return Path(name).stem.rpartition("-")[0]


def published_trials(files: dict[str, Path]) -> list[Trial]:
    """The rows of CLAPSep's ESC-50 list whose two recordings are at hand."""
    examples = query_examples(files)
    trials = []
    with (LISTS / "esc_eval.csv").open() as file:
        for number, row in enumerate(csv.DictReader(file)):
            target, other = stem(row["source_file"]), stem(row["noise_file"])
            if target not in files or other not in files:
                continue
            wanted, unwanted = row["positive_caption"], row["negative_caption"]
            query = QueryRecipe(
                text=wanted,
                negative_text=unwanted,
                audio=tuple(Clip(str(files[name])) for name in examples[wanted]),
                negative_audio=tuple(Clip(str(files[name])) for name in examples[unwanted]),
            )
            sources = (
                Source(str(files[target]), label=wanted, role=Role.TARGET),
                Source(str(files[other]), label=unwanted),
            )
            clusters, conditions = {"clip": target}, {"class": wanted}
            trials.append(
                Trial(f"esc{number:04d}", sources, Mix(snr_db=0.0), query, conditions=conditions, clusters=clusters)
            )
    return trials


def query_examples(files: dict[str, Path], count: int = 3) -> dict[str, list[str]]:
    """The list's own example recordings of each class, which it keeps apart from its trials."""
    with (LISTS / "esc_eval_samples.csv").open() as file:
        rows = {row["class"]: ast.literal_eval(row["file"]) for row in csv.DictReader(file)}
    return {name: [stem(one) for one in names if stem(one) in files][:count] for name, names in rows.items()}


def means(runs: Sequence[tspbench.Run], metric: str) -> dict[str, float]:
    return {
        run.record["identity"]["system"]["name"]: run.summary["metrics"][metric]["mean"]
        for run in runs
        if metric in run.summary["metrics"]
    }


def assert_in_order(found: dict[str, float]) -> None:
    assert found["clean"] > found["oracle-psm"] > max(found["oracle-irm"], found["oracle-ibm"])
    assert min(found["oracle-irm"], found["oracle-ibm"]) > found["nmf"] > found["mixture"]
    assert found["silence"] is None


def test_lass_on_the_published_esc50_rows(tmp_path: Path) -> None:
    trials = published_trials(esc10_files())
    assert len(trials) == 171
    header = manifest.Header(TaskKind.LASS, 32000, name="esc10", data_root=str(DATA), cluster="clip")
    manifest.write(tmp_path / "manifest.jsonl", header, trials)
    runs = tspbench.run([*BOUNDS, "nmf"], tmp_path / "manifest.jsonl", out=tmp_path / "runs")
    assert_in_order(means(runs, "si_sdr"))


def test_tse_on_librispeech(tmp_path: Path) -> None:
    path = mix(DATA / "librispeech.csv", "tse", 100, (-5, 5), 1, tmp_path / "set")
    runs = tspbench.run([*BOUNDS, "nmf"], path, out=tmp_path / "runs", metrics=["si_sdr", "si_sdr_i", "wrong_target"])
    assert_in_order(means(runs, "si_sdr"))
    assert means(runs, "wrong_target")["mixture"] > means(runs, "wrong_target")["nmf"]


def test_tsasr_on_librispeech(tmp_path: Path) -> None:
    path = mix(DATA / "librispeech.csv", "tsasr", 24, (0, 5), 1, tmp_path / "set")
    systems = ["clean", "mixture", "recogniser", "recogniser-clean"]
    runs = tspbench.run(systems, path, out=tmp_path / "runs", metrics=["wer", "wer[pocketsphinx]"])
    waveform, words = means(runs, "wer[pocketsphinx]"), means(runs, "wer")
    assert waveform["clean"] < waveform["mixture"]
    assert words["recogniser-clean"] < words["recogniser"]
