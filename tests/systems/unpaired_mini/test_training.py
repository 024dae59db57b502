"""The four conditionings on equal mixtures, and the command, in little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
train = pytest.importorskip("tspbench.systems.unpaired_mini.train")

from tspbench.errors import UsageError  # noqa: E402
from tspbench.systems.clapsep_mini import data, model, sounds  # noqa: E402
from tspbench.systems.clapsep_mini import train as clapsep_mini  # noqa: E402
from tspbench.systems.unpaired import noise  # noqa: E402
from tspbench.systems.unpaired.cache import CaptionCache  # noqa: E402
from tspbench.systems.unpaired.conditioning import CONDITIONINGS, Conditions, conditioning  # noqa: E402
from tspbench.systems.unpaired_mini import files, mixtures  # noqa: E402

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
NAMES = ("dog_bark", "rain", "siren")
HERTZ = (40, 130, 420, 1300, 4200, 12_500)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    library = sounds.synthetic(2, 0, tmp_path_factory.mktemp("cache"), names=NAMES)
    return clapsep_mini.Corpus(data.Cast((library,)), library, library)


@pytest.fixture(scope="module")
def encoder() -> Any:
    torch.manual_seed(0)
    return model.Encoder().eval()


@pytest.fixture(scope="module")
def told(encoder: Any, corpus: Any) -> Any:
    """Vectors of the sounds by the encoder; of their captions and of the cache at random."""
    audio = mixtures.heard(encoder, corpus.train)
    rng = np.random.default_rng(0)
    text, cached = (unit(rng.normal(size=(count, 128))) for count in (len(audio), 50))
    return train.Told(audio, text, CaptionCache(tuple(map(str, range(50))), cached))


def unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def tones() -> Any:
    """Two libraries of pure tones so far apart that no variation makes one another."""
    time = np.arange(5 * model.RATE) / model.RATE
    waves = [(20_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16) for hertz in HERTZ]
    first = sounds.Library(np.stack(waves[:3]), ("rain",) * 3, (None,) * 3, real=True)
    second = sounds.Library(np.stack(waves[3:]), ("rain",) * 3, ("light",) * 3, real=False)
    return data.Cast((first, second), (0.5, 0.5))


def test_a_mixture_is_told_by_the_row_of_its_target_and_classes_do_not_matter() -> None:
    """All tones are of one class, yet they are mixed; the loudest frequency of a target tells its row."""
    conditions = Conditions(conditioning("audio"), np.eye(6, dtype=np.float32))
    batch = mixtures.Mixtures(tones(), conditions, batch=16)(0)
    assert batch.condition.shape == (16, 12)
    assert not batch.condition[:, 6:].any()
    peaks = torch.fft.rfft(batch.target).abs().argmax(-1) * model.RATE / batch.target.shape[-1]
    nearest = (peaks[:, None] / torch.tensor(HERTZ)).log().abs().argmin(1)
    assert batch.condition[:, :6].argmax(1).equal(nearest)
    assert len(set(nearest.tolist())) >= 4
    rest = (batch.mixture - batch.target).square().sum(-1)
    assert (rest > 0.01 * batch.target.square().sum(-1)).all()


def test_all_four_hear_the_same_mixtures(corpus: Any, told: Any) -> None:
    batches = [mixtures.Mixtures(corpus.train, told.conditions(name, 0.004), 4)(7) for name in CONDITIONINGS]
    for batch in batches[1:]:
        assert batch.mixture.equal(batches[0].mixture)
        assert batch.target.equal(batches[0].target)
    for i, batch in enumerate(batches):
        torch.testing.assert_close(batch.condition.norm(dim=-1), torch.ones(4))
        assert not any(batch.condition.equal(other.condition) for other in batches[:i])


def test_noise_is_of_the_step_and_as_strong_as_it_is_said(corpus: Any, told: Any) -> None:
    plain, noisy = (
        mixtures.Mixtures(corpus.train, told.conditions(name, train.VARIANCE), 24) for name in ("audio", "audio_noise")
    )
    once, again = noisy(3).condition, noisy(3).condition
    assert once.equal(again)
    assert not once.equal(noisy(4).condition)
    cosine = (once * plain(3).condition).sum(-1)
    strength = 128 * train.VARIANCE
    assert strength == pytest.approx(512 * noise.VARIANCE)
    assert float(cosine.mean()) == pytest.approx((1 + strength) ** -0.5, abs=0.03)


def test_captions_are_one_for_every_sound_and_fit_its_class(corpus: Any) -> None:
    texts = mixtures.captions(corpus.train, 0)
    assert len(texts) == 6
    groups = [data.captions_for(name, kind) for name, kind in zip(corpus.real.names, corpus.real.kinds, strict=True)]
    assert all(text in {one for group in fits for one in group} for text, fits in zip(texts, groups, strict=True))
    assert texts == mixtures.captions(corpus.train, 0) != mixtures.captions(corpus.train, 1)


def test_the_vector_of_a_sound_is_that_of_the_whole_of_it(corpus: Any, encoder: Any, told: Any) -> None:
    expected = encoder.audio([corpus.real[i] for i in range(6)]).numpy()
    np.testing.assert_allclose(told.audio, expected, atol=1e-5)


@pytest.fixture(scope="module")
def trained(corpus: Any, encoder: Any, told: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps under the conditionings that differ by the noise alone, and the noise is none."""
    out = tmp_path_factory.mktemp("trained")
    for name in ("audio", "audio_noise"):
        train.train(name, corpus, encoder, told, 2, out / name, variance=0, every=2, listen=(1, 1))
    return out


