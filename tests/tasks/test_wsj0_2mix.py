"""WSJ0-2mix: SpEx+'s three lists and the -extr list on trees of noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tspbench import audio
from tspbench.cli import group
from tspbench.prepared.material import ListError, Material
from tspbench.task import FileReader, Stage, load_task
from tspbench.tasks.wsj0_2mix import importer
from tspbench.types import QueryKind, Role, Trial

RATE = 8_000
MIXES = {
    "050a0501_1.25_440c0201_-1.25": ("050a0502", "440c0203"),
    "441o0301_0.5_051a0502_-0.5": ("441c0207", "051o0301"),
}
"""Mixture to the utterances that enrol its voices."""
EXTR = [
    "wsj0/si_dt_05/050/050a0501.wv1 1.25 wsj0/si_et_05/440/440c0201.wv1 -1.25 wsj0/si_dt_05/050/050a0502.wv1",
    "wsj0/si_et_05/441/441o0301.wv1 0.079969 wsj0/si_dt_05/051/051a0502.wv1 -0.079969 wsj0/si_et_05/441/441c0207.wv1",
]
NAMES = ["050a0501_1.25_440c0201_-1.25_050a0502", "441o0301_0.079969_051a0502_-0.079969_441c0207"]
Make = Callable[..., list[Trial]]


def home(utterance: str) -> str:
    return f"{'si_et_05' if utterance[:2] == '44' else 'si_dt_05'}/{utterance[:3]}"


@pytest.fixture
def lists(tmp_path: Path) -> dict[str, Path]:
    rows: dict[str, list[str]] = {"mix": [], "ref": [], "aux": []}
    for name, enrolments in MIXES.items():
        for side, utterance in enumerate(enrolments):
            key, tree = f"{name}_{utterance}", "/export/somebody/wsj0_2mix/min/tt"
            rows["mix"].append(f"{key} {tree}/mix/{name}.wav")
            rows["ref"].append(f"{key} {tree}/s{side + 1}/{name}.wav")
            rows["aux"].append(f"{key} /home/somebody/wsj0/{home(utterance).replace('/', '_8k/')}/{utterance}.wav")
    found = {role: tmp_path / f"{role}.scp" for role in rows}
    for role, path in found.items():
        path.write_text("".join(f"{row}\n" for row in rows[role]))
    found["trials"] = tmp_path / "extr.txt"
    found["trials"].write_text("".join(f"{row}\n" for row in EXTR))
    return found


@pytest.fixture
def make(lists: dict[str, Path]) -> Make:
    def trials(protocol: str = "two-sided", seconds: Any = lambda path: None, **options: str) -> list[Trial]:
        return list(importer.trials(Material(protocol, {"rate": "8k", "mode": "min"} | options, lists, {}, seconds)))

    return trials


def white(seed: int, length: int, path: Path, rate: int = RATE) -> np.ndarray:
    samples = np.random.RandomState(seed).randint(-6000, 6000, length).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return samples


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """MERL's tree, whose mixtures are one step off the sum, and WSJ0 at 16 kHz as SPHERE with its second microphone."""
    for k, (name, enrolments) in enumerate(MIXES.items()):
        folder = tmp_path / "mixes" / "2speakers" / "wav8k" / "min" / "tt"
        parts = [white(10 * k + side, 1_000 + 99 * k, folder / f"s{side + 1}" / f"{name}.wav") for side in (0, 1)]
        (folder / "mix").mkdir(exist_ok=True)
        soundfile.write(folder / "mix" / f"{name}.wav", parts[0] + parts[1] + np.int16(1), RATE)
        for utterance in enrolments:
            for ending in ("wv1", "wv2"):
                path = tmp_path / "disc" / "wsj0" / home(utterance) / f"{utterance}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                samples = np.full(400 if ending == "wv1" else 300, 1000, np.int16)
                soundfile.write(path, samples, 16_000, format="NIST", subtype="PCM_16")
    return tmp_path


def test_two_sided_asks_for_both_voices_of_the_trees_files(make: Make) -> None:
    trials = make()
    assert [trial.trial_id for trial in trials] == [f"{name}_{aux}" for name, pair in MIXES.items() for aux in pair]
    second = trials[1]
    base = "wsj0-2mix/wav8k/min/tt"
    name = "050a0501_1.25_440c0201_-1.25"
    assert [(s.path, s.role) for s in second.sources] == [
        (f"{base}/s1/{name}.wav", Role.INTERFERER),
        (f"{base}/s2/{name}.wav", Role.TARGET),
    ]
    assert second.mixture is not None
    assert second.mixture.path == f"{base}/mix/{name}.wav"
    assert second.query.enrolment[0].path == "wsj0/si_et_05/440/440c0203.wv1"
    assert second.conditions == {"speaker": "440", "interferer_speaker": "050", "snr_db": -2.5}
    assert second.clusters == {"speaker": "440", "utterance": "440c0201", "mixture": name}
    assert make(rate="16k", mode="max")[0].sources[0].path == f"wsj0-2mix/wav16k/max/tt/s1/{name}.wav"


