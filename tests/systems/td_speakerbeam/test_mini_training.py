"""How td-speakerbeam-mini is made: what its voices say, how they are mixed, and the command from start to end."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

torch = pytest.importorskip("torch")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.seeded import noise  # noqa: E402
from tspbench.systems.td_speakerbeam import checkpoint, mini, model, voices  # noqa: E402
from tspbench.systems.td_speakerbeam.sentences import of_the_tasks, runs, sentences  # noqa: E402
from tspbench.systems.td_speakerbeam.two_voices import TwoVoices  # noqa: E402
from tspbench.systems.training.recipes import Linear  # noqa: E402
from tspbench.systems.training.speakers import Speech, Told  # noqa: E402
from tspbench.tasks.demo_voices import ALIKE  # noqa: E402
from tspbench.tasks.demo_voices.make_voices import PROGRAMS, VOICES  # noqa: E402

RATE = 8000
NAMES = [voice.name for voice in VOICES]
synthesisers = pytest.mark.skipif(
    any(shutil.which(program) is None for program in PROGRAMS), reason="flite, festival or sox is not installed"
)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    """Three takes by every voice; each take is one tone, so that it can be told what was mixed."""
    home = tmp_path_factory.mktemp("speech")
    for place, name in enumerate(NAMES):
        (home / name).mkdir()
        for take in range(3):
            samples = np.sin(2 * np.pi * tone(place, take) * np.arange(RATE + 80 * place) / RATE)
            soundfile.write(home / name / f"{take}.wav", 0.1 * (1 + place) * samples, RATE, subtype="FLOAT")
    return Speech.read(home)


def tone(place: int, take: int) -> int:
    return 200 + 100 * (3 * place + take)


def loudness(samples: np.ndarray) -> dict[tuple[int, int], float]:
    """Mean square of every voice's every take in a signal, -40 dB below the loudest being nothing."""
    seconds = np.arange(len(samples)) / RATE
    power = {
        (place, take): 2 * float(np.abs(np.mean(samples * np.exp(-2j * np.pi * tone(place, take) * seconds))) ** 2)
        for place in range(len(NAMES)) for take in range(3)
    }  # fmt: skip
    return {key: value for key, value in power.items() if value > 1e-3 * max(power.values())}


# -- what is said --------------------------------------------------------------------------------


def test_no_training_sentence_is_one_of_the_tasks_nor_shares_four_words_in_a_row_with_one() -> None:
    settings = mini.Settings()
    ours, theirs = sentences(settings.each * len(VOICES), settings.seed, of_the_tasks()), of_the_tasks()
    assert len(theirs) == 100
    assert len(set(ours)) == len(ours) == 3000
    assert not set(ours) & set(theirs)
    text = {f" {sentence} " for sentence in ours}
    phrases = [" ".join(words[i : i + 4]) for words in map(str.split, theirs) for i in range(len(words) - 3)]
    assert not [phrase for phrase in phrases if any(f" {phrase} " in sentence for sentence in text)]
    assert len({word for sentence in ours for word in sentence.split()}) > 500


def test_sentences_to_avoid_are_avoided() -> None:
    first = sentences(50, 3, [])
    again = sentences(50, 3, first[:10])
    assert first == sentences(50, 3, []) != sentences(50, 4, [])
    assert not {run for each in again for run in runs(each)} & {run for each in first[:10] for run in runs(each)}


@synthesisers
def test_every_voice_says_its_own_and_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    said: list[int] = []
    with voices.speak(tmp_path, 1, 0, said.append).open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["speaker"] for row in rows] == NAMES
    assert said == list(range(1, 11))
    for row in rows:
        samples, rate = soundfile.read(tmp_path / row["file"])
        assert rate == 16000
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.05, rel=0.02)
    (tmp_path / rows[4]["file"]).unlink()
    voices.speak(tmp_path, 1, 0, said.append)
    assert said[10:] == [10]
    with pytest.raises(UsageError, match="another seed or number of sentences"):
        voices.speak(tmp_path, 1, 1)


def test_without_a_synthesiser_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = CliRunner().invoke(mini.main, ["--out", str(tmp_path / "out"), "--share", "0.01"])
    assert found.exit_code == 2
    assert "flite, text2wave, sox must be installed" in found.output
    assert "festvox-us-slt-hts" in found.output


# -- how it is mixed -----------------------------------------------------------------------------


def test_what_is_mixed_is_what_the_tasks_mix(speech: Speech) -> None:
    mixer = TwoVoices.of(speech, RATE, 1, 0, seconds=None, enrolment=None, loud=0.0, absent=0.25)
    ratios, absent = [], 0
    for step in range(80):
        told = mixer(step)
        mixed, enrolled = loudness(told.mixture[0].numpy()), loudness(told.enrolment[0].numpy())
        (voice, take), (one, other) = next(iter(enrolled)), sorted(mixed)
        assert len(enrolled) == 1
        assert one[0] != other[0]
        assert frozenset((NAMES[one[0]], NAMES[other[0]])) not in ALIKE
        if not told.target.any():
            absent += 1
            assert all(voice != each[0] and frozenset((NAMES[voice], NAMES[each[0]])) not in ALIKE for each in mixed)
            continue
        (target,) = loudness(told.target[0].numpy())
        assert target[0] == voice
        assert target[1] != take
        spans = {each: RATE + 80 * each[0] for each in mixed}
        power = {each: value * (told.mixture.shape[1] / spans[each]) ** 2 for each, value in mixed.items()}
        ratios.append(10 * np.log10(power.pop(target) / next(iter(power.values()))))
    assert 10 <= absent <= 30
    assert -5.3 < min(ratios) < -3.5
    assert 3.5 < max(ratios) < 5.3


