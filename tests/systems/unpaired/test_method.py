"""Captions, their cache, retrieval, noise, the four conditionings, the small networks, parts of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tspbench.errors import UnknownName, UsageError  # noqa: E402
from tspbench.systems.seeded import randomise  # noqa: E402
from tspbench.systems.unpaired import captions, corpus  # noqa: E402
from tspbench.systems.unpaired.cache import CaptionCache, cached  # noqa: E402
from tspbench.systems.unpaired.conditioning import CONDITIONINGS, Conditions, conditioning  # noqa: E402
from tspbench.systems.unpaired.noise import inject  # noqa: E402
from tspbench.systems.unpaired.retrieval import nearest  # noqa: E402
from tspbench.systems.unpaired.small import SmallClap, trigrams  # noqa: E402

RATE = 32_000


def units(seed: int, count: int, size: int = 12) -> Any:
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# -- captions ------------------------------------------------------------------------------------


def test_generated_captions_are_many_different_and_the_same_again() -> None:
    found = captions.generate(3000, seed=1)
    assert len(set(found)) == 3000
    assert found == captions.generate(3000, seed=1)
    assert found[:100] != captions.generate(100, seed=2)
    assert all(caption == caption.strip() and "{" not in caption for caption in found)
    events = [event for event in captions.phrases().events if any(event in caption for caption in found)]
    assert len(events) == len(captions.phrases().events)
    assert len({len(caption.split()) for caption in found}) > 10


def test_the_generator_knows_how_many_there_are() -> None:
    little = captions.Phrases(("x", "y", "z"), ("{a}", "{a} {how}"), ("{a} and {b} {where}",), ("1", "2"), ("3",))
    rng = np.random.default_rng(0)
    found = {little.caption(rng) for _ in range(2000)}
    assert len(found) == little.count() == 3 * (1 + 2) + 3 * 2 * 1
    assert captions.phrases().count() > 10_000_000
    for count in (0, little.count()):
        with pytest.raises(UsageError, match="1 to 7 different ones"):
            captions.generate(count, source=little)


def test_a_caption_of_one_event_names_no_other() -> None:
    rng = np.random.default_rng(0)
    events = set(captions.phrases().events)
    found = [captions.phrases().caption(rng, "zzz") for _ in range(200)]
    assert all("zzz" in caption and not any(event in caption for event in events) for caption in found)


def test_a_language_models_list_is_read_as_it_is(tmp_path: Path) -> None:
    text = '\ufeff1. A dog barks.\n2) "Rain falls"\n\n- A dog barks.\n* “Wind”\n3 cats meow\n'
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    assert captions.read(tmp_path / "list.txt") == ["A dog barks.", "Rain falls", "Wind", "3 cats meow"]


def test_captions_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n - \n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    cases = {"empty.txt": "holds no captions", "latin.txt": "not a text in UTF-8", "none.txt": "cannot be read"}
    for name, message in cases.items():
        with pytest.raises(UsageError, match=message):
            captions.read(tmp_path / name)


# -- the cache -----------------------------------------------------------------------------------


def embed(texts: Any) -> Any:
    """A vector, not of unit length, that depends on the text alone."""
    return np.stack([3 * units(sum(text.encode()), 1)[0] for text in texts])


def test_the_cache_is_built_once_and_embeds_in_blocks(tmp_path: Path) -> None:
    asked: list[int] = []
    told: list[tuple[str, int, int]] = []

    def counting(texts: Any) -> Any:
        asked.append(len(texts))
        return embed(texts)

    texts = [f"caption {i}" for i in range(10)]
    made = cached(texts, counting, "one", tmp_path / "cache", at_once=4, progress=lambda *a: told.append(a))
    assert asked == [4, 4, 2]
    assert told[-1] == ("embedding captions", 10, 10)
    np.testing.assert_allclose(made.vectors, embed(texts) / 3, rtol=1e-6)
    assert isinstance(made.vectors, np.memmap)
    again = cached(texts, counting, "one", tmp_path / "cache")
    assert again.captions == tuple(texts)
    assert len(asked) == 3
    cached(texts, counting, "another", tmp_path / "cache")
    cached(texts[:9], counting, "another", tmp_path / "cache")
    assert asked[3:] == [10, 9]


def test_a_cache_that_broke_off_is_built_again(tmp_path: Path) -> None:
    texts = ["a", "b", "c", "d"]

    def broken(some: Any) -> Any:
        if "c" in some:
            raise KeyboardInterrupt
        return embed(some)

    with pytest.raises(KeyboardInterrupt):
        cached(texts, broken, "one", tmp_path, at_once=2)
    with pytest.raises(UsageError, match="holds no caption cache"):
        CaptionCache.open(tmp_path)
    np.testing.assert_allclose(cached(texts, embed, "one", tmp_path).vectors, embed(texts) / 3, rtol=1e-6)


def test_a_cache_whose_files_were_mixed_up_is_refused(tmp_path: Path) -> None:
    cached(["a", "b"], embed, "one", tmp_path)
    (tmp_path / "captions.txt").write_text("b\na\n")
    with pytest.raises(UsageError, match="do not belong together"):
        CaptionCache.open(tmp_path)


def test_what_cannot_be_cached_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be one line"):
        cached(["a\nb"], embed, "one", tmp_path)
    for bad in (0.0, np.nan):
        with pytest.raises(UsageError, match="vector without direction, at or after the caption 'a'"):
            cached(["a"], lambda texts, bad=bad: np.full((len(texts), 3), bad, np.float32), "one", tmp_path)


# -- retrieval -----------------------------------------------------------------------------------


EIGHTHS = st.integers(-16, 16).map(lambda count: count / 8)


@given(
    st_numpy.arrays(np.float32, st.tuples(st.integers(0, 9), st.just(3)), elements=EIGHTHS),
    st_numpy.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(3)), elements=EIGHTHS),
    st.integers(1, 50),
    st.integers(1, 5),
)
@settings(deadline=None, max_examples=60)
def test_retrieval_is_the_arg_max_of_all_products(queries: Any, vectors: Any, rows: int, at_once: int) -> None:
    """In eighths every sum of products is exact, whatever the order: equals are equal, and the first is found."""
    found, products = nearest(queries, vectors, rows=rows, at_once=at_once)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    np.testing.assert_array_equal(products, exact.max(axis=1).astype(np.float32))
    np.testing.assert_array_equal(found, exact.argmax(axis=1))


def test_retrieval_finds_what_scikit_learn_finds(tmp_path: Path) -> None:
    neighbours = pytest.importorskip("sklearn.neighbors")
    queries, vectors = units(0, 50, 64), units(1, 5000, 64)
    np.save(tmp_path / "vectors.npy", vectors)
    distance, expected = neighbours.NearestNeighbors(n_neighbors=1, metric="cosine").fit(vectors).kneighbors(queries)
    found, products = nearest(queries, np.load(tmp_path / "vectors.npy", mmap_mode="r"), rows=777)
    np.testing.assert_array_equal(found, expected[:, 0])
    np.testing.assert_allclose(products, 1 - distance[:, 0], atol=1e-6)


def test_retrieval_refuses_what_does_not_fit() -> None:
    for vectors in (units(0, 3, 5), units(0, 3)[:0]):
        with pytest.raises(UsageError, match="cannot be looked up"):
            nearest(units(1, 2), vectors)


# -- noise and conditionings ---------------------------------------------------------------------


@pytest.mark.parametrize(("variance", "expected"), [(0.001, 0.813), (0.016, 0.330)])
def test_the_noise_has_its_strength(variance: float, expected: float) -> None:
    """The cosine between a vector of 512 and its noisy version: 1 / sqrt(1 + 512 variance)."""
    torch.manual_seed(0)
    vectors = torch.from_numpy(units(0, 2000, 512))
    noisy = inject(vectors, variance)
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(2000))
    cosine = (noisy * vectors).sum(dim=1).mean().item()
    assert cosine == pytest.approx((1 + 512 * variance) ** -0.5, abs=0.005)
    assert cosine == pytest.approx(expected, abs=0.01)


def test_no_noise_is_none_and_noise_is_as_published() -> None:
    """CapDec's ``noise_injection``, written down once more: normalise, add, normalise."""
    vectors = 5 * torch.from_numpy(units(0, 4))
    torch.testing.assert_close(inject(vectors, 0), vectors / 5)
    torch.manual_seed(3)
    found = inject(vectors, 0.25)
    torch.manual_seed(3)
    expected = vectors / 5 + 0.5 * torch.randn(4, 12)
    torch.testing.assert_close(found, expected / expected.norm(dim=1, keepdim=True))


