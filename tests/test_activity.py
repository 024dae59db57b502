"""The activity mask: closed forms, the published formula, librosa's activity, and what a mask does not depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tspbench import audio
from tspbench.activity import ORACLE, by_energy, by_turns, fitted, frames_of, mask_of, of_voices, origins, with_cue
from tspbench.errors import AudioError
from tspbench.stage import FileReader, Stage
from tspbench.types import Activity, Clip, Mix, QueryKind, QueryRecipe, Role, Source, Trial, Turn

RATE = 16_000
FRAME = RATE // 50
ENERGY = Activity("energy")
KINDS = frozenset({QueryKind.ACTIVITY_MASK})
SILENCE, TARGET, OTHER, OVERLAP = range(4)


def gated(pattern: str, hz: float = 440.0, rate: int = RATE) -> np.ndarray:
    """A tone that is on in frames marked #, as float32."""
    time = np.arange(len(pattern) * rate // 50)
    on = np.array([mark == "#" for mark in pattern])[time * 50 // rate]
    return (0.3 * on * np.sin(2 * np.pi * hz * time / rate)).astype(np.float32)


def shares(pattern: str) -> np.ndarray:
    return np.array([float(mark == "#") for mark in pattern])


def published(active: np.ndarray, target: int) -> np.ndarray:
    """The four products, frame by frame and voice by voice, written out as loops."""
    rows = np.zeros((4, active.shape[1]))
    for frame, column in enumerate(active.T):
        nobody = 1.0
        nobody_else = 1.0
        for voice, value in enumerate(column):
            nobody *= 1 - value
            nobody_else *= 1 if voice == target else 1 - value
        alone = column[target] * nobody_else
        rows[:, frame] = nobody, alone, (1 - column[target]) * (1 - nobody_else), column[target] - alone
    return rows


@given(st.integers(1, 4), st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_four_classes_are_the_published_products(voices: int, frames: int, random: object) -> None:
    active = np.random.default_rng(random.getrandbits(32)).random((voices, frames))
    mask = of_voices(active[0], active[1:])
    np.testing.assert_allclose(mask, published(active, 0), atol=1e-6)
    np.testing.assert_allclose(mask.sum(axis=0), 1, atol=1e-6)


def test_two_voices_that_are_on_and_off_are_one_class_a_frame() -> None:
    mask = of_voices(shares("..##"), np.array([shares(".#.#")]))
    np.testing.assert_array_equal(mask, np.eye(4)[[SILENCE, OTHER, TARGET, OVERLAP]].T)


@pytest.mark.parametrize("rate", [8_000, 16_000, 11_025, 44_100])
def test_a_gated_tone_is_active_where_it_is_on(rate: int) -> None:
    pattern = "....######...........#####..."
    np.testing.assert_array_equal(by_energy(gated(pattern, rate=rate), rate, pause_s=0.0), shares(pattern))


@pytest.mark.parametrize(("pause_s", "bridged"), [(0.0, "##..##....##"), (0.04, "######....##"), (0.2, "############")])
def test_pauses_up_to_the_limit_count_as_speech(pause_s: float, bridged: str) -> None:
    np.testing.assert_array_equal(by_energy(gated("##..##....##"), RATE, pause_s=pause_s), shares(bridged))


def test_the_threshold_counts_from_the_loudest_frame() -> None:
    steps = np.concatenate([10 ** (level / 20) * gated("##") for level in (0, -29.9, -30.1, -10)])
    np.testing.assert_array_equal(by_energy(steps, RATE, pause_s=0.0), shares("####..##"))
    np.testing.assert_array_equal(by_energy(steps, RATE, -20, pause_s=0.0), shares("##....##"))


def test_activity_is_that_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(4)
    level = np.repeat(rng.uniform(-60, 0, 200), FRAME)
    sound = (10 ** (level / 20) * rng.standard_normal(len(level))).astype(np.float32)
    power = librosa.feature.rms(y=sound, frame_length=FRAME, hop_length=FRAME, center=False)[0] ** 2
    expected = librosa.power_to_db(power, ref=np.max, top_db=None) >= -30
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(by_energy(sound, RATE, -30, pause_s=0.0), expected)


def test_silence_and_nothing_are_never_active() -> None:
    assert not by_energy(np.zeros(FRAME * 3 + 1, np.float32), RATE).any()
    assert by_energy(np.zeros(0, np.float32), RATE).shape == (0,)


@given(st.integers(0, 10**6), st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]))
def test_every_frame_begun_counts(samples: int, rate: int) -> None:
    frames = frames_of(samples, rate)
    assert (frames - 1) * rate < samples * 50 <= frames * rate or frames == samples == 0


PATTERNS = st.text("#.", min_size=1, max_size=40)


@given(PATTERNS, st.integers(-12, 12))
def test_gain_does_not_matter(pattern: str, octaves: int) -> None:
    tone = gated(pattern)
    np.testing.assert_array_equal(by_energy(tone, RATE), by_energy(tone * np.float32(2.0**octaves), RATE))


@given(PATTERNS, st.integers(0, 9), st.integers(0, 9))
def test_an_offset_moves_the_activity(pattern: str, before: int, after: int) -> None:
    padded = np.pad(gated(pattern), (before * FRAME, after * FRAME))
    np.testing.assert_array_equal(by_energy(padded, RATE), np.pad(by_energy(gated(pattern), RATE), (before, after)))


def test_turns_cover_shares_of_frames() -> None:
    turns = [Turn(0.01, 0.03, "a"), Turn(0.03, 0.02, "a"), Turn(0.1, 9.0, "a")]
    np.testing.assert_allclose(by_turns(turns, 7), [0.5, 1, 0.5, 0, 0, 1, 1], atol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 60)), max_size=6))
