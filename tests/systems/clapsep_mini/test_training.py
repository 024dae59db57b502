"""The two trainings, on synthetic sounds alone and for a few steps."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
train = pytest.importorskip("tspbench.systems.clapsep_mini.train")

from tspbench.systems.clapsep_mini import data, files, learning, model, sounds  # noqa: E402
from tspbench.systems.training import curve  # noqa: E402

NAMES = ("dog_bark", "rain", "siren", "telephone")


class Broken(Exception):
    pass


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    library = sounds.synthetic(2, 0, tmp_path_factory.mktemp("cache"), names=NAMES)
    return train.Corpus(data.Cast((library,)), library, library)


@pytest.fixture(scope="module")
def encoder(corpus: Any) -> Any:
    torch.manual_seed(0)
    return model.Encoder().eval()


@pytest.fixture(scope="module")
def batches(corpus: Any, encoder: Any) -> Any:
    return data.MixtureMaker(corpus.train, data.Vectors.of(encoder, corpus.train), batch=2)


def learn(corpus: Any, encoder: Any, folder: Path, batches: Any) -> Any:
    return train.train_separator(corpus, encoder, 4, folder, every=2, batches=batches, listen=(1, 1))


def test_a_training_that_broke_off_ends_as_one_that_did_not(
    corpus: Any, encoder: Any, batches: Any, tmp_path: Path
) -> None:
    def breaking(step: int) -> Any:
        if step == 3:
            raise Broken
        return batches(step)

    whole = learn(corpus, encoder, tmp_path / "whole", batches)
    with pytest.raises(Broken):
        learn(corpus, encoder, tmp_path / "parts", breaking)
    parts = learn(corpus, encoder, tmp_path / "parts", batches)
    for (key, one), other in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(one, other), key
    for name in ("losses.csv", train.PARTS):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "parts" / name).read_text()
    with (tmp_path / "parts" / train.PARTS).open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]
    assert "real_worse" in (tmp_path / "whole" / "curve.svg").read_text()


def test_the_tower_is_not_trained_with_the_separator(corpus: Any, encoder: Any, batches: Any, tmp_path: Path) -> None:
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    separator = train.train_separator(corpus, encoder, 1, tmp_path, batches=batches, listen=(1, 1))
    for key, value in separator.tower.state_dict().items():
        assert torch.equal(value, before[f"sounds.{key}"]), key


def test_an_encoder_learns_and_its_file_holds_all_of_it(corpus: Any, tmp_path: Path) -> None:
    pairs = data.PairMaker(corpus.train, batch=8)(0)
    pairs = replace(pairs, sounds=pairs.sounds[:, :32_000])
    network = learning.Averaged(model.Encoder(), decay=0.0)
    optimiser = torch.optim.Adam(network.live.parameters(), lr=5e-3)
    losses = []
    torch.manual_seed(0)
    for _ in range(20):
        loss = learning.contrast(network.live, pairs)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1
    network.follow()
    encoder = network.mean.eval()
    torch.manual_seed(1)
    separator = model.Separator(encoder).eval()
    said = files.write(tmp_path, encoder, separator)
    assert str((tmp_path / files.NAME).stat().st_size) in said
    again, loaded = files.load(tmp_path / files.NAME)
    assert files.load_encoder(tmp_path / files.NAME).text(["rain"]).equal(again.text(["rain"]))
    x, told = torch.randn(1, 32_000), torch.randn(1, 256)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x, told), separator(x, told), atol=2e-3, rtol=2e-2)
    torch.testing.assert_close(again.text(["heavy rain"]), encoder.text(["heavy rain"]), atol=2e-3, rtol=2e-2)


def test_the_loss_is_snr_and_si_sdr_and_the_loudness_of_what_should_be_silent() -> None:
    rng = np.random.default_rng(0)
    target, noise = rng.normal(size=(2, 3, 1000))
    target[2] = 0
    estimate = 0.5 * target + 0.1 * noise
    mixture = target + noise

    class Fixed:
        def __call__(self, *_: Any) -> Any:
            return torch.tensor(estimate)

    def ratio(signal: Any, error: Any) -> float:
        return float(10 * np.log10((signal**2).sum() / ((error**2).sum() + 1e-3 * (signal**2).sum())))

    expected = []
    for x, e in zip(target[:2], estimate[:2], strict=True):
        projection = x * (x @ e) / (x @ x)
        expected.append(-(ratio(x, x - e) + ratio(projection, projection - e)) / 2)
    expected.append(10 * np.log10((estimate[2] ** 2).sum() / (mixture[2] ** 2).sum() + 0.01))
    batch = data.Batch(torch.tensor(mixture), torch.tensor(target), torch.zeros(3, 4))
    assert float(learning.separation(Fixed(), batch)) == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_rate_rises_and_falls() -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = learning.Cosine(4).start(optimiser, 104)
    rates = []
    for _ in range(104):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[54] == pytest.approx(0.5025)
    assert rates[-1] < 0.01


def test_validation_mixtures_are_even_and_of_two_classes(corpus: Any) -> None:
    for trial in learning.trials(corpus.synthetic, 4, 0, lambda name: name):
        rest = trial.mixture - trial.target
        assert np.linalg.norm(rest) == pytest.approx(np.linalg.norm(trial.target), rel=1e-3)


def test_the_curve_shows_the_logs(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 10 / step, "learning_rate": 1} for step in range(1, 201)]
    with (tmp_path / "losses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / train.PARTS).write_text("step,real\n100,1\n200,3\n")
    drawn = ElementTree.parse(curve.draw(tmp_path, train.PANELS, train.PARTS))
    lines = [each.attrib["points"].split() for each in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    loss, real = ([tuple(map(float, point.split(","))) for point in points] for points in lines)
    assert len(loss) == 4
    assert [y for _, y in loss] == sorted(y for _, y in loss), "downwards is larger in a picture"
    assert real[0][1] > real[1][1]
    assert real[1][0] == loss[-1][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--esc10", "nowhere.csv"], "there is no such file"),
        (["--esc10", "nowhere.csv", "--steps", "0"], "1 at least"),
        ([], "--esc10"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(train.main, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output
