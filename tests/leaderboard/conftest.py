"""Finished runs without audio: the lines are written by hand, so every mean is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tspbench.leaderboard import add

HARDWARE = "some processor, 2 cores, 1 thread"


def metric(name: str = "si_sdr", **changes: Any) -> dict[str, Any]:
    record = {
        "id": name,
        "version": 1,
        "parameters": {"zero_mean": False},
        "level": None,
        "penalty": -50.0,
        "aggregate": "mean",
        "implementation": "tspbench (numpy)",
        "packages": {},
        "instrument": None,
    }
    return record | changes


def run_record(label: str, metrics: Sequence[Mapping[str, Any]], trials: int, **changes: Any) -> dict[str, Any]:
    task = {
        "name": "small",
        "kind": "lass",
        "trial_list": "ab" * 32,
        "trials": trials,
        "of": trials,
        "cluster": "clip",
        "reader": "",
    }
    system = {"name": label, "digest": f"digest-of-{label}", "options": {}, "code": "c0de", "weights": {}}
    protocol = {"sample_rate": 8000, "batch_size": 1, "seed": 0, "device": "cpu", "precision": "float32"}
    record = {
        "schema": 1,
        "status": "sealed",
        "run_id": f"{label}-1",
        "created": "2026-11-20T20:54:01+00:00",
        "identity": {"system": system, "task": task, "protocol": protocol},
        "metrics": list(metrics),
        "role": "system",
        "aligned": True,
        "side_information": [],
        "synthetic": False,
        "code": {"tspbench": "0.1.0", "commit": "0123456789abcdef", "dirty": False},
        "environment": {"python": "3.11.7", "platform": "Linux-6.1-somehost-x86_64", "packages": {}},
        "hardware": {"cpu": "some processor", "cores": 2, "memory_bytes": 1, "gpus": []},
        "counts": {"expected": trials, "attempted": trials, "ok": trials, "failed": 0, "timed_out": 0},
        "wall_time_s": 1.0,
        "edits": [],
    }
    for path, value in changes.items():
        *parents, last = path.split("__")
        place: Any = record
        for name in parents:
            place = place[name]
        place[last] = value
    return record


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., Path]:
    """Write a run folder; scores are lists by metric id, None standing for an undefined one."""

    def make(
        label: str,
        scores: Mapping[str, Sequence[float | None]] | None = None,
        *,
        metrics: Sequence[Mapping[str, Any]] = (),
        profile: Mapping[str, Any] | None = None,
        folder: str = "",
        **changes: Any,
    ) -> Path:
        scores = scores or {"si_sdr": [1.0, 2.0, 3.0, 6.0]}
        trials = len(next(iter(scores.values())))
        record = run_record(label, metrics or [metric(name) for name in scores], trials, **changes)
        path = tmp_path / "runs" / (folder or label.replace("/", "_"))
        path.mkdir(parents=True)
        (path / "run.json").write_text(json.dumps(record))
        write_lines(path, scores, trials)
        if profile is not None:
            figures = {"latency_p50_s": 0.25, "peak_cpu_bytes": 2e9, "parameters": 1e6} | dict(profile)
            (path / "profile.json").write_text(
                json.dumps(
                    {"hardware_key": HARDWARE, "figures": figures, "environment": {"platform": "Linux-somehost"}}
                )
            )
        return path

    return make


def write_lines(path: Path, scores: Mapping[str, Sequence[float | None]], trials: int) -> None:
    rows, lines = [], []
    for i in range(trials):
        rows.append(
            {
                "trial_id": f"t{i}",
                "status": "ok",
                "error": None,
                "input_digest": None,
                "duration_s": 1.0,
                "output": None,
                "text": None,
                "time": {},
                "conditions": {"snr": "low" if i % 2 else "high"},
                "clusters": {"clip": f"c{i // 2}"},
            }
        )
        for name, values in scores.items():
            status = (
                {"status": "ok", "reason": None}
                if values[i] is not None
                else {"status": "undefined", "reason": "silent"}
            )
            lines.append({"trial_id": f"t{i}", "metric": name, "value": values[i], **status})
    (path / "trials.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "leaderboards"
    (path / "results").mkdir(parents=True)
    return path


@pytest.fixture
def board(root: Path, finished: Callable[..., Path]) -> Path:
    """A board of three systems, of which two are alike, and three bounds; one system was profiled."""
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, 40)
    rows = {
        "mixture": hard,
        "good": hard + 9,
        "alike": hard + 9 + rng.normal(0, 0.5, 40),
        "weak": hard + 2,
        "oracle": hard + 15,
    }
    for label, values in rows.items():
        role = "bound" if label in ("mixture", "oracle") else "system"
        told = ["the target"] if label == "oracle" else []
        latency = {"good": 0.3, "alike": 0.2, "weak": 0.1}
        profile = {"latency_p50_s": latency[label]} if label in latency else None
        add(finished(label, {"si_sdr": values.tolist()}, role=role, side_information=told, profile=profile), root)
    return root


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Open a board's page; at the end nothing was logged, nothing broke and no request left the machine."""
    troubles: list[str] = []
    contexts = []

    def open_page(root: Path, width: int = 1300, scheme: str = "light") -> Any:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("requestfailed", lambda request: troubles.append(f"failed: {request.url}"))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url),
        )
        page.goto((root / "index.html").resolve().as_uri())
        page.wait_for_selector("#grid .tabulator-row")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
