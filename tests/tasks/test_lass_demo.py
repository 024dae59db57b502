from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from tspbench.errors import AudioError
from tspbench.task import Task, known_tasks, load_task
from tspbench.tasks.lass_demo import FIRST_TEST_SEED
from tspbench.tasks.lass_demo.captions import ANY, CAPTIONS, captions_of
from tspbench.tasks.lass_demo.make_manifest import main
from tspbench.tasks.lass_demo.reader import open_reader
from tspbench.tasks.lass_demo.sounds import SAMPLE_RATE, SOUNDS, kind_of, synthesise
from tspbench.tasks.lass_demo.sounds.canvas import Canvas, add, formant, harmonic, modal, ring
from tspbench.types import Audio, Clip, QueryKind, Trial

DIGEST = "b15f96bfa4cfc1db3958ca67c61a3d7027541c8595a41b8552001894bc259150"
"""Identity of the trial list. A change makes old results incomparable: change it only on purpose."""

CENTROIDS_HZ = {
    ("bird_song", "warbler"): (3231, 4620),
    ("bird_song", "finch"): (3037, 4355),
    ("car_engine", "idling"): (421, 526),
    ("car_engine", "revving"): (421, 645),
    ("church_bell", "great"): (274, 452),
    ("church_bell", "small"): (499, 955),
    ("clock_ticking", "wall"): (1304, 1871),
    ("clock_ticking", "alarm"): (3446, 4763),
    ("crickets", "single"): (4004, 5163),
    ("crickets", "chorus"): (4027, 5143),
    ("dog_bark", "large"): (354, 474),
    ("dog_bark", "small"): (674, 922),
    ("footsteps", "wood"): (296, 417),
    ("footsteps", "gravel"): (3943, 4973),
    ("helicopter", "light"): (444, 571),
    ("helicopter", "heavy"): (363, 471),
    ("keyboard_typing", "mechanical"): (2314, 3225),
    ("keyboard_typing", "laptop"): (522, 709),
    ("rain", "light"): (4511, 6458),
    ("rain", "heavy"): (5599, 7083),
    ("sea_waves", "calm"): (807, 1175),
    ("sea_waves", "rough"): (1254, 1840),
    ("siren", "wail"): (1038, 1356),
    ("siren", "yelp"): (1045, 1348),
    ("siren", "two-tone"): (736, 1055),
    ("telephone", "bell"): (2287, 3110),
    ("telephone", "electronic"): (1674, 2119),
    ("train_horn", "five-chime"): (1311, 1923),
    ("train_horn", "three-chime"): (1325, 1899),
    ("wind", "breeze"): (495, 746),
    ("wind", "howling"): (431, 559),
}
"""Range of the spectral centroid of each kind over 25 seeds, widened by 10 %."""

KINDS = [(name, kind) for name, sound in SOUNDS.items() for kind in sound.kinds]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("lass-demo")


@pytest.fixture(scope="module")
def trials(task: Task) -> list[Trial]:
    return list(task)


def seeds(name: str, kind: str, count: int, first: int = 0) -> list[int]:
    kinds = SOUNDS[name].kinds
    return [first + kinds.index(kind) + i * len(kinds) for i in range(count)]


def centroid(sound: Audio) -> float:
    power = np.abs(np.fft.rfft(sound.astype(np.float64))) ** 2
    return float(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) @ power / power.sum())


def sound_of(path: str) -> tuple[str, str]:
    """Class and kind of a path, parsed without the reader."""
    name, seed = path.split("/")
    return name, kind_of(name, int(seed))


# The declaration and the trial list.


def test_declaration_says_synthetic() -> None:
    info = known_tasks()["lass-demo"]
    assert info.synthetic
    assert info.cluster == "sound"
    assert info.metrics == ("si_sdr", "si_sdr_i", "snr_i", "sdr_i", "wrong_target", "leakage")
    assert "synthetic" in info.summary
    assert info.description.strip().startswith("Synthetic.")


