"""Mixtures made from LibriMix's CSV against files that LibriMix's own script wrote: equal to the bit."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench.prepared.material import Material
from tspbench.task import FileReader, Stage
from tspbench.tasks.libri2mix import importer
from tspbench.types import QueryKind, Role, Trial

FOLDER = Path(__file__).parent / "librimix_generation"
GOLDEN = json.loads((FOLDER / "golden.json").read_text())
CELLS = sorted(GOLDEN["synthetic"])


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("make_librimix_golden", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = _script()


class RealReader(FileReader):
    """LibriSpeech is a link to recordings outside the folder, which the harness would not follow."""

    def locate(self, clip: Any) -> Path:
        return self.root / clip.path


@dataclass
class Corpus:
    name: str
    folder: Path
    csv: Path
    reader: FileReader

    def trials(self, cell: str, mix: str, protocol: str = "disjoint", **lists: Path) -> Iterator[Trial]:
        rate, mode = cell.split("-")
        options = {"rate": rate, "mode": mode, "mix": mix, "source": "librispeech"}
        return importer.trials(Material(protocol, options, {"mixtures": self.csv, **lists}))

    def stage(self, cell: str) -> Stage:
        return Stage(int(cell.partition("k")[0]) * 1000, self.reader)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("synthetic")
    return Corpus("synthetic", folder, MAKE.synthetic(folder), FileReader(folder))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    if not MAKE.REAL.exists():
        pytest.skip("needs the recordings of ../shared/data")
    folder = tmp_path_factory.mktemp("real")
    return Corpus("real", folder, MAKE.real(folder), RealReader(folder))


def integers(signal: Any) -> np.ndarray:
    scaled = np.asarray(signal, np.float64) * 32768
    assert (scaled == np.round(scaled)).all(), "not a 16-bit signal"
    return scaled.astype("<i2")


def signals(trial: Trial, stage: Stage, mix: str) -> dict[str, Any]:
    """A rendered trial under the names of LibriMix's folders."""
    rendered = stage.render(trial)
    others = [source.role for source in trial.sources if source.role is not Role.TARGET]
    side = trial.trial_id[-2:]
    found = {f"mix_{mix}": rendered.mixture, side: rendered.target}
    names = {Role.INTERFERER: {"s1": "s2", "s2": "s1"}[side], Role.NOISE: "noise"}
    return found | {names[role]: signal for role, signal in zip(others, rendered.interferers, strict=True)}


def check(corpus: Corpus, cell: str, mix: str) -> set[str]:
    """Compare every signal of every trial; the names of those compared."""
    compared = set()
    for trial in corpus.trials(cell, mix):
        golden = GOLDEN[corpus.name][cell][trial.trial_id[:-3]]
        for name, signal in signals(trial, corpus.stage(cell), mix).items():
            expected, found = golden[name], MAKE.summary(integers(signal))
            where = f"{cell} {trial.trial_id} {name}"
            assert found["length"] == expected["length"], where
            if "samples" in expected:
                np.testing.assert_array_equal(found["samples"], expected["samples"], err_msg=where)
            assert found["sha256"] == expected["sha256"], where
            compared.add(name)
    return compared


EXPECTED = {
    "clean": {"mix_clean", "s1", "s2"},
    "both": {"mix_both", "s1", "s2", "noise"},
    "single": {"mix_single", "s1", "noise"},
}


@pytest.mark.parametrize("mix", sorted(EXPECTED))
@pytest.mark.parametrize("cell", CELLS)
def test_synthetic_mixtures_are_those_of_librimix(synthetic: Corpus, cell: str, mix: str) -> None:
    assert check(synthetic, cell, mix) == EXPECTED[mix]


@pytest.mark.slow
@pytest.mark.parametrize("mix", sorted(EXPECTED))
@pytest.mark.parametrize("cell", CELLS)
def test_real_mixtures_are_those_of_librimix(real: Corpus, cell: str, mix: str) -> None:
    assert check(real, cell, mix) == EXPECTED[mix]


def write_map(path: Path, trials: list[Trial]) -> Path:
    """A map that enrols every target with the same speaker's voice in another mixture."""
    where = {(t.clusters["utterance"], t.clusters["mixture"]): t.trial_id[-2:] for t in trials}
    lines = []
    for trial in trials:
        speaker, own = trial.clusters["speaker"], trial.clusters["mixture"]
        mixture, side = next(
            (name, side)
            for (utterance, name), side in where.items()
            if utterance.startswith(f"{speaker}-") and name != own
        )
        lines.append(f"{own} {trial.clusters['utterance']} {side}/{mixture}\n")
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("mix", ["clean", "both"])
@pytest.mark.parametrize("cell", CELLS)
def test_speakerbeam_enrols_with_the_files_of_librimix(synthetic: Corpus, tmp_path: Path, cell: str, mix: str) -> None:
    table = write_map(tmp_path / "map", list(synthetic.trials(cell, mix)))
    rows = {tuple(line.split()[:2]): line.split()[2] for line in table.read_text().splitlines()}
    stage = synthetic.stage(cell)
    for trial in synthetic.trials(cell, mix, "speakerbeam", enrolment=table):
        rendered = stage.render(trial)
        query = stage.query(trial, frozenset({QueryKind.ENROLMENT}), stage.sample_rate, rendered)
        side, mixture = rows[trial.clusters["mixture"], trial.clusters["utterance"]].split("/")
        expected = GOLDEN["synthetic"][cell][mixture][side]
        assert MAKE.summary(integers(query.enrolment[0])) == expected
