"""The networks with random weights: shapes, the spectrum's bands, conditions."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
model = pytest.importorskip("tspbench.systems.clapsep_mini.model")


@pytest.fixture(scope="module")
def networks() -> object:
    torch.manual_seed(0)
    return model.build().eval()


def test_bands_are_a_partition_of_the_spectrum() -> None:
    filters = model.band_filters()
    assert filters.shape == (model.N_FFT // 2 + 1, model.BANDS)
    np.testing.assert_allclose(filters.sum(axis=1), 1, atol=1e-6)
    centres = filters.argmax(axis=0)
    assert (np.diff(centres) >= 1).all()
    assert centres[0] == 0
    assert centres[-1] == model.N_FFT // 2
    width = np.diff(centres)[-10:].mean() / np.diff(centres)[60:70].mean()
    assert width > 3, "bands grow wider with frequency"


def test_what_the_networks_see_does_not_depend_on_the_level(networks: object) -> None:
    front = networks["encoder"].front
    x = torch.randn(1, 32_000)
    loud, soft = (front.bands(front.spectrum(gain * x)) for gain in (1.0, 1e-3))
    torch.testing.assert_close(loud, soft, atol=1e-4, rtol=1e-4)


def test_a_mask_of_ones_gives_the_mixture_back(networks: object) -> None:
    front, x = networks["separator"].front, torch.randn(2, 50_001)
    torch.testing.assert_close(front.samples(front.spectrum(x), 50_001), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("length", [32_000, 131_072, 160_000, 160_001])
def test_estimates_are_as_long_as_mixtures(networks: object, length: int) -> None:
    with torch.inference_mode():
        found = networks["separator"](torch.randn(2, length), torch.randn(2, 256))
    assert found.shape == (2, length)


def test_estimates_have_at_most_the_magnitude_of_the_mixture(networks: object) -> None:
    front = networks["separator"].front
    with torch.inference_mode():
        masks = networks["separator"].masks(front.bands(front.spectrum(torch.randn(2, 64_000))), torch.randn(2, 256))
    assert masks.shape == (2, model.BANDS, 126)
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1


@pytest.mark.parametrize("length", [1, 100, 32_000, 400_000])
def test_examples_of_any_length_have_a_vector(networks: object, length: int) -> None:
    vectors = networks["encoder"].audio([np.ones(length, np.float32), np.zeros(length, np.float32)])
    assert vectors.shape == (2, 128)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_a_condition_is_put_together_as_clapseps() -> None:
    """Wang et al., model/CLAPSep.py: text and mean example vector of a side are added, the whole normalised."""
    rng = np.random.default_rng(0)
    caption, examples, unwanted = (rng.normal(size=shape) for shape in (4, (3, 4), 4))
    mean = examples.mean(axis=0)
    expected = np.concatenate([caption + mean / np.sqrt((mean**2).sum()), unwanted])
    expected /= np.sqrt((expected**2).sum())
    found = model.condition(
        model.side(4, torch.tensor(caption), torch.tensor(examples)), model.side(4, torch.tensor(unwanted), None)
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert not model.condition(model.side(4, None, None), model.side(4, None, None)).any()