def test_committed_list_is_what_the_script_makes(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made.jsonl"
    monkeypatch.setattr(sys, "argv", ["make_manifest", "--out", str(made)])
    main()
    assert made.read_bytes() == task.trials.path.read_bytes()


def test_list_has_the_committed_identity(task: Task) -> None:
    assert task.digest == DIGEST


def test_header_agrees_with_the_declaration(task: Task) -> None:
    header, info = task.trials.header, task.info
    assert (header.kind, header.sample_rate, header.name) == (info.kind, info.sample_rate, info.name)
    assert (header.cluster, header.synthetic) == (info.cluster, True)


def test_counts_and_balance(trials: list[Trial]) -> None:
    present = [trial for trial in trials if trial.target_present]
    assert len({trial.trial_id for trial in trials}) == len(trials) == 64
    assert len(present) == 60
    assert all(trial.conditions["target_present"] is trial.target_present for trial in trials)
    assert Counter(trial.conditions["class"] for trial in present) == dict.fromkeys(SOUNDS, 4)
    assert Counter(trial.conditions["interferer_class"] for trial in present) == dict.fromkeys(SOUNDS, 4)
    assert set(Counter(trial.clusters["sound"] for trial in present).values()) == {2}


def test_a_target_meets_different_interferers(trials: list[Trial]) -> None:
    pairs = [(trial.conditions["class"], trial.conditions["interferer_class"]) for trial in trials[:60]]
    assert len(set(pairs)) == 60
    assert all(target != other for target, other in pairs)


def test_the_first_half_holds_every_target_sound(trials: list[Trial]) -> None:
    assert len({trial.clusters["sound"] for trial in trials[:30]}) == 30


def test_ratios_spread_over_the_declared_range(trials: list[Trial]) -> None:
    ratios = np.array([trial.mix.snr_db for trial in trials[:60]])
    assert ratios.min() >= -5
    assert ratios.max() <= 5
    counts, _ = np.histogram(ratios, bins=5, range=(-5, 5))
    assert counts.min() >= 5, "drawn evenly, 12 of 60 are expected in each fifth of the range"


def test_no_query_is_a_source_and_all_seeds_are_the_tests_own(trials: list[Trial]) -> None:
    sources = {clip.path for trial in trials for clip in trial.sources}
    queries = [clip.path for trial in trials for clip in (*trial.query.audio, *trial.query.negative_audio)]
    source_seeds = {int(path.split("/")[1]) for path in sources}
    query_seeds = {int(path.split("/")[1]) for path in queries}
    assert len(set(queries)) == len(queries)
    assert not source_seeds & query_seeds
    assert min(source_seeds | query_seeds) >= FIRST_TEST_SEED


def test_queries_describe_the_sounds(trials: list[Trial]) -> None:
    for trial in trials[:60]:
        target, other = (sound_of(source.path) for source in trial.sources)
        query = trial.query
        assert [sound_of(clip.path) for clip in query.audio] == [target] * 2
        assert [sound_of(clip.path) for clip in query.negative_audio] == [other] * 2
        assert query.text == captions_of(*target)[int(trial.conditions["paraphrase"])]
        assert query.negative_text in captions_of(*other)
        assert trial.conditions["class"] == target[0]


def test_absent_trials_ask_for_what_is_not_there(trials: list[Trial]) -> None:
    for trial in trials[60:]:
        asked = trial.conditions["class"]
        heard = [sound_of(source.path)[0] for source in trial.sources]
        assert len({asked, *heard}) == 3
        assert {sound_of(clip.path)[0] for clip in trial.query.audio} == {asked}
        assert [sound_of(clip.path)[0] for clip in trial.query.negative_audio] == heard


def test_every_kind_has_captions_and_none_fits_two_classes() -> None:
    assert {name: {ANY, *sound.kinds} for name, sound in SOUNDS.items()} == {n: set(c) for n, c in CAPTIONS.items()}
    every = [caption for kinds in CAPTIONS.values() for captions in kinds.values() for caption in captions]
    assert len(every) == len(set(every))
    assert all(len(captions_of(name, kind)) >= 5 for name, kind in KINDS)


# Rendering.


def test_mixtures_have_the_ratio_that_is_said(task: Task, trials: list[Trial]) -> None:
    for trial in trials[:60:7]:
        rendered = task.stage.render(trial)
        assert rendered.target is not None
        target, rest = rendered.target.astype(np.float64), rendered.interferers.astype(np.float64).sum(axis=0)
        ratio = 10 * np.log10(np.sum(target**2) / np.sum(rest**2))
        assert ratio == pytest.approx(trial.conditions["snr_db"], abs=1e-3)
        assert np.allclose(rendered.mixture, target + rest, atol=1e-6)
        assert rendered.mixture.shape == (5 * SAMPLE_RATE,)


def test_absent_trials_render_without_a_target(task: Task, trials: list[Trial]) -> None:
    rendered = task.stage.render(trials[-1])
    assert rendered.target is None
    assert rendered.interferers.shape == (2, 5 * SAMPLE_RATE)
    assert np.allclose(rendered.mixture, rendered.interferers.sum(axis=0), atol=1e-6)


def test_queries_can_be_told(task: Task, trials: list[Trial]) -> None:
    kinds = frozenset({QueryKind.TEXT, QueryKind.AUDIO, QueryKind.NEGATIVE_AUDIO})
    query = task.stage.query(trials[0], kinds, 16_000, task.stage.render(trials[0]))
    assert query.text == trials[0].query.text
    assert [len(clip) for clip in (*query.audio, *query.negative_audio)] == [80_000] * 4


def test_all_audio_is_found(task: Task) -> None:
    checked: list[int] = []
    task.check_audio(checked.append)
    assert checked[-1] == 64


# The reader.


def test_reader_cuts_the_stretch() -> None:
    reader = open_reader()
    whole, rate = reader.read(Clip("rain/17"))
    part, _ = reader.read(Clip("rain/17", start_s=1.5, duration_s=0.25))
    tail, _ = reader.read(Clip("rain/17", start_s=4.9, duration_s=3.0))
    assert (rate, whole.shape, whole.dtype) == (32_000, (160_000,), np.float32)
    assert np.array_equal(part, whole[48_000:56_000])
    assert np.array_equal(tail, whole[-3_200:])


def test_reader_survives_a_caller_that_writes_into_its_samples() -> None:
    reader = open_reader()
    first, _ = reader.read(Clip("siren/3"))
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(reader.read(Clip("siren/3"))[0], kept)


def test_reader_travels_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(open_reader()))
    assert np.array_equal(copy.read(Clip("wind/5"))[0], open_reader().read(Clip("wind/5"))[0])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (Clip("rian/3"), "no class of sound called 'rian'. Did you mean rain?"),
        (Clip("bell/3"), "Did you mean church_bell?"),
        (Clip("rain"), "Write class/seed, such as rain/1000017"),
        (Clip("rain/-1"), "Write class/seed"),
        (Clip("rain/1.wav"), "Write class/seed"),
        (Clip("../rain/1"), "Write class/seed"),
        (Clip("rain/1", start_s=5.0), "lasts 5.0 s, but the trial starts reading at 5.0 s"),
    ],
)
def test_reader_refuses(clip: Clip, message: str) -> None:
    with pytest.raises(AudioError) as read:
        open_reader().read(clip)
    with pytest.raises(AudioError) as check:
        open_reader().check(clip)
    assert message in str(read.value)
    assert str(check.value) == str(read.value)


