"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tspbench import manifest
from tspbench.metrics import resolve
from tspbench.sealed import Sealed
from tspbench.types import Clip, Mix, QueryRecipe, Role, Source, TaskKind, Trial

RATE = 8000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TSPBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    """Write a manifest of short noise mixtures and return its path.

    Trial ``t<i>`` asks for its target with the text ``<i>``; lengths vary.
    """

    def make(trials: int = 12, kind: TaskKind = TaskKind.LASS, name: str = "tiny") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for i in range(trials + 2):
            samples = 0.1 * rng.standard_normal(RATE // 5 + 37 * (i % 5)).astype(np.float32)
            soundfile.write(folder / f"{i}.wav", samples, RATE, subtype="FLOAT")
        rows = [
            Trial(
                trial_id=f"t{i}",
                sources=(
                    Source(f"{i}.wav", role=Role.TARGET),
                    Source(f"{i + 1}.wav", transcript="other words"),
                ),
                mix=Mix(snr_db=float(i % 5)),
                query=QueryRecipe(text=str(i), enrolment=(Clip(f"{i + 2}.wav"),)),
                transcript="some words",
                conditions={"parity": "even" if i % 2 == 0 else "odd", "snr_db": float(i % 5)},
                clusters={"clip": str(i // 2)},
            )
            for i in range(trials)
        ]
        header = manifest.Header(
            kind=kind, sample_rate=RATE, name=name, cluster="clip", metrics=("si_sdr", "si_sdr_i", "snr")
        )
        manifest.write(folder / "manifest.jsonl", header, rows)
        return folder / "manifest.jsonl"

    return make


@pytest.fixture
def sealed_result() -> Callable[..., Sealed]:
    """Make a sealed result from the values of its metrics: None is undefined, "-" does not apply.

    A pooled metric's values are (errors, total). Trial ``t<i>`` is of cluster
    ``clusters[i]``, of one of its own by default.
    """

    def make(
        metrics: Mapping[str, Sequence[Any]],
        clusters: Sequence[Any] | None = None,
        conditions: Sequence[Mapping[str, Any]] | None = None,
        label: str = "one",
        **fields: Any,
    ) -> Sealed:
        count = len(next(iter(metrics.values())))
        declared = {name: resolve(name) for name in metrics}
        pooled = [name for name, metric in declared.items() if metric.aggregate == "pooled"]
        scored = {name: [isinstance(v, int | float | tuple) for v in values] for name, values in metrics.items()}
        made = Sealed(
            schema=1,
            label=label,
            role="system",
            identity={
                "system": {"name": label, "digest": label * 8},
                "task": {"name": "made", "trial_list": "a" * 64},
                "protocol": {"sample_rate": RATE, "seed": 0},
            },
            metrics=tuple(
                {"id": name, "version": 1, "penalty": metric.penalty, "aggregate": metric.aggregate, "packages": {}}
                for name, metric in declared.items()
            ),
            trial_ids=tuple(f"t{i:04d}" for i in range(count)),
            clusters=tuple(map(str, clusters if clusters is not None else range(count))),
            conditions=tuple(conditions or [{}] * count),
            values={
                name: tuple(
                    (v[0] / v[1] if name in pooled else float(v)) if ok else None
                    for v, ok in zip(values, scored[name], strict=True)
                )
                for name, values in metrics.items()
            },
            statuses={
                name: tuple("not_applicable" if v == "-" else "ok" if v is not None else "undefined" for v in values)
                for name, values in metrics.items()
            },
            errors={name: tuple(v[0] if isinstance(v, tuple) else None for v in metrics[name]) for name in pooled},
            totals={name: tuple(v[1] if isinstance(v, tuple) else None for v in metrics[name]) for name in pooled},
            side_information=(),
            synthetic=True,
            aligned=True,
            code={},
            environment={},
            hardware={},
            created="",
            counts={"ok": count},
            summary={
                "metrics": {
                    name: {"unit": metric.unit, "higher_is_better": metric.higher_is_better}
                    for name, metric in declared.items()
                }
            },
        )
        return replace(made, **fields)

    return make


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, one for all: Playwright does not start twice in a process. Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()
