"""Every figure of every dialect against the published code's own values on the same samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import texts
from pairs import DEGRADED, RECORDINGS, Pair, recorded, synthetic

from tspbench.dialect import find_dialect
from tspbench.metrics import Metric, resolve
from tspbench.metrics.evaluate import evaluate
from tspbench.metrics.signals import Signals

TOLERANCE = 1e-3
ROUNDING_DB = 80.0
"""Beyond it a ratio is one of signals to their rounding, which depends on the library."""
UNSEEDED = {("ESTOI@wesep", "half-silent")}
"""pystoi adds noise from numpy's global generator, which the published code does not seed."""

CASES = [("clapsep", 32_000), ("audiosep", 32_000), ("speakerbeam", 8_000), ("speakerbeam", 16_000),
         ("wesep", 16_000), ("wesep", 8_000), ("tselm", 16_000)]  # fmt: skip
every_case = pytest.mark.parametrize(("dialect", "rate"), CASES)
needs_recordings = pytest.mark.skipif(not RECORDINGS.is_dir(), reason="no recordings in ../shared/data")


def published(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / f"published_{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def figures(dialect: str) -> list[Metric]:
    """Those that need no checkpoint."""
    return [metric for metric in find_dialect(dialect).metrics if not metric.parameters.get("instrument")]


def compare(dialect: str, pairs: Iterator[Pair], theirs: dict[str, dict[str, Any]]) -> None:
    """Equal values; none here where the published code stops, skips or has no finite number."""
    done = set()
    for pair in pairs:
        signals = Signals(pair.rate, pair.mixture, pair.target, estimate=pair.estimate)
        metrics = figures(dialect)
        found = evaluate(signals, metrics).scores
        for metric in metrics:
            value, ours = theirs[pair.name].get(metric.id.partition("@")[0]), found[metric.id].value
            where = f"{metric.id} on {pair.name}: {value} there, {found[metric.id]} here"
            if not isinstance(value, float):
                assert ours is None, where
                continue
            assert ours is not None, where
            done.add((metric.id, pair.name))
            if metric.unit == "dB" and value > ROUNDING_DB:
                assert pair.name == "perfect", where
                assert ours > ROUNDING_DB, where
            else:
                rough = 1.0 if (metric.id, pair.name) in UNSEEDED else TOLERANCE
                assert ours == pytest.approx(value, abs=rough), where
    assert len(done) >= 20 * len([metric for metric in figures(dialect) if any(m == metric.id for m, _ in done)])


@every_case
def test_on_synthetic_pairs(dialect: str, rate: int) -> None:
    theirs = published("synthetic")[f"{dialect}@{rate}"]
    assert list(theirs) == list(DEGRADED)
    compare(dialect, synthetic(rate), theirs)


@pytest.mark.slow
@needs_recordings
@every_case
def test_on_recordings(dialect: str, rate: int) -> None:
    compare(dialect, recorded(rate), published("recorded")[f"{dialect}@{rate}"])


def test_every_label_is_compared_somewhere() -> None:
    labels = {
        f"{label}@{case.partition('@')[0]}"
        for case, rows in published("synthetic").items()
        if case != "words"
        for row in rows.values()
        for label, value in row.items()
        if isinstance(value, float)
    }
    for dialect in ("clapsep", "audiosep", "speakerbeam", "wesep", "tselm"):
        assert {metric.id for metric in figures(dialect)} <= labels


def rates(metric: Metric, source: Callable[[], Iterator[tuple[str, str]]]) -> list[float]:
    found = [evaluate(Signals(16_000, None, hypothesis=said, transcript=true), [metric]) for true, said in source()]  # type: ignore[arg-type]
    return [one.scores[metric.id].value for one in found]


def compare_words(name: str, source: Callable[[], Iterator[tuple[str, str]]]) -> None:
    theirs = published(name)["words"]
    assert rates(resolve("WER@ts-whisper"), source) == theirs["ts-whisper"]["rates"]
    assert rates(resolve("wer_mean[text=raw]"), source) == theirs["tselm"]["rates"]  # dWER, where both texts are known


def test_words_of_written_sentences() -> None:
    compare_words("synthetic", texts.written)


@pytest.mark.skipif(not texts.LIST.exists(), reason="no published list in ../shared/data")
def test_words_of_a_published_list() -> None:
    compare_words("recorded", texts.published)


def test_torchmetrics_itself_says_the_same() -> None:
    torch = pytest.importorskip("torch")
    audio = pytest.importorskip("torchmetrics.functional.audio")
    for pair in [pair for pair in synthetic(32_000) if pair.name in ("leak", "filtered", "clipped")]:
        signals = Signals(32_000, pair.mixture, pair.target, estimate=pair.estimate)
        found = evaluate(signals, list(find_dialect("clapsep").metrics)).scores
        for label, metric in (
            ("SDRi", audio.signal_distortion_ratio),
            ("SI-SDRi", audio.scale_invariant_signal_distortion_ratio),
        ):
            mixture, target, estimate = map(torch.from_numpy, (pair.mixture, pair.target, pair.estimate))
            expected = float(metric(estimate, target) - metric(mixture, target))
            assert found[f"{label}@clapsep"].value == pytest.approx(expected, abs=TOLERANCE), pair.name