@given(st.text(max_size=20))
def test_reader_refuses_wild_paths_in_words(path: str) -> None:
    with pytest.raises(AudioError, match=r"not a synthetic sound|no class of sound"):
        open_reader().check(Clip("x" + path))


# The sounds.


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_sounds_are_well_formed(name: str, kind: str) -> None:
    for seed in seeds(name, kind, 3):
        sound = synthesise(name, seed)
        seconds = np.sqrt(np.mean(sound.astype(np.float64).reshape(5, -1) ** 2, axis=1))
        level = np.sqrt(np.mean(seconds**2))
        assert (sound.shape, sound.dtype) == ((160_000,), np.float32)
        assert np.isfinite(sound).all()
        assert 0.02 < level < 0.13
        assert np.abs(sound).max() <= 0.9001
        assert abs(np.mean(sound, dtype=np.float64)) < 1e-8
        assert max(np.abs(sound[:5]).max(), np.abs(sound[-5:]).max()) < 2e-3, "a click at an end"
        assert seconds.min() > level * 10 ** (-12 / 20), "nearly silent for a second"
        low, high = CENTROIDS_HZ[name, kind]
        assert low < centroid(sound) < high


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_seeds_vary_a_sound(name: str, kind: str) -> None:
    sounds = [synthesise(name, seed) for seed in seeds(name, kind, 3)]
    for one, other in pairwise(sounds):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.3