def test_a_batch_depends_on_seed_and_step_alone(speech: Speech) -> None:
    def mixer(seed: int) -> TwoVoices:
        return TwoVoices.of(speech, RATE, 3, seed, seconds=0.5, enrolment=0.25)

    first, again, other = mixer(0)(7), mixer(0)(7), mixer(1)(7)
    assert first.mixture.shape == first.target.shape == (3, RATE // 2)
    assert first.enrolment.shape == (3, RATE // 4)
    assert torch.equal(first.mixture, again.mixture)
    assert torch.equal(first.enrolment, again.enrolment)
    assert not torch.equal(first.mixture, other.mixture)


def test_loud_targets_are_as_frequent_as_asked_for(speech: Speech) -> None:
    def ratios(told: Told) -> torch.Tensor:
        rest = told.mixture - told.target
        return 10 * torch.log10(told.target.square().sum(-1) / rest.square().sum(-1))

    always, never = (TwoVoices.of(speech, RATE, 20, 0, loud=share, absent=0.0) for share in (1.0, 0.0))
    assert (ratios(always(0)) > 4.5).all()
    assert (ratios(never(0)) < 5.5).all()


# -- how it is learned ---------------------------------------------------------------------------


def told(mixture: np.ndarray, target: np.ndarray) -> Told:
    signals = torch.from_numpy(mixture)[None], torch.from_numpy(target)[None]
    return Told(*signals, torch.zeros(1, 1), torch.zeros(1))


def test_the_loss_is_the_negative_snr_up_to_its_limit() -> None:
    target, other = noise("t", (RATE,), 1).astype(np.float64), noise("o", (RATE,), 1).astype(np.float64)
    batch = told(target + other, target)
    for gain in (1.0, 0.1):
        error = gain * other
        limit = 1e-3 * np.sum(target**2)
        wanted = -10 * np.log10(np.sum(target**2) / (np.sum(error**2) + limit))
        assert float(mini.limited_snr(torch.from_numpy(target + error)[None], batch)) == pytest.approx(wanted, abs=1e-4)
    assert float(mini.limited_snr(batch.target, batch)) == pytest.approx(-30, abs=1e-4)


def test_where_the_target_is_absent_the_loss_is_what_is_left() -> None:
    mixture = noise("m", (RATE,), 1)
    batch = told(mixture, np.zeros_like(mixture))
    assert float(mini.limited_snr(torch.zeros(1, RATE), batch)) == pytest.approx(-20, abs=1e-4)
    assert float(mini.limited_snr(batch.mixture, batch)) == pytest.approx(10 * np.log10(1.01), abs=1e-4)


def test_a_silent_estimate_has_a_finite_gradient() -> None:
    mixture = noise("m", (RATE,), 1)
    for target in (np.zeros_like(mixture), mixture):
        estimate = torch.zeros(1, RATE, requires_grad=True)
        mini.limited_snr(estimate, told(mixture, target)).backward()
        assert estimate.grad is not None
        assert torch.isfinite(estimate.grad).all()


def test_the_rate_rises_and_falls_in_straight_lines() -> None:
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = Linear(3).start(optimiser, 10)
    rates = []
    for _ in range(10):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7])
    assert optimiser.param_groups[0]["lr"] == 0


def test_weights_go_through_float16_and_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = model.build(model.MINI_16K)
    content = {"model": network.state_dict(), "config": {"network": vars(model.MINI_16K), "rate": 16000}}
    torch.save(content, tmp_path / "best.pt")
    mini.export(tmp_path / "best.pt", tmp_path / "x.safetensors")
    path = tmp_path / "x.safetensors"
    found = checkpoint.load(checkpoint.read(path), path)
    assert found.config == model.MINI_16K
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.half().float())


@synthesisers
@pytest.mark.slow
def test_the_command_makes_weights_and_a_curve(tmp_path: Path) -> None:
    found = CliRunner().invoke(mini.main, ["--out", str(tmp_path), "--share", "0.001"])
    assert found.exit_code == 0, found.output
    weights = tmp_path / f"{mini.NAME}.safetensors"
    assert checkpoint.load(checkpoint.read(weights), weights).config == model.MINI_16K
    for folder, steps in ((tmp_path, 14), (tmp_path / mini.MORE, 3)):
        assert len((folder / "losses.csv").read_text().splitlines()) == 1 + steps
        assert "<polyline" in (folder / "curve.svg").read_text()
