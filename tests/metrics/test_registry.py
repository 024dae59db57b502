"""Every metric says all that a reader of its numbers must know; ids lead to exactly one computation."""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tspbench import metrics
from tspbench.errors import UnknownName, UsageError
from tspbench.metrics import Metric, Need, Score, improvement, known_metrics, resolve
from tspbench.metrics.declaration import Status

ALL = known_metrics()
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


@every_metric
def test_the_declaration_is_complete(metric: Metric) -> None:
    for name in ("id", "summary", "formula", "silence", "implementation", "citation"):
        text = getattr(metric, name)
        assert isinstance(text, str), name
        assert text.strip(), name
    assert isinstance(metric.unit, str)
    assert metric.version >= 1
    assert metric.aggregate in ("mean", "pooled")
    assert metric.level in ("matched", "raw", None)
    assert callable(metric.compute)
    assert all(rate > 0 for rate in metric.sample_rates)
    json.dumps([dict(metric.parameters), dict(metric.also_called)], allow_nan=False)


@every_metric
def test_the_id_can_name_a_column_and_a_file(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\[[a-z0-9_=,.-]+\])?", metric.id)
    assert resolve(metric.id) is metric


@every_metric
def test_bounds_are_in_order_and_the_penalty_is_a_value_that_could_occur(metric: Metric) -> None:
    low, high = metric.bounds
    assert math.isfinite(metric.penalty)
    assert low is None or low <= metric.penalty
    assert high is None or metric.penalty <= high
    assert low is None or high is None or low < high


@every_metric
def test_needs_are_stated_and_not_contradictory(metric: Metric) -> None:
    assert metric.needs & {Need.ESTIMATE, Need.HYPOTHESIS}
    assert not {Need.TARGET, Need.ABSENCE} <= metric.needs
    if Need.ALIGNED in metric.needs:
        assert {Need.ESTIMATE, Need.TARGET} <= metric.needs


@every_metric
def test_packages_are_distributions_that_are_installed_or_have_an_extra(metric: Metric) -> None:
    extras = importlib.metadata.metadata("tspbench").get_all("Provides-Extra") or []
    assert metric.extra is None or metric.extra in extras
    for package in metric.packages:
        if metric.extra is None:
            assert importlib.metadata.version(package)


@every_metric
def test_a_gain_exists_exactly_where_it_is_declared(metric: Metric) -> None:
    base, bracket, rest = metric.id.partition("[")
    gain = ALL.get(f"{base}_i{bracket}{rest}")
    assert (gain is not None) is metric.improves
    if gain is None:
        return
    assert gain.improvement_of == metric.id
    assert gain.formula == f"{metric.id}(estimate) - {metric.id}(mixture)"
    assert gain.bounds == (None, None)
    for name in ("unit", "needs", "higher_is_better", "version", "packages", "level", "parameters"):
        assert getattr(gain, name) == getattr(metric, name), name


@every_metric
def test_an_undefined_gain_counts_as_a_loss(metric: Metric) -> None:
    if metric.improvement_of:
        assert metric.penalty < 0 if metric.higher_is_better else metric.penalty > 0


def test_the_metrics_of_the_field_are_there_and_sorted() -> None:
    assert {"snr", "si_sdr", "si_snr", "sdr", "si_sdr_i", "sdr_i", "pesq_wb", "estoi", "dnsmos_ovrl"} <= set(ALL)
    assert list(ALL) == sorted(ALL)


def test_no_id_is_declared_twice() -> None:
    ids = [metric.id for module in metrics._modules() for metric in module.METRICS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "name", ["sisdr", "SI_SDR", "si-sdr", "", "si_sdr_i_i", "wrong_target_i", "si_sdr[", "nope[x]"]
)
def test_what_is_no_metric_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownName, match=r"There is no metric called .* List them with: tspbench list metrics\."):
        resolve(name)


def test_the_nearest_is_named() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean .*si_sdr"):
        resolve("sisdr")


@pytest.mark.parametrize("name", ["wrong_target[x=1]", "leakage[]"])
def test_parameters_where_none_are_taken_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="takes no parameters in brackets"):
        resolve(name)


def test_there_is_no_gain_of_what_does_not_improve() -> None:
    for name in ("wrong_target", "si_sdr_i"):
        with pytest.raises(UsageError, match=f"no improvement of '{name}' over the mixture"):
            improvement(ALL[name])


def test_several_metrics_are_resolved_once_each_in_the_order_asked() -> None:
    found = metrics.resolve_all(["snr", "si_sdr_i", "snr", "si_sdr"])
    assert [metric.id for metric in found] == ["snr", "si_sdr_i", "si_sdr"]


def parametrised(given: Mapping[str, str]) -> Metric:
    inside = ",".join(v if k == "instrument" else f"{k}={v}" for k, v in sorted(given.items()))
    return replace(FAKE, id=f"fake[{inside}]", parameters=dict(given), parametrise=None)


FAKE = replace(ALL["snr"], id="fake", compute=lambda signals: Score(1.0), parametrise=parametrised)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A third party's metric with variants."""
    entry = SimpleNamespace(load=lambda: SimpleNamespace(METRICS=[FAKE]))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == metrics.GROUP else [])
    known_metrics.cache_clear()
    yield
    known_metrics.cache_clear()


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_brings_its_metrics_with_their_gains() -> None:
    assert resolve("fake") is FAKE
    assert resolve("fake_i").improvement_of == "fake"


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize(
    ("asked", "parameters"),
    [
        ("fake[level=raw]", {"level": "raw"}),
        ("fake[sphinx]", {"instrument": "sphinx"}),
        ("fake[sphinx, text=raw]", {"instrument": "sphinx", "text": "raw"}),
    ],
)
def test_brackets_make_variants_and_variants_have_gains(asked: str, parameters: dict[str, str]) -> None:
    variant = resolve(asked)
    assert variant.parameters == parameters
    assert resolve(variant.id).id == variant.id
    gain = resolve(asked.replace("fake", "fake_i"))
    assert gain.improvement_of == variant.id
    assert gain.id == variant.id.replace("fake", "fake_i")
    assert resolve(gain.id).improvement_of == variant.id


@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize("asked", ["fake[a=1,a=2]", "fake[one,two]"])
def test_a_parameter_that_is_said_twice_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match="twice"):
        resolve(asked)


def test_a_score_without_a_value_says_why() -> None:
    assert Score.undefined("silent estimate") == Score(None, Status.UNDEFINED, "silent estimate")