def test_examples_tell_the_class() -> None:
    """The nearest neighbour, by mean log spectrum, of nearly every sound is of its own class."""
    names, profiles = [], []
    for name, kind in KINDS:
        for seed in seeds(name, kind, 3, first=600):
            _, density = signal.welch(synthesise(name, seed).astype(np.float64), SAMPLE_RATE, nperseg=2048)
            bands = np.add.reduceat(density, np.unique(np.geomspace(2, 1000, 40).astype(int)))
            profile = np.log(bands + bands.max() * 1e-4)
            profiles.append(profile - profile.mean())
            names.append(name)
    gaps = np.linalg.norm(np.array(profiles)[:, None] - np.array(profiles), axis=2)
    np.fill_diagonal(gaps, np.inf)
    nearest = [names[i] for i in gaps.argmin(axis=1)]
    assert np.mean([found == name for found, name in zip(nearest, names, strict=True)]) > 0.95


SOME = [("rain", 5), ("church_bell", 8), ("dog_bark", 13), ("siren", 1_000_001)]


def some_digests() -> list[str]:
    return [hashlib.sha256(synthesise(*key).tobytes()).hexdigest() for key in SOME]


def test_same_samples_again_and_in_another_process() -> None:
    code = (
        "import hashlib; from tspbench.tasks.lass_demo.sounds import synthesise\n"
        f"print(*[hashlib.sha256(synthesise(*key).tobytes()).hexdigest() for key in reversed({SOME})])"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    here = some_digests()
    assert here == some_digests()
    assert other.stdout.split() == here[::-1]


def test_other_lengths_and_rates() -> None:
    for name in SOUNDS:
        sound = synthesise(name, 1, seconds=1.7, sample_rate=44_100)
        assert sound.shape == (74_970,)
        assert np.isfinite(sound).all()
        assert 0.005 < np.sqrt(np.mean(sound**2)) < 0.13


@pytest.mark.parametrize("wrong", [{"sample_rate": 16_000}, {"seconds": 0.5}, {"seed": -1}])
def test_refuses_what_recipes_cannot_do(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Needs a rate >= 32000, seconds >= 1 and a seed >= 0"):
        synthesise(**{"name": "rain", "seed": 1} | wrong)


# What the recipes claim, measured in their sounds.


def loudest_rate(sound: Audio, low: float, high: float) -> float:
    """Strongest frequency in Hz of a sound's envelope."""
    envelope = signal.decimate(np.abs(sound.astype(np.float64)), 10)
    envelope = signal.decimate(envelope - envelope.mean(), 10)
    rates = np.fft.rfftfreq(1 << 14, 100 / SAMPLE_RATE)
    power = np.abs(np.fft.rfft(envelope, 1 << 14))
    return float(rates[np.where((rates > low) & (rates < high), power, 0).argmax()])


@pytest.mark.parametrize(
    ("name", "kind", "hz", "spread"),
    [
        ("helicopter", "light", 17.0, 0.06),
        ("helicopter", "heavy", 11.0, 0.06),
        ("telephone", "bell", 42.0, 0.1),
        ("clock_ticking", "alarm", 4.0, 0.08),
    ],
)
def test_rhythms(name: str, kind: str, hz: float, spread: float) -> None:
    for seed in seeds(name, kind, 3):
        assert loudest_rate(synthesise(name, seed), 0.6 * hz, 1.5 * hz) == pytest.approx(hz, rel=spread)


def test_bell_partials_are_those_of_a_minor_third_bell() -> None:
    for seed in seeds("church_bell", "small", 3):
        sound = synthesise("church_bell", seed).astype(np.float64)
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        peaks = signal.find_peaks(power, height=power.max() / 30, distance=100)[0] / 5.0
        hum = peaks[0]
        for ratio in (2.0, 2.4, 3.0, 4.0):
            assert np.abs(peaks / hum - ratio).min() < 0.02 * ratio


def pitches(sound: Audio) -> Audio:
    """Pitch in Hz of frames of 32 ms between 400 and 1450 Hz, by autocorrelation."""
    frames = sound[: len(sound) // 1024 * 1024].reshape(-1, 1024).astype(np.float64)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2048)) ** 2)
    return (SAMPLE_RATE / (22 + correlation[:, 22:80].argmax(axis=1))).astype(np.float32)


def test_siren_sweeps_between_its_ends() -> None:
    for seed in seeds("siren", "wail", 3):
        heard = pitches(synthesise("siren", seed))
        assert np.percentile(heard, 2) == pytest.approx(600, rel=0.07)
        assert heard.max() == pytest.approx(1320, rel=0.07)
        assert 700 < np.median(heard) < 1100


def test_two_tone_siren_keeps_to_two_notes_a_fourth_apart() -> None:
    for seed in seeds("siren", "two-tone", 3):
        heard = pitches(synthesise("siren", seed))
        low, high = heard[heard < 500], heard[heard >= 500]
        assert min(len(low), len(high)) > 0.3 * len(heard)
        assert np.median(low) == pytest.approx(435, rel=0.03)
        assert np.median(high) / np.median(low) == pytest.approx(4 / 3, rel=0.03)


# The workshop, against closed forms.


def canvas(seconds: float = 2.0) -> Canvas:
    return Canvas(np.random.Generator(np.random.PCG64(1)), SAMPLE_RATE, int(seconds * SAMPLE_RATE))


def test_modal_is_a_sum_of_damped_sines() -> None:
    modes = [(440.0, 1.0, 0.3), (1234.5, 0.5, 0.02)]
    time = np.arange(7001) / SAMPLE_RATE
    wanted = sum(gain * np.exp(-time / decay) * np.sin(2 * np.pi * hz * time) for hz, gain, decay in modes)
    assert np.allclose(modal(modes, 7001, SAMPLE_RATE), wanted, atol=1e-10)


def test_ring_is_the_same_damped_sine() -> None:
    pulses = np.zeros(5000)
    pulses[0] = 1
    assert np.allclose(
        ring(pulses, 700.0, 0.05, SAMPLE_RATE), modal([(700.0, 1.0, 0.05)], 5000, SAMPLE_RATE), atol=1e-9
    )


def test_formant_has_unit_gain_at_its_centre_and_3_db_less_at_its_edges() -> None:
    pulses = np.zeros(1 << 15)
    pulses[0] = 1
    response = np.abs(np.fft.rfft(formant(pulses, 1000.0, 40.0, 32_768)))
    assert response[1000] == pytest.approx(1, rel=1e-6)
    assert 20 * np.log10(response[[980, 1020]]) == pytest.approx([-3.01, -3.01], abs=0.15)


def test_harmonic_is_a_sum_of_sines() -> None:
    cycles = np.linspace(-2, 7, 999)
    wanted = 0.8 * np.sin(2 * np.pi * cycles) + 0.3 * np.sin(6 * np.pi * cycles)
    assert np.allclose(harmonic(cycles, [0.8, 0.0, 0.3]), wanted, atol=1e-3)


def test_noise_has_the_spectrum_asked_for() -> None:
    noise = canvas(8.0).noise([100, 1000, 10_000], [0, -20, -10])
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1)
    hz, density = signal.welch(noise, SAMPLE_RATE, nperseg=4096)
    levels = [10 * np.log10(density[np.abs(hz / centre - 1) < 0.04].mean()) for centre in (300, 1000, 3162, 10_000)]
    wanted = np.array([-20 * np.log10(3), -20, -15, -10])
    assert np.diff(levels) == pytest.approx(np.diff(wanted), abs=0.8)
    kurtosis = np.mean(noise**4)
    assert kurtosis == pytest.approx(3, abs=0.15), "Gaussian"


def test_curve_stays_between_its_bounds_without_jumps() -> None:
    curve = canvas().curve(0.25, 1.0, 4)
    assert curve.min() >= 0.25
    assert curve.max() <= 1.0
    assert np.abs(np.diff(curve)).max() < 1.5 * 0.75 * 4 / SAMPLE_RATE * 1.01


def test_add_drops_what_hangs_over() -> None:
    out = np.zeros(5)
    add(out, 3, np.ones(4))
    add(out, 9, np.ones(4))
    assert out.tolist() == [0, 0, 0, 1, 1]
