from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tspbench.errors import MissingExtra, UnknownName, UsageError
from tspbench.metrics import Metric, Status, improvement, resolve
from tspbench.metrics.evaluate import evaluate, score
from tspbench.metrics.signals import Signals
from tspbench.metrics.speaker import METRICS, mean_voice
from tspbench.types import Audio

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


class Direction:
    """Hears the first two samples as a vector; nothing in a signal whose first two are zero."""

    name, version, sample_rate = "direction", "1", 16_000

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, samples: Audio) -> Audio | None:
        self.asked += 1
        norm = np.linalg.norm(samples[:2])
        return samples[:2] / norm if norm else None


@pytest.fixture
def direction(monkeypatch: pytest.MonkeyPatch) -> Direction:
    listener = Direction()
    monkeypatch.setattr("tspbench.metrics.speaker.encoder", lambda _: listener)
    return listener


def clip(*values: float) -> Audio:
    return np.array([*values, *[0.0] * (6 - len(values))], np.float32)


def scene(estimate: Audio, target: Audio | None = None, *enrolment: Audio) -> Signals:
    return Signals(16_000, clip(0.3, 0.3), target=target, estimate=estimate, enrolment=enrolment)


def test_cosine_by_hand(direction: Direction) -> None:
    found = score(scene(clip(0.5, 0.5), clip(0.2)), resolve("spk_cos[resemblyzer]"))
    assert found.value == pytest.approx(np.sqrt(0.5))
    opposite = scene(clip(-0.5), clip(0.2))
    assert score(opposite, resolve("spk_cos[resemblyzer]")).value == 0
    assert score(opposite, resolve("spk_cos[ecapa=any]")).value == pytest.approx(-1)


def test_enrolment_clips_count_alike_whatever_their_level(direction: Direction) -> None:
    signals = scene(clip(0.4), None, clip(0.1), clip(0, 0.9), clip(0, 0, 0.9))
    assert score(signals, resolve("spk_cos_enrolment[resemblyzer]")).value == pytest.approx(np.sqrt(0.5))
    mean = mean_voice(direction, (clip(0.1), clip(0, 0.9)))
    np.testing.assert_allclose(mean, np.full(2, np.sqrt(0.5)), rtol=1e-6)
    assert mean_voice(direction, (clip(), clip())) is None
    assert mean_voice(direction, ()) is None


def test_who_is_at_fault_for_a_missing_voice(direction: Direction) -> None:
    metric = resolve("spk_cos[resemblyzer]")
    assert score(scene(clip(0.5), clip(0, 0, 0.5)), metric).status is Status.NOT_APPLICABLE
    assert score(scene(clip(), clip(0.5)), metric).status is Status.UNDEFINED
    assert score(scene(clip(0, 0, 0.5), clip(0.5, 0, 0.1)), metric).status is Status.UNDEFINED
    assert score(scene(clip(0.5)), metric).status is Status.NOT_APPLICABLE
    assert score(scene(clip(0.5)), resolve("spk_cos_enrolment[resemblyzer]")).status is Status.NOT_APPLICABLE
    quiet = score(scene(clip(0.5), None, clip(0, 0, 1)), resolve("spk_cos_enrolment[resemblyzer]"))
    assert quiet.status is Status.NOT_APPLICABLE


def test_gain_over_the_mixture_hears_target_and_estimate_once(direction: Direction) -> None:
    signals = scene(clip(0.5), clip(0.2))
    found = evaluate(signals, [resolve("spk_cos[resemblyzer]"), resolve("spk_cos_i[resemblyzer]")])
    assert found.scores["spk_cos_i[resemblyzer]"].value == pytest.approx(1 - np.sqrt(0.5))
    assert direction.asked in (3, 4)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_declarations_hold_together(metric: Metric) -> None:
    assert resolve(metric.id) == metric
    assert metric.penalty == metric.bounds[0]
    assert improvement(metric).penalty == -1.0
    assert (metric.extra, metric.level) == ("speaker", "matched")


def test_brackets() -> None:
    assert resolve("spk_cos[level=raw,resemblyzer]").id == "spk_cos[resemblyzer,level=raw]"
    assert resolve("spk_cos[level=matched,resemblyzer]").id == "spk_cos[resemblyzer]"
    assert resolve("spk_cos_enrolment_i[wavlm-sv=a/b]").id == "spk_cos_enrolment_i[wavlm-sv=a/b]"
    assert resolve("spk_cos[wavlm-sv=a/b]").bounds == (-1.0, 1.0)
    with pytest.raises(UnknownName, match=r"spk_cos\[resemblyzer\]"):
        resolve("spk_cos")
    with pytest.raises(UnknownName, match="resemblyzer"):
        resolve("spk_cos[resemblizer]")
    for wrong in ("spk_cos[level=raw]", "spk_cos[resemblyzer,level=x]", "spk_cos[resemblyzer,text=raw]"):
        with pytest.raises(UsageError, match="takes a speaker encoder"):
            resolve(wrong)


def test_a_missing_package_gets_out_of_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise MissingExtra("The speaker encoder", "speaker")

    monkeypatch.setattr("tspbench.metrics.speaker.encoder", absent)
    with pytest.raises(MissingExtra):
        score(scene(clip(0.5), clip(0.2)), resolve("spk_cos[resemblyzer]"))


def test_recorded_voices() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("_webrtcvad")
    if not DATA.is_dir():
        pytest.skip("no recordings: ../shared/data is absent")
    folders = sorted(path for path in (DATA / "librispeech").iterdir() if path.is_dir())[:2]
    clips = [[soundfile.read(p, dtype="float32")[0][:64_000] for p in sorted(f.glob("*.flac"))[:2]] for f in folders]
    (own, enrolment), (other, _) = clips
    length = min(own.size, other.size)
    own, other = own[:length], other[:length]
    for name in ("spk_cos[resemblyzer]", "spk_cos_enrolment[resemblyzer]"):
        metric = resolve(name)
        right, wrong = (
            score(Signals(16_000, own + other, target=own, estimate=estimate, enrolment=(enrolment,)), metric).value
            for estimate in (0.3 * own, other)
        )
        assert right is not None
        assert wrong is not None
        assert wrong < 0.7 < right <= 1
        if name == "spk_cos[resemblyzer]":
            assert right == pytest.approx(1, abs=1e-4)
