"""Libri2Mix: whom a trial asks for, what enrols, what is refused, and trees against rendering."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tspbench.cli import group
from tspbench.errors import UsageError
from tspbench.prepared.material import ListError, Material
from tspbench.store import read_record
from tspbench.task import FileReader, Stage, load_task
from tspbench.tasks.libri2mix import importer
from tspbench.types import QueryKind, Role, Trial

RATE = 16_000
HEADER = ["mixture_ID", "source_1_path", "source_1_gain", "source_2_path", "source_2_gain", "noise_path", "noise_gain"]
PAIRS = [
    ("11-1-0001", "22-1-0001"),
    ("11-2-0002", "22-1-0002"),
    ("33-5-0001", "11-1-0003"),
    ("22-1-0001", "33-5-0002"),
    ("33-5-0003", "22-1-0002"),
]
"""Speaker 11 has two chapters, the others one."""
LENGTHS = {name: 8_000 + 1_111 * k for k, name in enumerate(sorted({u for pair in PAIRS for u in pair}))}
NOISE = 9_500
Make = Callable[..., list[Trial]]


def location(utterance: str) -> str:
    speaker, chapter, _ = utterance.split("-")
    return f"test-clean/{speaker}/{chapter}/{utterance}.flac"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "libri2mix_test-clean.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for k, (a, b) in enumerate(PAIRS):
            rows.writerow(
                [f"{a}_{b}", location(a), 0.5 + k / 8, location(b), 1.25 - k / 8, "tt/a_1.5_b_-1.5.wav", 0.75]
            )
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """LibriSpeech and WHAM of white noise."""
    rng = np.random.RandomState(5)
    for name, length in LENGTHS.items():
        path = tmp_path / "librispeech" / location(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.randint(-5000, 5000, length).astype(np.int16), RATE)
    (tmp_path / "wham" / "tt").mkdir(parents=True)
    noise = rng.randint(-3000, 3000, (NOISE, 2)).astype(np.int16)
    soundfile.write(tmp_path / "wham" / "tt" / "a_1.5_b_-1.5.wav", noise, RATE)
    (tmp_path / "librispeech" / "SPEAKERS.TXT").write_text(
        ";ID |SEX| SUBSET |MINUTES| NAME\n11 | F | test-clean | 8.1 | A\n22 | M | test-clean | 8.1 | B | C\n"
    )
    return tmp_path


@pytest.fixture
def make(table: Path, tmp_path: Path) -> Make:
    def trials(protocol: str = "disjoint", lines: list[str] | None = None, **options: str) -> list[Trial]:
        lists = {"mixtures": table}
        if lines is not None:
            lists["enrolment"] = tmp_path / "map"
            lists["enrolment"].write_text("".join(f"{line}\n" for line in lines))
        chosen = {"rate": "16k", "mode": "min", "mix": "clean", "source": "librispeech"} | options
        roots = {name: tmp_path / name for name in ("librispeech", "wham") if (tmp_path / name).exists()}
        return list(importer.trials(Material(protocol, chosen, lists, roots, seconds)))

    return trials


def seconds(path: str) -> float | None:
    frames = LENGTHS.get(Path(path).stem)
    return frames / RATE if frames and path.startswith("librispeech/") else None


def mixture(k: int) -> str:
    return "_".join(PAIRS[k])


def good_map() -> list[str]:
    """Every target enrols with the file of its speaker that comes next in the list."""
    sides = [(a_b, side) for a_b in PAIRS for side in (0, 1)]
    lines = []
    for number, (pair, side) in enumerate(sides):
        speaker = pair[side][:2]
        later = sides[number + 1 :] + sides[: number + 1]
        other, place = next((p, s) for p, s in later if p[s][:2] == speaker)
        lines.append(f"{'_'.join(pair)} {pair[side]} s{place + 1}/{'_'.join(other)}")
    return lines


def target_of(trial: Trial) -> Any:
    return next(source for source in trial.sources if source.role is Role.TARGET)


def test_both_voices_of_every_mixture_are_asked_for(make: Make) -> None:
    trials = make()
    assert [t.trial_id for t in trials] == [f"{'_'.join(pair)}_s{side}" for pair in PAIRS for side in (1, 2)]
    for trial, (pair, side) in zip(trials, [(p, s) for p in PAIRS for s in (0, 1)], strict=True):
        assert [Path(source.path).stem for source in trial.sources] == list(pair)
        assert [s.role is Role.TARGET for s in trial.sources] == [side == 0, side == 1]
        assert Path(target_of(trial).path).stem == pair[side] == trial.clusters["utterance"]
        assert target_of(trial).gain == (0.5, 1.25)[side] + (1, -1)[side] * PAIRS.index(pair) / 8


def test_disjoint_draws_by_the_documented_hash(make: Make) -> None:
    spoken = sorted(LENGTHS)
    for trial in make():
        target = trial.clusters["utterance"]
        own = [name for name in spoken if name[:2] == target[:2] and name != target]
        elsewhere = [name for name in own if name.rpartition("-")[0] != target.rpartition("-")[0]]
        pool = elsewhere or own
        digest = hashlib.sha256(f"{trial.clusters['mixture']} {target}".encode()).hexdigest()
        expected = pool[int(digest[:16], 16) % len(pool)]
        (clip,) = trial.query.enrolment
        assert clip.path == f"librispeech/{location(expected)}"
        assert (clip.gain, clip.partner, clip.start_s, clip.duration_s) == (1.0, None, 0.0, None)
        assert trial.conditions["same_chapter"] is not bool(elsewhere)


def test_disjoint_trials_do_not_depend_on_the_order_of_rows(make: Make, table: Path) -> None:
    before = {trial.trial_id: trial for trial in make()}
    header, *rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join([header, *reversed(rows)]))
    assert {trial.trial_id: trial for trial in make()} == before


def test_a_speaker_with_one_utterance_cannot_be_enrolled(make: Make, table: Path) -> None:
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0], lines[1], lines[3]]))
    with pytest.raises(ListError, match=r"2 speaker\(s\) have one utterance only, .* enrol with: 22, 33\."):
        make()


def test_single_has_the_first_voice_and_noise_as_long_as_with_the_second(make: Make, corpus: Path) -> None:
    stage = Stage(RATE, FileReader(corpus))
    for mode, rule in (("min", min), ("max", max)):
        trials = make(mix="single", mode=mode)
        assert [t.trial_id for t in trials] == [f"{mixture(k)}_s1" for k in range(len(PAIRS))]
        for trial, pair in zip(trials, PAIRS, strict=True):
            assert [source.role for source in trial.sources] == [Role.TARGET, Role.NOISE]
            assert len(stage.render(trial).mixture) == rule(LENGTHS[name] for name in pair)


def test_a_tree_gives_the_same_signals(make: Make, corpus: Path) -> None:
    """A tree is written from the rendering, and read back with source=tree."""
    stage = Stage(8_000, FileReader(corpus))
    for mix in ("both", "clean"):
        options = {"rate": "8k", "mode": "max", "mix": mix}
        for trial in make(**options):
            rendered = stage.render(trial)
            side = int(trial.trial_id[-1])
            files = {
                f"mix_{mix}": rendered.mixture,
                f"s{side}": rendered.target,
                f"s{3 - side}": rendered.interferers[0],
            }
            if mix == "both":
                files["noise"] = rendered.interferers[1]
            for folder, samples in files.items():
                path = corpus / f"librimix/wav8k/max/test/{folder}/{trial.clusters['mixture']}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, samples, 8_000, subtype="PCM_16")
        for made, read in zip(make(**options), make(source="tree", **options), strict=True):
            a, b = stage.render(made), stage.render(read)
            assert all(s.path.startswith("librimix/wav8k/max/test/") for s in read.sources)
            np.testing.assert_array_equal(a.mixture, b.mixture)
            np.testing.assert_array_equal(a.target, b.target)
            np.testing.assert_array_equal(a.interferers, b.interferers)


def test_speakerbeam_takes_the_enrolment_from_the_map(make: Make) -> None:
    lines = good_map()
    for trial, line in zip(make("speakerbeam", lines), lines, strict=True):
        folder, _, other = line.split()[2].partition("/")
        place = int(folder[1]) - 1
        k = [mixture(i) for i in range(len(PAIRS))].index(other)
        (clip,) = trial.query.enrolment
        assert Path(clip.path).stem == PAIRS[k][place]
        assert Path(str(clip.partner)).stem == PAIRS[k][1 - place]
        assert clip.gain == (0.5, 1.25)[place] + (1, -1)[place] * k / 8
    (clip,) = make("speakerbeam", lines, source="tree", rate="8k")[0].query.enrolment
    assert clip.path == f"librimix/wav8k/min/test/{lines[0].split()[2]}.wav"
    assert (clip.gain, clip.partner) == (1.0, None)


@pytest.mark.parametrize(("mode", "length"), [("min", min), ("max", max)])
def test_an_enrolment_is_the_signal_of_its_mixture(make: Make, corpus: Path, mode: str, length: Any) -> None:
    stage = Stage(8_000, FileReader(corpus))
    signals: dict[str, Any] = {}
    for trial in make(mode=mode, rate="8k"):
        signals[f"s{trial.trial_id[-1]}/{trial.clusters['mixture']}"] = stage.render(trial).target
    lines = good_map()
    for trial, line in zip(make("speakerbeam", lines, mode=mode, rate="8k"), lines, strict=True):
        query = stage.query(trial, frozenset({QueryKind.ENROLMENT}), 8_000, stage.render(trial))
        np.testing.assert_array_equal(query.enrolment[0], signals[line.split()[2]])
        at_16k = stage.query(trial, frozenset({QueryKind.ENROLMENT}), 16_000, stage.render(trial)).enrolment[0]
        assert len(at_16k) == 2 * len(query.enrolment[0])


def test_leaks_of_a_map_are_told(make: Make) -> None:
    lines = good_map()
    lines[0] = f"{mixture(0)} {PAIRS[0][0]} s1/{mixture(0)}"
    lines[1] = f"{mixture(0)} 22-1-0001 s1/{mixture(3)}"
    flags = [trial.conditions["enrolment_leak"] for trial in make("speakerbeam", lines)]
    assert flags[:3] == ["file", "utterance", "none"]


def test_conditions_say_what_is_known(make: Make, corpus: Path) -> None:
    first, second = make(mode="max")[:2]
    spans = sorted(LENGTHS[name] / RATE for name in PAIRS[0])
    assert first.conditions["gender_pair"] == "FM"
    assert second.conditions["gender_pair"] == "MF"
    assert make()[4].conditions["gender_pair"] is None  # the sex of speaker 33 is not in the file
    assert first.conditions["overlap"] == round(spans[0] / spans[1], 3)
    assert first.conditions["mixture_s"] == round(spans[1], 3)
    assert first.conditions["enrolment_s"] == round(LENGTHS[Path(first.query.enrolment[0].path).stem] / RATE, 3)
    assert make()[0].conditions["overlap"] == 1.0
    assert make()[0].conditions["mixture_s"] == round(spans[0], 3)
    clip = make("speakerbeam", good_map())[0]
    pair = [Path(str(name)).stem for name in (clip.query.enrolment[0].path, clip.query.enrolment[0].partner)]
    assert clip.conditions["enrolment_s"] == round(min(LENGTHS[name] for name in pair) / RATE, 3)


def test_tselm_reads_its_archive(make: Make) -> None:
    trials = make("tselm")
    assert [t.trial_id for t in trials] == [f"{mixture(k)}_s1" for k in range(len(PAIRS))]
    name = mixture(0)
    assert [clip.path for clip in trials[0].clips()] == [
        f"tselm/s1/{name}.wav", f"tselm/mix_clean/{name}.wav", f"tselm/aux_s1/{name}.wav"
    ]  # fmt: skip


KNOWN = mixture(3)
UNFIT = {
    f"1-1-1_2-2-2 {PAIRS[0][0]} s1/{KNOWN}": r"map: 1 mixture\(s\) that are not in the CSV: 1-1-1",
    f"{mixture(0)} {PAIRS[0][0]} s1/9-9-9_8-8-8": r"map: 1 mixture\(s\) that are not in the CSV: 9-9-9_",
    f"{mixture(0)} 33-5-0001 s1/{KNOWN}": r"1 row\(s\) whose utterance is not in the mixture",
    f"{mixture(0)} {PAIRS[0][0]} s3/{KNOWN}": "whose enrolment is not s1/… or s2/…",
    f"{mixture(0)} {PAIRS[0][0]} s2/{mixture(1)}": r"1 target\(s\) enrolled with somebody else: \S+_s1\.",
    f"{mixture(0)} a b c": r"1 line\(s\) without the 3 fields of a list such as: .*: line 1 has 4 field",
}


@pytest.mark.parametrize("line", UNFIT)
def test_a_map_that_does_not_fit_is_refused(make: Make, line: str) -> None:
    with pytest.raises(ListError, match=UNFIT[line]):
        make("speakerbeam", [line, *good_map()[1:]])


def test_missing_enrolments_are_counted_and_the_first_three_named(make: Make) -> None:
    with pytest.raises(ListError, match=r"map: 8 target\(s\) of the CSV without an enrolment: \S+, \S+, \S+, …\."):
        make("speakerbeam", good_map()[:2])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("source_2_gain", "gain", "source_2_gain"),
        (",0.5,", ",loud,", r"1 row\(s\) with a gain that is no positive number: line 2"),
        (",0.5,", ",inf,", "no positive number"),
        (",0.5,", ",-1,", "no positive number"),
        (",0.5,", ",,", "line 2"),
        ("11-1-0001.flac", "eleven.flac", "not named SPEAKER-CHAPTER-NUMBER"),
        (mixture(1), mixture(0), f"line 3: the mixture {mixture(0)} was already there"),
    ],
)
def test_a_csv_that_does_not_do_is_refused(make: Make, table: Path, old: str, new: str, message: str) -> None:
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(ListError, match=message):
        make()


def test_noise_columns_are_needed_only_where_there_is_noise(make: Make, table: Path) -> None:
    table.write_text("".join(f"{','.join(line.split(',')[:5])}\n" for line in table.read_text().splitlines()))
    assert len(make()) == 10
    assert len(make(mix="both", source="tree")) == 10
    with pytest.raises(ListError, match="noise_path"):
        make(mix="both")


def typed(*arguments: object) -> Any:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TSPBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_prepared_and_run_as_a_user_does(corpus: Path, table: Path, data_root: Path, tmp_path: Path) -> None:
    done = typed("data", "prepare", "libri2mix", "--audio", corpus / "librispeech", "--list", table)
    assert done.exit_code == 0, done.output
    (cell,) = [path.name for path in (data_root / "libri2mix").iterdir()]
    assert cell.startswith("disjoint~"), "an unpublished list is marked"
    run = typed(
        "run", "--system", "mixture", "--task", f"libri2mix:{cell}", "--metrics", "si_sdr_i", "--out", tmp_path / "r"
    )
    assert run.exit_code == 0, run.output
    assert read_record(tmp_path / "r")["identity"]["task"]["trials"] == 10
    task = load_task(f"libri2mix:{cell}", options=["rate=8k", "mode=max"])
    assert task.info.sample_rate == 8_000


def test_noise_is_asked_for_where_it_is_needed(corpus: Path, table: Path, data_root: Path) -> None:
    asked = (
        "data",
        "prepare",
        "libri2mix[mix=both]",
        "--list",
        table,
        "--audio",
        f"librispeech={corpus / 'librispeech'}",
    )
    refused = typed(*asked)
    assert isinstance(refused.exception, UsageError)
    assert "wham=DIR" in str(refused.exception)
    assert typed(*asked, "--audio", f"wham={corpus / 'wham'}").exit_code == 0
