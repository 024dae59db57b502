"""Captions and the text tower: known words, unknown words, none at all."""

from __future__ import annotations

import pytest

from tspbench.tasks.lass_demo.captions import CAPTIONS, captions_of

torch = pytest.importorskip("torch")
text = pytest.importorskip("tspbench.systems.clapsep_mini.text")
captions = pytest.importorskip("tspbench.systems.clapsep_mini.captions")


def grown() -> object:
    """A tower whose pieces have values, as after a training that met the words of one caption."""
    torch.manual_seed(0)
    tower = text.TextTower(16).eval()
    known = {piece for word in text.words("a dog barks in the rain") for piece in text.pieces(word)}
    with torch.no_grad():
        for piece in known:
            tower.pieces.weight[piece] = torch.randn(tower.width)
    return tower


def test_words_are_told_apart_by_letters_and_digits() -> None:
    assert text.words("Tick-tock, 2 CLOCKS!") == ["tick", "tock", "2", "clocks"]
    assert text.words(" …") == [""]
    assert len(text.words("word " * 1000)) == text.MOST_WORDS


def test_a_word_shares_pieces_with_its_forms_and_hardly_any_with_others() -> None:
    dog, dogs, rain = (set(text.pieces(word)) for word in ("barking", "barked", "helicopter"))
    assert len(dog & dogs) >= 5
    assert len(dog & rain) <= 1


@torch.no_grad()
def test_captions_are_independent_of_what_they_are_embedded_with() -> None:
    tower = grown()
    together = tower(["a dog barks", "the dog barks in the rain", ""])
    for row, caption in zip(together, ["a dog barks", "the dog barks in the rain", ""], strict=True):
        torch.testing.assert_close(tower([caption])[0], row)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_untrained_words_count_for_nothing_of_their_own() -> None:
    tower = grown()
    known, diluted, other = tower(["dog barks", "dog barks qqxjz", "in the rain"])
    assert float(known @ diluted) > 0.8
    assert float(known @ diluted) > float(known @ other) + 0.2


def test_every_caption_of_the_demo_task_is_among_those_learned() -> None:
    for name in CAPTIONS:
        for kind in set(CAPTIONS[name]) - {"any"}:
            learned = {caption for group in captions.captions_for(name, kind) for caption in group}
            assert set(captions_of(name, kind)) <= learned


@pytest.mark.parametrize(
    ("label", "name"), [("dog bark", "dog_bark"), ("fire crackling", "fire_crackling"), ("siren", "siren")]
)
def test_labels(label: str, name: str) -> None:
    assert captions.class_of(label) == name
    assert captions.class_of("brass band") is None
