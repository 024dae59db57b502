"""One answer, many metrics: what applies, what breaks, and what is computed only once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tspbench.errors import MissingExtra, MissingWeights, TspbenchError
from tspbench.metrics import Metric, Need, Score, Status, improvement, known_metrics, resolve
from tspbench.metrics import evaluate as module
from tspbench.metrics.evaluate import evaluate, missing
from tspbench.metrics.ratios import si_sdr, snr
from tspbench.metrics.signals import Signals

RATE = 16000


def signals(seconds: float = 0.2) -> Signals:
    rng = np.random.default_rng(0)
    target, other, wrong = (0.1 * rng.standard_normal(round(seconds * RATE)).astype(np.float32) for _ in range(3))
    return Signals(
        RATE,
        mixture=target + other,
        target=target,
        interferers=other[None],
        estimate=target + 0.3 * other + 0.1 * wrong,
        hypothesis="some words",
        transcript="some words",
        enrolment=(wrong,),
    )


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Metric]:
    """A metric whose ``_i`` leads back to it, although it is not registered."""

    def make(compute: Callable[[Signals], Score], *needs: Need) -> Metric:
        made = replace(resolve("si_sdr"), id="fake", compute=compute, needs=frozenset(needs))
        monkeypatch.setattr(module, "resolve", lambda name: made if name == "fake" else resolve(name))
        return made

    return make


def test_a_gain_is_the_difference_of_estimate_and_mixture() -> None:
    s = signals()
    done = evaluate(s, [resolve(name) for name in ("si_sdr_i", "snr_i", "si_sdr")])
    assert done.scores["si_sdr_i"].value == si_sdr(s.estimate, s.target) - si_sdr(s.mixture, s.target)
    assert done.scores["snr_i"].value == snr(s.estimate, s.target) - snr(s.mixture, s.target)
    assert done.scores["si_sdr"].value == si_sdr(s.estimate, s.target)
    assert done.baselines == {"si_sdr": Score(si_sdr(s.mixture, s.target)), "snr": Score(snr(s.mixture, s.target))}


def test_scores_come_in_the_order_asked_and_nothing_else_does() -> None:
    asked = ["snr_i", "wrong_target", "si_sdr"]
    assert list(evaluate(signals(), map(resolve, asked)).scores) == asked


def test_the_unprocessed_mixture_gains_nothing() -> None:
    s = signals()
    gains = [resolve(name) for name in ("si_sdr_i", "snr_i", "si_snr_i", "sdr_i")]
    for score in evaluate(replace(s, estimate=s.mixture), gains).scores.values():
        assert score.value == pytest.approx(0.0, abs=1e-9)


def test_a_metric_and_its_gain_share_one_computation(fake: Callable[..., Metric]) -> None:
    seen = []
    metric = fake(lambda s: Score(float(seen.append(s.estimate is s.mixture) or len(seen))))
    evaluate(signals(), [metric, improvement(metric), metric])
    assert seen == [False, True]


def test_a_baseline_that_is_given_is_not_computed_again(fake: Callable[..., Metric]) -> None:
    seen = []
    metric = fake(lambda s: Score(float(seen.append(s.estimate is s.mixture) or 5)))
    done = evaluate(signals(), [improvement(metric)], {"fake": Score(2.0)})
    assert seen == [False]
    assert done.scores["fake_i"].value == 3.0
    assert done.baselines == {"fake": Score(2.0)}


def test_given_baselines_are_not_changed() -> None:
    given: dict[str, Score] = {}
    evaluate(signals(), [resolve("si_sdr_i")], given)
    assert given == {}


def test_no_baseline_is_computed_where_no_gain_is_asked(fake: Callable[..., Metric]) -> None:
    seen = []
    evaluate(signals(), [fake(lambda s: Score(float(seen.append(1) or 1)))])
    assert seen == [1]


def test_a_metric_that_breaks_fails_alone(fake: Callable[..., Metric]) -> None:
    def broken(s: Signals) -> Score:
        raise ZeroDivisionError("by zero")

    metric = fake(broken)
    done = evaluate(signals(), [metric, improvement(metric), resolve("snr")])
    failed = Score(None, Status.FAILED, "ZeroDivisionError: by zero")
    assert done.scores["fake"] == done.scores["fake_i"] == failed
    assert done.scores["snr"].status is Status.OK


@pytest.mark.parametrize("error", [MissingWeights("fetch them"), MissingExtra("This", "speaker"), TspbenchError("x")])
def test_what_the_user_must_act_on_gets_out(fake: Callable[..., Metric], error: TspbenchError) -> None:
    def refuses(s: Signals) -> Score:
        raise error

    with pytest.raises(type(error)) as caught:
        evaluate(signals(), [fake(refuses)])
    assert caught.value is error


def test_an_undefined_estimate_has_an_undefined_gain() -> None:
    s = signals()
    done = evaluate(replace(s, estimate=np.zeros_like(s.mixture)), [resolve("si_sdr_i")])
    assert done.scores["si_sdr_i"] == Score.undefined("silent estimate")


def test_where_the_mixture_has_no_value_there_is_no_gain(fake: Callable[..., Metric]) -> None:
    metric = fake(lambda s: Score.undefined("why") if s.estimate is s.mixture else Score(1.0))
    assert evaluate(signals(), [improvement(metric)]).scores["fake_i"] == Score(
        None, Status.NOT_APPLICABLE, "no value for the mixture (why)"
    )


def test_the_gain_of_a_rate_has_counts_whose_pooled_rate_is_the_difference(fake: Callable[..., Metric]) -> None:
    def rate(errors: int, total: int) -> Score:
        return Score(errors / total, counts={"errors": errors, "total": total})

    metric = fake(lambda s: rate(9, 10) if s.estimate is s.mixture else rate(2, 10))
    gain = evaluate(signals(), [improvement(metric)]).scores["fake_i"]
    assert gain.value == pytest.approx(-0.7)
    assert gain.counts == {"errors": -7, "total": 10}
    other = fake(lambda s: rate(9, 12) if s.estimate is s.mixture else rate(2, 10))
    assert evaluate(signals(), [improvement(other)]).scores["fake_i"].counts is None


@pytest.mark.parametrize(
    ("need", "without", "reason"),
    [
        (Need.ESTIMATE, {"estimate": None}, "the system returns no waveform"),
        (Need.HYPOTHESIS, {"hypothesis": None}, "the system returns no words"),
        (Need.TARGET, {"target": None}, "the target is absent"),
        (Need.ABSENCE, {}, "the target is present"),
        (Need.INTERFERERS, {"interferers": np.zeros((0, 3200), np.float32)}, "the trial has no interferer"),
        (Need.TRANSCRIPT, {"transcript": None}, "the trial has no transcript"),
        (Need.ENROLMENT, {"enrolment": ()}, "the trial has no enrolment"),
        (Need.ALIGNED, {"aligned": False}, "the system's output is not aligned with the target"),
    ],
)
def test_a_metric_whose_need_is_not_met_does_not_apply(
    fake: Callable[..., Metric], need: Need, without: dict[str, object], reason: str
) -> None:
    computed = []
    metric = fake(lambda s: Score(float(computed.append(1) or 1)), need)
    answer = replace(signals(), **without)
    done = evaluate(answer, [metric, improvement(metric)])
    for score in done.scores.values():
        assert (score.value, score.status, score.reason) == (None, Status.NOT_APPLICABLE, reason)
    if need is not Need.ABSENCE:
        assert missing(signals(), metric) is None


def test_the_empty_transcript_is_a_transcript(fake: Callable[..., Metric]) -> None:
    metric = fake(lambda s: Score(1.0), Need.TRANSCRIPT, Need.HYPOTHESIS)
    assert missing(replace(signals(), transcript="", hypothesis=""), metric) is None


QUICK = [
    m
    for m in known_metrics().values()
    if {"onnxruntime", "pesq", "pocketsphinx"}.isdisjoint(m.packages) and not m.extra
]
NETWORKS = [m for m in known_metrics().values() if m not in QUICK and not m.extra]


@pytest.mark.parametrize("chosen", [QUICK, pytest.param(NETWORKS, marks=pytest.mark.slow)], ids=["quick", "networks"])
def test_metrics_together_score_as_each_does_alone(chosen: list[Metric]) -> None:
    """What one metric leaves in the shared memory must not reach another, nor the mixture's scores the estimate's."""
    assert chosen
    together = evaluate(signals(1.0), chosen).scores
    assert evaluate(signals(1.0), reversed(chosen)).scores == together
    for metric in chosen:
        alone = evaluate(signals(1.0), [metric]).scores[metric.id]
        assert together[metric.id] == alone, metric.id
        assert alone.status is not Status.FAILED, alone.reason


def test_memo_computes_once_per_key() -> None:
    s, calls = signals(), []
    assert [s.memo("key", lambda: calls.append(1) or 7) for _ in range(3)] == [7, 7, 7]
    assert len(calls) == 1


def test_the_mixture_in_the_place_of_the_estimate_keeps_the_truth_and_no_memory_of_the_estimate() -> None:
    s = replace(signals(), aligned=False)
    resampled, target = s.at("estimate", 8000), s.at("target", 8000)
    mixture = s.mixture_as_estimate()
    assert mixture.estimate is s.mixture
    assert mixture.hypothesis is None
    assert mixture.aligned
    assert mixture.at("target", 8000) is target
    assert not np.array_equal(mixture.at("estimate", 8000), resampled)