def test_extr_asks_for_the_first_voice_at_the_level_of_its_file(make: Make) -> None:
    trials = make("extr")
    assert [trial.trial_id for trial in trials] == NAMES
    assert [clip.path for clip in trials[1].clips()] == [
        f"wsj0-2mix-extr/wav8k/max/tt/{folder}/{NAMES[1]}.wav" for folder in ("s1", "mix", "aux")
    ]
    assert [trial.conditions["snr_db"] for trial in trials] == [2.5, 0.15994]


def test_extr_interferer_is_the_mixture_less_the_target(make: Make, tmp_path: Path) -> None:
    stage = Stage(RATE, FileReader(tmp_path))
    (trial, _) = make("extr")
    base = tmp_path / "wsj0-2mix-extr/wav8k/max/tt"
    mixture, target = (white(seed, 900, base / folder / f"{NAMES[0]}.wav") for seed, folder in ((1, "mix"), (2, "s1")))
    white(3, 500, base / "aux" / f"{NAMES[0]}.wav")
    rendered = stage.render(trial)
    np.testing.assert_array_equal(rendered.mixture * 32768, mixture)
    assert rendered.target is not None
    np.testing.assert_array_equal(rendered.target * 32768, target)
    np.testing.assert_array_equal(rendered.interferers * 32768, [mixture.astype(int) - target])
    assert stage.query(trial, frozenset({QueryKind.ENROLMENT}), RATE, rendered).enrolment[0].shape == (500,)


def test_prepared_from_a_tree_and_wsj0(tree: Path, lists: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSPBENCH_DATA", str(tree / "data"))
    words = [
        "data",
        "prepare",
        "wsj0-2mix",
        "--audio",
        f"wsj0-2mix={tree / 'mixes'}",
        "--audio",
        f"wsj0={tree / 'disc'}",
    ]
    words += [word for role in ("mix", "ref", "aux") for word in ("--list", f"{role}={lists[role]}")]
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (cell,) = [path.name for path in (tree / "data" / "wsj0-2mix").iterdir()]
    task = load_task(f"wsj0-2mix:{cell}")
    for trial in task:
        rendered = task.stage.render(trial)
        assert rendered.target is not None
        total = rendered.target + rendered.interferers[0]
        np.testing.assert_allclose(rendered.mixture - total, 1 / 32768, atol=1e-7)
        query = task.stage.query(trial, frozenset({QueryKind.ENROLMENT}), 16_000, rendered)
        assert query.enrolment[0].shape == (400,), "the first microphone's file"


def test_shortened_sphere_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    header = b"NIST_1A\n   1024\nsample_count -i 9\nsample_rate -i 16000\nchannel_count -i 1\nsample_n_bytes -i 2\n"
    path = tmp_path / "050a0502.wv1"
    path.write_bytes(
        (header + b"sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n").ljust(1024) + b"ajkg\x02" * 9
    )
    for open_it in (audio.read, audio.probe):
        with pytest.raises(
            audio.AudioError, match=r"050a0502\.wv1 is a SPHERE file compressed with shorten.* sph2pipe"
        ):
            open_it(path)


@pytest.mark.parametrize(
    ("role", "old", "new", "message"),
    [
        ("ref", "_050a0502 ", "_050a0509 ", r"ref\.scp: 1 key\(s\) of the mixtures' list are not in it: 050a0501_"),
        ("ref", "/s2/", "/noise/", r"ref\.scp: 1 reference\(s\) not in s1 or s2: "),
        ("ref", "min/tt/s1/050a0501", "min/tt/s1/999a0501", r"ref\.scp: 1 reference\(s\) of another mixture"),
        ("mix", "_050a0502 ", " _050a0502 ", r"mix\.scp: 1 line\(s\) without the 2 fields .*: line 1 has 3 field"),
        ("mix", "050a0501_1.25_440c0201_-1.25.wav", "mixture1.wav", r"1 reference\(s\) of another mixture"),
        ("aux", "/home/somebody/wsj0/si_dt_05_8k/050/", "", r"1 path\(s\) without the two folders above the file"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    make: Make, lists: dict[str, Path], role: str, old: str, new: str, message: str
) -> None:
    lists[role].write_text(lists[role].read_text().replace(old, new, 1))
    with pytest.raises(ListError, match=message):
        make()


def test_rows_of_extr_that_do_not_do_are_refused(make: Make, lists: dict[str, Path]) -> None:
    lists["trials"].write_text(EXTR[0].rpartition(" ")[0])
    with pytest.raises(ListError, match=r"1 line\(s\) without the 5 fields .*: line 1 has 4 field"):
        make("extr")
    lists["trials"].write_text(EXTR[0].replace("-1.25", "quiet"))
    with pytest.raises(ListError, match=r"1 mixture\(s\) not named utterance_level_utterance_level: 050a0501_1.25_"):
        make("extr")


def test_keys_that_come_twice_are_refused(make: Make, lists: dict[str, Path]) -> None:
    lists["mix"].write_text(lists["mix"].read_text() * 2)
    with pytest.raises(ListError, match=r"mix\.scp: 4 key\(s\) come twice"):
        make()