def test_the_four_conditionings() -> None:
    audio, text, pool = units(0, 6), units(1, 6), units(2, 40)
    cache = CaptionCache(tuple(map(str, range(40))), pool)
    retrieved = pool[(audio @ pool.T).argmax(axis=1)]
    clips = torch.tensor([4, 0, 4])
    assert list(CONDITIONINGS) == ["text", "audio", "audio_noise", "retrieval"]
    for name, vectors in {"text": text, "audio": audio, "audio_noise": audio, "retrieval": retrieved}.items():
        conditions = Conditions(conditioning(name), audio, text, cache, variance=0.01)
        np.testing.assert_array_equal(conditions.vectors.numpy(), vectors)
        torch.manual_seed(1)
        found = conditions(clips)
        expected = torch.from_numpy(vectors[[4, 0, 4]])
        if name in ("text", "audio"):
            assert torch.equal(found, expected)
        else:
            torch.manual_seed(1)
            torch.testing.assert_close(found, inject(expected, 0.01))
            assert not torch.equal(found[0], found[2])


def test_a_conditioning_that_lacks_something() -> None:
    with pytest.raises(UnknownName, match="Did you mean retrieval"):
        conditioning("retrival")
    with pytest.raises(UsageError, match="'text' needs a caption"):
        Conditions(CONDITIONINGS["text"], units(0, 2))
    with pytest.raises(UsageError, match="'retrieval' needs a caption cache"):
        Conditions(CONDITIONINGS["retrieval"], units(0, 2), units(1, 2))


