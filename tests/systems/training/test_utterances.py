"""Mixtures of whole utterances: loudness by the standard, levels and turns as LibriMix."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.training import loudness, utterances  # noqa: E402
from tspbench.systems.training.losses import cross_entropy  # noqa: E402
from tspbench.systems.training.mixing import Clips  # noqa: E402
from tspbench.systems.training.utterances import UtteranceMixer  # noqa: E402

RATE = 16_000
SPEAKERS = ("a", "a", "b", "b", "c")


def tone(seconds: float, level_db: float, rate: int = 48_000) -> Any:
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * np.arange(round(seconds * rate)) / rate)).astype("f4")


def test_filters_are_the_standards() -> None:
    """ITU-R BS.1770-4, tables 1 and 2."""
    shelf, high_pass = loudness._shelf(48_000), loudness._high_pass(48_000)
    assert shelf[0] == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-9)
    assert shelf[1] == pytest.approx([1, -1.69065929318241, 0.73248077421585], abs=1e-9)
    assert high_pass[1] == pytest.approx([1, -1.99004745483398, 0.99007225036621], abs=1e-9)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_loudness_of_a_tone_and_what_the_gates_leave_out(rate: int) -> None:
    """A full-scale sine of 997 Hz has -3.01 LUFS; then EBU Tech 3341, case 3, in one channel."""
    assert loudness.lufs(tone(3, 0, rate), rate) == pytest.approx(-3.01, abs=0.05)
    parts = [tone(10, -36, rate), tone(60, -23, rate), tone(10, -36, rate)]
    assert loudness.lufs(np.concatenate(parts), rate) == pytest.approx(-26.0, abs=0.1)
    assert loudness.lufs(tone(0.1, -20, rate), rate) == pytest.approx(-23, abs=1)
    assert loudness.lufs(np.zeros(rate, np.float32), rate) == -math.inf


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """Five recordings of noise of 1 to 2 s."""
    paths = [tmp_path / f"{place}.wav" for place in range(len(SPEAKERS))]
    for place, path in enumerate(paths):
        samples = 0.02 * (place + 1) * noise(path.name, (RATE + 4000 * place,), 1)
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return Clips(paths, RATE)


def test_mixtures_are_of_two_speakers_at_librimixs_levels(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, float]] = []
    levelled = utterances.levelled

    def noted(samples: Any, *arguments: Any) -> Any:
        found = levelled(samples, *arguments)
        drawn.append((arguments[-1].stem, loudness.lufs(found, RATE)))
        return found

    monkeypatch.setattr(utterances, "levelled", noted)
    for step in range(8):
        drawn.clear()
        (mixed,) = UtteranceMixer(clips, SPEAKERS, 1, 0, noise=clips)(step)
        (target, level), (other, other_level), (_, noise_level) = drawn
        assert int(target) == mixed.target
        assert SPEAKERS[int(other)] != SPEAKERS[mixed.target]
        assert all(-33.01 < each < -24.99 for each in (level, other_level))
        assert -38.01 < noise_level < -29.99
        assert len(mixed.mixture) == max(len(clips[int(target)]), len(clips[int(other)]))
        assert SPEAKERS[mixed.enrolment] == SPEAKERS[mixed.target]
        assert mixed.enrolment != mixed.target or SPEAKERS[mixed.target] == "c"


def test_a_batch_depends_on_its_step_alone_and_all_take_turns(clips: Clips) -> None:
    mixer = UtteranceMixer(clips, SPEAKERS, 2, 5)
    steps = [mixer(step) for step in range(5)]
    assert sorted(each.target for batch in steps for each in batch) == sorted([*range(5), *range(5)])
    again = UtteranceMixer(clips, SPEAKERS, 2, 5)(3)
    assert all(np.array_equal(a.mixture, b.mixture) for a, b in zip(again, steps[3], strict=True))
    assert not np.array_equal(UtteranceMixer(clips, SPEAKERS, 2, 6)(3)[0].mixture, steps[3][0].mixture)


def test_what_would_clip_is_turned_down_and_silence_refused() -> None:
    rng, click = np.random.default_rng(0), np.zeros(RATE, np.float32)
    click[::8000] = 0.5
    found = utterances.levelled(click, (-25.0, -25.0), rng, RATE, Path("x.wav"))
    assert np.abs(found).max() == pytest.approx(0.9)
    with pytest.raises(UsageError, match=r"x\.wav is silent"):
        utterances.levelled(0 * click, (-25.0, -25.0), rng, RATE, Path("x.wav"))


def test_one_speaker_is_too_few(clips: Clips) -> None:
    with pytest.raises(UsageError, match="two speakers at least"):
        UtteranceMixer(clips, ("a",) * 5, 1, 0)


def test_cross_entropy_is_the_mean_over_what_is_asked_for() -> None:
    logits = torch.tensor([[[0.0, math.log(3)], [5.0, 5.0]], [[math.log(7), 0.0], [9.0, -9.0]]])
    tokens = torch.tensor([[1, 0], [0, -100]])
    assert cross_entropy(logits, tokens).item() == pytest.approx(-math.log(0.75 * 0.5 * 0.875) / 3, abs=1e-6)
