"""The trainer of gen-tse: what it prepares, and that its losses fall on real speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("_webrtcvad")
pytest.importorskip("regex")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.gen_tse import checkpoint, model, speaker, train  # noqa: E402
from tspbench.systems.gen_tse.config import reduced  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.training.speakers import Speech, held_back_trials, speaker_mixer  # noqa: E402

RATE = 16_000
REAL = Path(__file__).parents[4] / "shared" / "data" / "librispeech.csv"


@pytest.fixture
def speech(tmp_path: Path) -> Speech:
    """Three speakers, four utterances each, of 0.5 to 2 s; one without a transcript."""
    lines = ["file,speaker,text"]
    for voice in range(3):
        for take in range(4):
            name = f"{voice}-{take}.wav"
            soundfile.write(tmp_path / name, 0.1 * noise(name, (8000 * (take + 1),), 1), RATE, subtype="FLOAT")
            lines.append(f"{name},s{voice},{'' if take == 1 else f'words {take}'}")
    (tmp_path / "speech.csv").write_text("\n".join(lines) + "\n")
    return Speech.read(tmp_path / "speech.csv")


def encoder(config: Any) -> Any:
    return speaker.encoder(config.prompt, None, torch.device("cpu"))


def test_the_last_utterances_of_each_speaker_are_held_back(speech: Speech) -> None:
    trained, held_back = speech.split(1)
    assert [path.name for path in held_back.paths] == ["0-3.wav", "1-3.wav", "2-3.wav"]
    assert set(trained.paths) | set(held_back.paths) == set(speech.paths)
    assert trained.speakers.count("s1") == 3
    with pytest.raises(UsageError, match="5 are needed"):
        speech.split(3)


def test_enrolments_are_other_utterances_of_the_same_speaker(speech: Speech) -> None:
    mixer = speaker_mixer(speech, RATE, 1.0, 0.5, 6, 0)
    clips = [mixer.mixer.clips[place] for place in range(len(speech.paths))]

    def place(stretch: Any) -> int:
        return next(i for i, clip in enumerate(clips) if any(_begins(clip, s, stretch) for s in starts(clip, stretch)))

    for step in range(3):
        told = mixer(step)
        assert told.enrolment.shape == (6, RATE // 2)
        for clip, enrolment in zip(told.clips.tolist(), told.enrolment.numpy(), strict=True):
            source = place(enrolment)
            assert source != clip
            assert speech.speakers[source] == speech.speakers[clip]


def _begins(clip: Any, start: int, stretch: Any) -> bool:
    return np.array_equal(stretch[:50], clip[start : start + 50])


def starts(clip: Any, stretch: Any) -> Any:
    return np.flatnonzero(clip == stretch[0])


def test_mixtures_are_within_5_db(speech: Speech) -> None:
    told = speaker_mixer(speech, RATE, 0.5, 0.5, 36, 0)(0)
    ratio = 10 * torch.log10(told.target.square().mean(1) / (told.mixture - told.target).square().mean(1))
    assert ratio.abs().max() < 5.01
    assert ratio.std() > 1.5


def test_words_are_taught_where_they_are_whole(speech: Speech) -> None:
    config = reduced()
    told = speaker_mixer(speech, RATE, 1.0, config.prompt.seconds, 12, 0)(0)
    mixture, enrolment, vector, mel, prefix, text = train.Prepare(speech, config, encoder(config), None)(told)
    assert mixture.shape == (12, 80, 100)
    assert enrolment.shape == (12, 80, 2 * config.prompt.frames)
    assert vector.shape == (12, 256)
    assert mel.shape == (12, 80, 22050 // 256)
    assert prefix.tolist() == [50258, 50259, 50359, 50363]
    for clip, row in zip(told.clips.tolist(), text.tolist(), strict=True):
        whole = clip % 4 == 0  # 0.5 s; of the rest one has no words, and two are longer than 1 s
        assert (row[-1] == 50257) == whole
        assert whole or set(row) == {model.IGNORED}


def test_a_training_leaves_a_checkpoint_and_goes_on(speech: Speech, tmp_path: Path) -> None:
    config = replace(reduced(), freeze_whisper=True)
    settings = train.Settings(2, 1, 1, replace(train.RECIPE, batch=2, seconds=1.0))
    trainer = train.fit(speech, tmp_path / "out", config, settings, encoder(config))
    assert trainer.step == 2
    found = checkpoint.load(tmp_path / "out" / "best.pt")
    assert found.config == config
    again = train.fit(speech, tmp_path / "out", config, settings, encoder(config))
    assert again.step == 2
    with pytest.raises(UsageError, match="is of another training"):
        train.fit(speech, tmp_path / "out", replace(config, text_branch=False), settings, encoder(config))
    with pytest.raises(UsageError, match="hears 6 s at once"):
        train.fit(speech, tmp_path, config, replace(settings, recipe=replace(settings.recipe, seconds=7.0)), None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_losses_fall_on_real_speech(tmp_path: Path) -> None:
    """On held-back utterances of seen speakers, at little size: that the trainer works, not how good the method is."""
    if not REAL.exists():
        pytest.skip("needs ../shared/data (real speech)")
    speech, config = Speech.read(REAL), reduced()
    told = encoder(config)
    settings = train.Settings(60, 2, 30, replace(train.RECIPE, batch=4, seconds=6.0, lr=1e-3))
    train_part, held_back = speech.split(2)
    batch = held_back_trials(held_back, train_part, RATE, 6.0, config.prompt.seconds)
    trials = train.Prepare(held_back, config, told, None)(batch)
    torch.manual_seed(0)
    before = train.held_back_losses(model.build(config).eval(), trials)
    trainer = train.fit(speech, tmp_path, config, settings, told)
    after = train.held_back_losses(trainer.model.eval(), trials)
    assert after[0] < 0.8 * before[0]
    assert after[1] < 0.6 * before[1]
