from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tspbench.instruments import encoder
from tspbench.instruments.resemblyzer import HOP, PARTIAL_FRAMES, partial_starts, smoothed

pytest.importorskip("torch")
pytest.importorskip("_webrtcvad")


@pytest.fixture(scope="module")
def published() -> Any:
    """The package itself: it imports only beside an old setuptools and scipy's old namespaces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import resemblyzer
        except Exception as error:
            pytest.skip(f"the resemblyzer package does not import here: {error}")
    return resemblyzer


def test_vectors_equal_the_published_package(published: Any, utterances: list[Any]) -> None:
    listener, theirs = encoder("resemblyzer"), published.VoiceEncoder("cpu", verbose=False)
    some = [u.samples for u in utterances[::12]]
    for samples in (*some, *(np.float32(0.003) * s for s in some[:3]), some[-1][:16_000]):
        ours = listener.embed(samples)
        assert ours is not None
        np.testing.assert_allclose(ours, theirs.embed_utterance(published.preprocess_wav(samples)), atol=1e-5)


def test_stretches_are_cut_as_published(published: Any) -> None:
    for length in (*range(1, 60_000, 157), 123_456, 400_000):
        _, slices = published.VoiceEncoder.compute_partial_slices(length, 1.3, 0.75)
        assert partial_starts(length) == [cut.start for cut in slices]


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_smoothing_by_hand(voiced: list[bool]) -> None:
    n = len(voiced)
    mostly = [sum(voiced[max(0, i - 3) : i + 5]) >= 5 for i in range(n)]
    kept = [any(mostly[max(0, i - 3) : i + 4]) for i in range(n)]
    assert smoothed(np.array(voiced)).tolist() == kept


def test_a_last_stretch_needs_three_quarters_of_speech() -> None:
    whole = PARTIAL_FRAMES * HOP
    assert partial_starts(whole // 4) == [0]
    assert partial_starts(whole + 76 * HOP) == [0, 77]


@pytest.mark.parametrize("length", [0, 1, 479, 16_000])
def test_without_speech_there_is_no_vector(length: int) -> None:
    listener = encoder("resemblyzer")
    assert listener.embed(np.zeros(length, np.float32)) is None
    assert listener.embed(np.full(length, 1e-6, np.float32)) is None


def test_voices_are_told_apart(utterances: list[Any]) -> None:
    listener = encoder("resemblyzer")
    by_speaker: dict[str, list[Any]] = {}
    for utterance in utterances[-24:]:
        by_speaker.setdefault(utterance.speaker, []).append(listener.embed(utterance.samples))
    voices = {speaker: vectors[:2] for speaker, vectors in by_speaker.items() if len(vectors) > 1}
    assert len(voices) > 2
    same = [float(a @ b) for a, b in voices.values()]
    other = [float(voices[p][0] @ voices[q][1]) for p in voices for q in voices if p != q]
    assert min(same) > max(other)
    assert 0 <= min(other) <= max(same) <= 1 + 1e-6


def test_threads_are_left_as_they_were() -> None:
    import torch

    before = torch.get_num_threads()
    noise = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    encoder("resemblyzer").embed(noise)
    assert torch.get_num_threads() == before
