"""Training a TD-SpeakerBeam of little size."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

torch = pytest.importorskip("torch")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.td_speakerbeam import checkpoint, model, train  # noqa: E402
from tspbench.systems.training.speakers import Speech, Told  # noqa: E402

REAL = Path(__file__).parents[4] / "shared" / "data" / "librispeech.csv"


@pytest.fixture
def speech(tmp_path: Path) -> Speech:
    for voice in range(2):
        (tmp_path / "speech" / f"s{voice}").mkdir(parents=True)
        for take in range(3):
            samples = 0.1 * noise(f"{voice} {take}", (8000,), 1)
            soundfile.write(tmp_path / "speech" / f"s{voice}" / f"{take}.wav", samples, 8000, subtype="FLOAT")
    return Speech.read(tmp_path / "speech")


def test_a_training_leaves_a_checkpoint_and_goes_on(speech: Speech, tmp_path: Path) -> None:
    settings = train.Settings("small", steps=2, batch=2, seconds=0.5, held_back=1, every=1)
    trainer = train.fit(speech, tmp_path / "out", settings)
    assert trainer.step == train.fit(speech, tmp_path / "out", settings).step == 2
    assert trainer.recipe.loss == "negative_si_sdr"
    assert (trainer.recipe.optimiser, trainer.recipe.lr, trainer.recipe.clip) == ("Adam", 1e-3, 5.0)
    path = tmp_path / "out" / "last.pt"
    found = checkpoint.load(checkpoint.read(path), path)
    assert found.config == train.SMALL
    state = trainer.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.state_dict().items())


def test_improvement_is_in_decibels_over_the_mixture() -> None:
    target, other = torch.from_numpy(noise("x", (2, 1, 8000), 0))
    told = Told(target + other, target, target, torch.zeros(1))
    assert train.improvement(lambda mixture, enrolment: mixture, told) == pytest.approx(0)
    better = train.improvement(lambda mixture, enrolment: enrolment + 0.1 * other, told)
    assert better == pytest.approx(20, abs=0.3)


def test_settings_that_make_no_sense(speech: Speech, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be more than 0"):
        train.fit(speech, tmp_path, train.Settings("small", steps=0))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_beats_the_mixture_on_held_back_trials_of_seen_speakers(tmp_path: Path) -> None:
    """Six voices, all of them trained on, new sentences: that it learns whom to keep. Nothing about new voices."""
    if not REAL.exists():
        pytest.skip("needs ../shared/data (real speech)")
    settings = train.Settings("small", steps=500, batch=4, seconds=2.0, held_back=2, every=500)
    trainer = train.fit(Speech.read(REAL), tmp_path, settings)
    value = float((tmp_path / "validations.csv").read_text().splitlines()[-1].partition(",")[2])
    assert value > 1.0
    assert isinstance(trainer.model, model.SpeakerBeam)