def test_all_four_start_from_equal_weights_and_see_equal_batches(trained: Path) -> None:
    """Without noise, two of the four are the same training, bit by bit."""
    one, other = ((trained / name / "losses.csv").read_text() for name in ("audio", "audio_noise"))
    assert one == other
    assert len(one.splitlines()) == 3
    assert json.loads((trained / "audio" / train.ABOUT).read_text())["conditioning"] == "audio"


def test_a_training_does_not_go_on_with_another_conditioning(
    trained: Path, corpus: Any, encoder: Any, told: Any
) -> None:
    with pytest.raises(UsageError, match="is of another training: its config is"):
        train.train("text", corpus, encoder, told, 2, trained / "audio", variance=0, every=2, listen=(1, 1))


def test_a_written_separator_is_the_trained_one(trained: Path, encoder: Any, tmp_path: Path) -> None:
    from tspbench.systems.clapsep_mini.files import write as write_whole

    torch.manual_seed(3)
    separator = model.Separator(encoder, files.SIZES).eval()
    write_whole(tmp_path, encoder, separator)
    said = files.write(tmp_path / "mine.safetensors", encoder, separator, "text")
    assert f"{(tmp_path / 'mine.safetensors').stat().st_size} bytes" in said
    _, again = files.load(tmp_path / "mine.safetensors", tmp_path / "clapsep-mini.safetensors")
    mixture, condition = torch.randn(1, 32_000), torch.randn(1, 256)
    with torch.inference_mode():
        torch.testing.assert_close(again(mixture, condition), separator(mixture, condition), atol=2e-3, rtol=2e-2)


def test_a_separator_of_another_encoder_is_refused(trained: Path, tmp_path: Path) -> None:
    from tspbench.systems.clapsep_mini.files import write as write_whole

    torch.manual_seed(4)
    other = model.Encoder()
    write_whole(tmp_path, other, model.Separator(other))
    with pytest.raises(UsageError, match="trained with another encoder"):
        files.load(trained / "audio" / "unpaired-mini-audio.safetensors", tmp_path / "clapsep-mini.safetensors")
    with pytest.raises(UsageError, match=r"trained with another encoder than that of .*an unnamed one, not"):
        files.load(tmp_path / "clapsep-mini.safetensors", tmp_path / "clapsep-mini.safetensors")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--conditioning", "tex"], "no conditioning called 'tex'"),
        (["--steps", "0"], "1 at least"),
        (["--variance", "-1"], "not negative"),
        (["--encoder", "none.safetensors"], "none.safetensors: there is no such file"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(train.main, ["--esc10", "none.csv", "--out", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "esc10.csv").is_file(), reason="the recordings of ../shared/data are not here")
def test_one_command_trains_from_recordings(tmp_path: Path) -> None:
    """A hundredth of the length, two sounds a class: from the CSV to a file that the system takes."""
    sizes = ["--steps", "9", "--every", "9", "--per-class", "2", "--generate", "200", "--conditioning", "retrieval"]
    command = ["--esc10", str(DATA / "esc10.csv"), "--out", str(tmp_path), *sizes]
    done = CliRunner().invoke(train.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    files.load(tmp_path / "retrieval" / "unpaired-mini.safetensors", files.encoder_file())
    assert "polyline" in (tmp_path / "retrieval" / "curve.svg").read_text()
