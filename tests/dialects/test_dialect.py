"""Dialects are declared whole, found by name, and run like any metric."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import tspbench
from tspbench import dialect as dialects
from tspbench.cli import group
from tspbench.dialect import Dialect, find_dialect, known_dialects, reading
from tspbench.dialect_page import dialect_page
from tspbench.errors import MissingWeights, UnknownName, UsageError
from tspbench.metrics import Metric, Status, resolve
from tspbench.metrics.evaluate import evaluate
from tspbench.metrics.signals import Signals
from tspbench.metrics.span import compared
from tspbench.runner import request
from tspbench.task import load_task
from tspbench.types import TaskKind

ALL = known_dialects()
every_dialect = pytest.mark.parametrize("dialect", ALL.values(), ids=ALL)
REQUIRED = {"clapsep", "audiosep", "speakerbeam", "wesep", "tselm", "ts-whisper"}


def test_the_six_are_there() -> None:
    assert set(ALL) >= REQUIRED


@every_dialect
def test_the_declaration_is_complete(dialect: Dialect) -> None:
    for name in ("summary", "rate", "span", "silence", "clipping", "averaging", "citation", "source"):
        assert getattr(dialect, name).strip(), name
    for figure in dialect.figures:
        metric = figure.metric
        assert re.fullmatch(rf"[A-Za-z][\w.-]*@{dialect.name}", metric.id)
        assert resolve(metric.id) is metric
        assert metric.average is not None
        assert figure.same or figure.differs
        assert resolve(figure.ours).dialect is None
        if metric.improvement_of:
            assert resolve(metric.improvement_of).dialect == dialect.name
        low, high = metric.bounds
        assert low is None or low <= metric.penalty
        assert high is None or metric.penalty <= high


@every_dialect
def test_the_page_is_plain_data_and_names_both_definitions(dialect: Dialect) -> None:
    page = dialect_page(dialect.name)
    json.dumps(page, allow_nan=False)
    assert set(page["figures"]) == {figure.label for figure in dialect.figures}
    assert all(figure["formula"] and figure["our_formula"] for figure in page["figures"].values())


@pytest.mark.parametrize("rate", [8_000, 32_000, 44_100])
def test_same_figures_give_our_values_at_their_rate(rate: int) -> None:
    rng = np.random.default_rng(1)
    target = rng.standard_normal(rate).astype(np.float32) * 0.1
    mixture = target + 0.1 * rng.standard_normal(rate).astype(np.float32)
    estimate = target + 0.03 * rng.standard_normal(rate).astype(np.float32)
    signals = Signals(rate, mixture, target, estimate=estimate)
    for name in ("clapsep", "speakerbeam"):
        for figure in find_dialect(name).figures:
            if not figure.same:
                continue
            there = compared(signals, figure.metric.sample_rates)
            own = Signals(there.rate, signals.at("mixture", there.rate), there.target, estimate=there.estimate)
            ours = evaluate(own, [resolve(figure.ours)]).scores[figure.ours].value
            theirs = evaluate(signals, [figure.metric]).scores[figure.metric.id].value
            assert theirs == pytest.approx(ours, abs=1e-6)


def test_the_span_cuts_and_pads() -> None:
    samples = np.ones(30, np.float32)
    signals = Signals(10, samples, samples, estimate=2 * samples)
    assert compared(signals, (10,), 2.0).target.shape == (20,)
    padded = compared(signals, (10,), 4.0)
    assert padded.estimate.tolist() == [2.0] * 30 + [0.0] * 10
    assert compared(signals, (10, 20)).rate == 10
    assert compared(signals, (20, 40)).rate == 20


def test_names_that_do_not_exist() -> None:
    with pytest.raises(UnknownName, match=r"no dialect called 'clapsp'\. Did you mean clapsep"):
        find_dialect("clapsp")
    with pytest.raises(UnknownName, match=r"no metric called 'SDR1@clapsep'.*show dialect clapsep"):
        resolve("SDR1@clapsep")
    with pytest.raises(UnknownName, match="no dialect called 'nobody'"):
        resolve("SDRi@nobody")


def test_a_plug_in_brings_a_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = replace(find_dialect("ts-whisper"), name="mine", figures=())
    entry = SimpleNamespace(load=lambda: mine)
    found = importlib.metadata.entry_points
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda **kw: [entry] if kw == {"group": "tspbench.dialects"} else found(**kw),
    )
    dialects._declared.cache_clear()
    assert known_dialects()["mine"] is mine
    entry.load = lambda: [mine, replace(mine, name="clapsep")]
    dialects._declared.cache_clear()
    with pytest.raises(UsageError, match="Two dialects are called 'clapsep'"):
        known_dialects()
    figure = replace(find_figure(), metric=reading("SDR@other", "snr"))
    entry.load = lambda: replace(mine, figures=(figure,))
    dialects._declared.cache_clear()
    with pytest.raises(UsageError, match="'mine' has a metric 'SDR@other': write LABEL@mine"):
        known_dialects()
    monkeypatch.undo()
    dialects._declared.cache_clear()


def find_figure() -> dialects.Figure:
    return ALL["clapsep"].figures[0]


@pytest.mark.parametrize("call", ["list dialects", "show dialect wesep", "list metrics"])
def test_looking_imports_nothing_heavy(call: str) -> None:
    script = (
        f"import sys\nsys.argv = ['tspbench', *{call.split()!r}]\nfrom tspbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'torch', 'transformers', 'librosa', 'onnxruntime', 'pandas', 'scipy.signal'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_run_score_and_resume_in_a_dialect(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest, out = str(tiny(trials=6)), tmp_path / "out"
    (run,) = tspbench.run("mixture", manifest, dialect="audiosep", out=out)
    assert [metric["dialect"] for metric in run.record["metrics"]] == ["audiosep", "audiosep"]
    gain = run.summary["metrics"]["SDRi@audiosep"]
    assert gain["published"] == {"mean": pytest.approx(0.0, abs=1e-9)}
    scores = run.scores.set_index(["metric", "trial_id"]).value
    assert run.summary["metrics"]["SI-SDR@audiosep"]["published"]["mean"] == pytest.approx(
        scores["SI-SDR@audiosep"].mean()
    )
    (again,) = tspbench.run("mixture", manifest, dialect="clapsep", metrics=("si_sdr",), out=out)
    assert again.status == "sealed"
    named = [metric["id"] for metric in again.record["metrics"]]
    assert named == ["SDRi@audiosep", "SI-SDR@audiosep", "SDRi@clapsep", "SI-SDRi@clapsep", "si_sdr"]
    assert set(again.summary["metrics"]["SDRi@clapsep"]["published"]) == {"mean", "std"}
    assert "published" not in again.summary["metrics"]["si_sdr"]


def test_score_gives_what_run_gives(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest = str(tiny(trials=4))
    (ran,) = tspbench.run("mixture", manifest, dialect="clapsep", out=tmp_path / "run", save_audio="all")
    scored = tspbench.score(tmp_path / "run" / "audio", manifest, dialect="clapsep", out=tmp_path / "score")
    columns = ["trial_id", "metric", "value", "status"]
    left, right = (
        frame[columns].sort_values(columns[:2]).reset_index(drop=True) for frame in (ran.scores, scored.scores)
    )
    assert left.equals(right)


def test_silence_is_judged_as_the_publication_does(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest = str(tiny(trials=4))
    (run,) = tspbench.run("silence", manifest, dialect="audiosep", out=tmp_path / "a")
    assert run.summary["metrics"]["SI-SDR@audiosep"]["published"] == {"mean": 0.0}
    (run,) = tspbench.run("silence", manifest, dialect="clapsep", out=tmp_path / "b")
    column = run.summary["metrics"]["SDRi@clapsep"]
    assert (column["published"], column["scored"], column["penalised_mean"]) == ({"mean": None, "std": None}, 0, -50.0)
    assert set(run.scores.query("metric == 'SDRi@clapsep'").status) == {Status.UNDEFINED}


def test_class_averages_read_the_condition_class(tiny: Callable[..., Path], tmp_path: Path) -> None:
    path = tiny(trials=6)
    path.write_text(path.read_text().replace('"parity"', '"class"'))
    (run,) = tspbench.run("mixture", str(path), dialect="audiosep-music", out=tmp_path / "out")
    values = run.scores.query("metric == 'SI-SDR@audiosep-music'").set_index("trial_id").value
    classes = run.trials.set_index("trial_id")["conditions.class"]
    expected = values.groupby(classes).mean().mean()
    assert run.summary["metrics"]["SI-SDR@audiosep-music"]["published"]["mean"] == pytest.approx(expected)


def test_a_task_of_another_kind_is_refused(tiny: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"The dialect 'ts-whisper' scores tsasr tasks; the task 'tiny' is lass\."):
        tspbench.run("mixture", str(tiny(trials=2)), dialect="ts-whisper", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_needs_a_checkpoint_is_left_out_and_said(
    tiny: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(metrics: list[Metric]) -> dict[str, str]:
        if any("instrument" in metric.parameters for metric in metrics):
            raise MissingWeights("no such checkpoint here")
        return {}

    monkeypatch.setattr(request, "instrument_identities", absent)
    task = load_task(str(tiny(trials=2, kind=TaskKind.TSE)))
    chosen = request.choose_metrics((), task, "tselm")
    assert [metric.id for metric in chosen.metrics] == ["SIG@tselm", "BAK@tselm", "OVRL@tselm"]
    assert set(chosen.left_out) == {"dWER@tselm", "WavLM-Sim@tselm"}
    assert set(chosen.left_out.values()) == {"no such checkpoint here"}
    with pytest.raises(MissingWeights):
        request.choose_metrics(("dWER@tselm",), task, "tselm")


@pytest.mark.slow
def test_the_command_line_says_what_is_left_out(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest = str(tiny(trials=2, kind=TaskKind.TSE))
    arguments = ["run", "--system", "mixture", "--task", manifest, "--dialect", "tselm", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == 0, done.output
    assert "left out: dWER@tselm" in done.output
    assert "OVRL@tselm" in done.output


def test_words_are_scored_in_a_dialect(tiny: Callable[..., Path], tmp_path: Path) -> None:
    manifest = str(tiny(trials=3, kind=TaskKind.TSASR))
    folder = tmp_path / "said"
    folder.mkdir()
    for i, text in enumerate(("some words", "some more words", "")):
        (folder / f"t{i}.txt").write_text(text)
    run = tspbench.score(folder, manifest, dialect="ts-whisper", out=tmp_path / "out")
    assert run.summary["metrics"]["WER@ts-whisper"]["published"] == {"mean": pytest.approx((0 + 0.5 + 1) / 3)}