def test_turns_are_those_of_samples(stretches: list[tuple[int, int]]) -> None:
    """DiCoW's way: activity of every sample (here a tenth of a frame), averaged over the frame."""
    fine = np.zeros(100)
    for start, length in stretches:
        fine[start : start + length] = 1
    turns = [Turn(start / 500, length / 500, "a") for start, length in stretches]
    np.testing.assert_allclose(by_turns(turns, 10), fine.reshape(10, 10).mean(axis=1), atol=1e-9)


def test_a_mask_is_continued_by_silence() -> None:
    mask = of_voices(shares("##"), np.zeros((0, 2)))
    np.testing.assert_array_equal(fitted(mask, 3), np.float32([[0, 0, 1], [1, 1, 0], [0, 0, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(fitted(mask, 1), mask[:, :1])


# -- of whole trials -----------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    for name, pattern, hz in (("a", "###...........####", 300), ("b", ".....#######......", 900), ("n", "#" * 18, 50)):
        soundfile.write(tmp_path / f"{name}.wav", gated(pattern, hz), RATE, subtype="FLOAT")
    return Stage(RATE, FileReader(tmp_path))


def classes(stage: Stage, trial: Trial, rate: int = RATE) -> np.ndarray:
    mask = stage.query(trial, KINDS, rate, stage.render(trial)).activity_mask
    assert mask is not None
    assert mask.dtype == np.float32
    return mask


def trial(*sources: Source, activity: Activity = ENERGY, **mix: object) -> Trial:
    return Trial("t", sources, Mix(length="max", **mix), QueryRecipe(activity_mask=activity))


A, B = Source("a.wav", role=Role.TARGET), Source("b.wav")
PLAIN = "111" + "00" + "2222222" + "00" + "1111"
LATE = "111" + "00000000000" + "1" + "333" + "2222" + "000000"
"""Classes by number: a alone, b alone, both."""


def said(stage: Stage, asked: Trial, rate: int = RATE) -> str:
    mask = classes(stage, asked, rate)
    assert set(np.unique(mask)) <= {0, 1}
    return "".join(map(str, mask.argmax(axis=0)))


def test_the_mask_of_a_mixture_follows_roles_and_offsets(stage: Stage) -> None:
    assert said(stage, trial(A, B)) == PLAIN
    assert said(stage, trial(B, A)) == PLAIN
    assert said(stage, trial(A, replace(B, offset_s=0.2))) == LATE
    swapped = trial(replace(A, role=Role.INTERFERER), replace(B, role=Role.TARGET))
    assert said(stage, swapped) == PLAIN.translate(str.maketrans("12", "21"))


@pytest.mark.parametrize("mix", [{"snr_db": -20.0}, {"snr_db": 20.0}, {"rounding": "pcm16"}, {"precision": "float32"}])
def test_the_ratio_and_the_rule_of_mixing_do_not_matter(stage: Stage, mix: dict[str, object]) -> None:
    assert said(stage, trial(A, B, **mix)) == PLAIN
    assert said(stage, trial(replace(A, gain=0.01), B, **mix)) == PLAIN


def test_noise_is_nobody(stage: Stage) -> None:
    assert said(stage, trial(A, Source("n.wav", role=Role.NOISE))) == PLAIN.replace("2", "0")
    assert said(stage, trial(A, Source("n.wav", role=Role.NOISE), B)) == PLAIN


def test_an_absent_target_is_never_active(stage: Stage) -> None:
    assert said(stage, trial(B)) == PLAIN.replace("1", "0")


def test_what_a_recorded_mixture_holds_besides_the_target_is_somebody(stage: Stage) -> None:
    root = stage.reader.root
    both = [soundfile.read(root / f"{name}.wav", dtype="float32")[0] for name in "ab"]
    soundfile.write(root / "mixed.wav", sum(both), RATE, subtype="FLOAT")
    assert said(stage, replace(trial(A), mixture=Clip("mixed.wav"))) == PLAIN


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100])
def test_a_system_at_another_rate_counts_as_many_frames(stage: Stage, rate: int) -> None:
    asked = trial(A, B)
    rendered = stage.render(asked)
    heard = audio.resample(rendered.mixture, RATE, rate)
    found = said(stage, asked, rate)
    assert len(found) == frames_of(len(heard), rate)
    assert found[: len(PLAIN)] == PLAIN


def test_turns_are_taken_as_they_are_given(stage: Stage) -> None:
    turns = (Turn(0.0, 0.06, "anna"), Turn(0.04, 0.05, "otto"), Turn(0.05, 0.03, "uwe"), Turn(5.0, 1.0, "anna"))
    mask = classes(stage, trial(A, B, activity=Activity("turns", turns=turns, target="anna")))
    active = np.zeros((3, 18))
    active[0, :3] = 1
    active[1, 2:5] = 1, 1, 0.5
    active[2, 2:4] = 0.5, 1
    np.testing.assert_allclose(mask, published(active, 0), atol=1e-6)
    nobody = classes(stage, trial(A, B, activity=Activity("turns", turns=turns)))
    assert not nobody[[TARGET, OVERLAP]].any()


def ready(stage: Stage, mask: object) -> Trial:
    np.save(stage.reader.root / "mask.npy", mask)
    return trial(A, B, activity=Activity("file", file=Clip("mask.npy"), origin="a diariser"))


@pytest.mark.parametrize(("frames", "expected"), [(18, "3" * 18), (17, "3" * 17 + "0"), (19, "3" * 18)])
def test_a_ready_mask_is_read_and_fitted_by_a_frame(stage: Stage, frames: int, expected: str) -> None:
    asked = ready(stage, np.eye(4)[:, [OVERLAP] * frames])
    assert said(stage, asked) == expected
    stage.check(asked.query.activity_mask.file, asked.query)


def test_a_mask_of_another_mixture_is_refused(stage: Stage) -> None:
    asked = ready(stage, np.eye(4)[:, [0] * 25])
    with pytest.raises(AudioError, match=r"mask\.npy holds 25 frames, but the mixture has 18 at 50 frames per second"):
        classes(stage, asked)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.zeros(18), r"shape \(18,\); an activity mask has shape \(4, frames\): silence, target"),
        (np.eye(4)[:, [0] * 18].T, r"shape \(18, 4\)"),
        (np.full((4, 18), 0.5), "from 0 to 1 and adding up to 1"),
        (np.full((4, 18), np.nan), "from 0 to 1"),
        (np.array([[2.0], [-1.0], [0.0], [0.0]]), "from 0 to 1"),
        (np.array(["x"]), "cannot be read as a .npy mask"),
    ],
)
def test_what_is_no_mask_is_found_before_the_run(stage: Stage, mask: object, said: str) -> None:
    asked = ready(stage, mask)
    with pytest.raises(AudioError, match=said):
        stage.check(asked.query.activity_mask.file, asked.query)


def test_only_what_is_declared_and_offered_is_made(stage: Stage) -> None:
    asked = trial(A, B)
    assert stage.query(asked, frozenset({QueryKind.TEXT}), RATE, stage.render(asked)).activity_mask is None
    bare = replace(asked, query=QueryRecipe(text="x"))
    assert mask_of(bare, stage.render(bare), 18, None) is None


def test_the_option_cue_offers_a_mask_alone_or_besides() -> None:
    voice = QueryRecipe(enrolment=(Clip("v.wav"),))
    assert with_cue(voice, "activity") == QueryRecipe(activity_mask=ENERGY)
    assert with_cue(voice, "enrolment+activity") == replace(voice, activity_mask=ENERGY)
    assert with_cue(voice, "enrolment") is with_cue(voice, "") is voice


def test_the_record_says_where_masks_come_from() -> None:
    given = [Activity("energy"), Activity("turns", origin="pyannote 3.1"), Activity("file", file=Clip("m.npy"))]
    assert origins(QueryRecipe(activity_mask=one) for one in [*given, None]) == [
        ORACLE,
        "who speaks when, given with the trials: ?",
        "who speaks when, given with the trials: pyannote 3.1",
    ]