# -- the small networks --------------------------------------------------------------------------


def test_trigrams() -> None:
    assert trigrams("A cat!") == ["<a>", "<ca", "cat", "at>"]
    assert trigrams("...") == trigrams("") == ["<>"]


def test_the_small_encoder_hears_no_level_and_any_length() -> None:
    encoder = randomise(SmallClap(8, 64, 16), 0).eval()
    rng = np.random.default_rng(0)
    clip = rng.standard_normal(RATE).astype(np.float32)
    loud, quiet, short, silent = encoder.audio([clip, 1e-3 * clip, clip[:3], 0 * clip])
    torch.testing.assert_close(loud, quiet, atol=1e-5, rtol=0)
    assert all(abs(float(each.norm()) - 1) < 1e-5 for each in (loud, short, silent))
    both = encoder.text(["a dog", "rain on a roof"])
    torch.testing.assert_close(both[1:], encoder.text(["rain on a roof"]))


def test_unknown_words_add_nothing_in_the_small_encoder() -> None:
    encoder = SmallClap(8, 4096, 16)
    torch.testing.assert_close(encoder.text(["one"]), encoder.text(["quite another"]))


# -- the corpus ----------------------------------------------------------------------------------


def test_parts_of_a_corpus(sounds: Path) -> None:
    whole, (test, two) = corpus.split(sounds, [corpus.Where.parse("fold=3"), corpus.Where.parse("fold = 0, 1")])
    left = corpus.without(whole, test)
    assert [len(part.recordings) for part in (whole, test, two, left)] == [24, 6, 12, 18]
    assert not {r.path for r in left.recordings} & {r.path for r in test.recordings}
    assert test.captions[0] == f"the sound of {test.labels[0]}"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("fold", "write COLUMN=VALUE"),
        ("fold=", "write COLUMN=VALUE"),
        ("flod=1", "no column 'flod'. Did you mean fold"),
        ("fold=7", "no row has fold=7"),
    ],
)
def test_parts_that_are_not_there(sounds: Path, where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        corpus.split(sounds, [corpus.Where.parse(where)])


def test_a_test_that_takes_everything(sounds: Path) -> None:
    whole, (test,) = corpus.split(sounds, [corpus.Where.parse("fold=0,1,2,3")])
    with pytest.raises(UsageError, match="none is left"):
        corpus.without(whole, test)
