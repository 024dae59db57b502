"""What training batches are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tspbench.errors import UsageError
from tspbench.tasks.lass_demo.sounds import synthesise

torch = pytest.importorskip("torch")
data = pytest.importorskip("tspbench.systems.clapsep_mini.data")
sounds = pytest.importorskip("tspbench.systems.clapsep_mini.sounds")
captions = pytest.importorskip("tspbench.systems.clapsep_mini.captions")

NAMES = ("dog_bark", "rain", "siren", "telephone")
SIZE = 8


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> object:
    return sounds.synthetic(6, 10, tmp_path_factory.mktemp("cache"), names=NAMES)


@pytest.fixture(scope="module")
def maker(library: object) -> object:
    """Vectors say of which class they are in their first four numbers, and by text or sound in the fifth."""
    rows = {name: np.eye(SIZE, dtype=np.float32)[i] for i, name in enumerate(NAMES)}
    texts = {
        text: rows[name] + np.eye(SIZE, dtype=np.float32)[4]
        for name in NAMES
        for kind in set(library.kinds)
        if (name, kind) in set(zip(library.names, library.kinds, strict=True))
        for group in captions.captions_for(name, kind)
        for text in group
    }
    heard = np.stack([rows[name] - np.eye(SIZE, dtype=np.float32)[4] for name in library.names])[:, None]
    cast = data.Cast((library,))
    return data.MixtureMaker(cast, data.Vectors(texts, (heard,), SIZE), batch=40, noise=0.0)


def test_sounds_are_the_recipes_and_are_kept(library: object, tmp_path: Path) -> None:
    index = library.names.index("rain")
    np.testing.assert_allclose(library[index], synthesise("rain", 10), atol=2 / sounds.FULL)
    made: list[str] = []
    for _ in range(2):
        sounds.synthetic(1, 3, tmp_path, lambda *said: made.append(said[0]), names=["rain"])
    assert made == ["synthesising"]


def test_seeds_of_the_test_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1000000"):
        sounds.synthetic(2, 999_999, tmp_path)


def test_examples_are_others_of_the_kind(library: object) -> None:
    for index in range(len(library)):
        others = library.like(index)
        assert index not in others
        assert {library.names[i] for i in others} == {library.names[index]}
        assert {library.kinds[i] for i in others} == {library.kinds[index]}


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("file,label\na.wav,rain\n", "lacks the column fold"),
        ("file,label,fold\na.wav,rain,5\n", "no rows of fold 1"),
        ("file,label,fold\na.wav,brass band,1\n", "no captions .* 'brass band'"),
        ("file,label,fold\na.wav,rain,1\n", "there is no file"),
    ],
)
def test_a_table_that_will_not_do(tmp_path: Path, csv: str, message: str) -> None:
    table = tmp_path / "esc10.csv"
    table.write_text(csv)
    with pytest.raises(UsageError, match=message):
        sounds.recordings(table, (1,), tmp_path)


def test_a_variation_is_seeded_as_long_as_asked_and_not_silent(library: object) -> None:
    for seed in range(30):
        one, again = (data.vary(library[0], np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one, again)
        assert one.shape == (data.LENGTH,)
        assert one.dtype == np.float32
        assert np.abs(one).max() > 1e-3


def test_batches_depend_on_seed_and_step_alone(maker: object) -> None:
    maker = replace(maker, batch=3)
    one, again, other = maker(5), maker(5), maker(6)
    assert torch.equal(one.mixture, again.mixture)
    assert torch.equal(one.condition, again.condition)
    assert not torch.equal(one.mixture, other.mixture)
    assert not torch.equal(one.mixture, replace(maker, seed=1)(5).mixture)


def test_ratios_and_queries_are_spread_as_asked(maker: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "vary", lambda samples, rng: data.stretch(samples, rng, 8192))
    batches = [maker(step) for step in range(6)]
    mixture, target, condition = (
        torch.cat([getattr(each, name) for each in batches]).numpy() for name in ("mixture", "target", "condition")
    )
    np.testing.assert_allclose(np.linalg.norm(condition, axis=1), 1, rtol=1e-5)
    absent = ~target.any(axis=1)
    assert 0.01 < absent.mean() < 0.12
    positive, negative = condition[:, :SIZE], condition[:, SIZE:]
    alone = ~positive.any(axis=1)
    assert 0.05 < alone.mean() < 0.2
    assert 0.3 < negative.any(axis=1).mean() < 0.65
    asked = positive[~alone]
    by_text, by_sound = (asked[:, 4] > 1e-4).mean(), (asked[:, 4] < -1e-4).mean()
    assert 0.35 < by_text < 0.65
    assert 0.15 < by_sound < 0.45
    both = np.logical_and(positive[:, :4] > 1e-3, negative[:, :4] > 1e-3).any(axis=1)
    assert not both.any(), "a class is never wanted and unwanted"
    rest = (mixture - target)[~absent]
    ratio = 10 * np.log10((target[~absent] ** 2).sum(1) / (rest**2).sum(1))
    assert ratio.min() > -16
    assert ratio.max() < 16
    assert 2.5 < ratio.std() < 6


def test_a_caption_may_get_a_word_that_means_nothing() -> None:
    rng = np.random.default_rng(0)
    changed = [data._disturbed("a dog barks", rng) for _ in range(200)]
    longer = [text for text in changed if text != "a dog barks"]
    assert 10 < len(longer) < 60
    assert all(len(text.split()) == 4 for text in longer)
