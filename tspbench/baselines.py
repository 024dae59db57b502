"""Scores that depend on the trial alone: the unprocessed mixture's, and those of the bounds.

They are computed once per machine and shared by all runs. The key names the
rendered samples, the metric, its version, the packages that compute it and the
model of its instrument, so a stale value cannot be found.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

import platformdirs

from tspbench.metrics import Metric, Score, Status, resolve

MIXTURE = "mixture"
UPPER = "upper:"
"""Marks the rows of bounds that know the target; ``upper:clean``."""


def cache_folder() -> Path:
    """``TSPBENCH_CACHE``, or the platform's cache folder."""
    named = os.environ.get("TSPBENCH_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("tspbench"))


class Baselines:
    """A table of scores by (row, metric, rendered samples). Unusable storage only makes it forgetful."""

    def __init__(self, folder: Path | None = None, instruments: Mapping[str, str] | None = None) -> None:
        self._instruments = instruments or {}
        self._keys: dict[tuple[str, str], str] = {}
        folder = folder or cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = self._connect(str(folder / "baselines.sqlite"))
        except (OSError, sqlite3.Error):
            self._db = self._connect(":memory:")

    def find(self, input_digest: str, metrics: Iterable[Metric], row: str = MIXTURE) -> dict[str, Score]:
        """The known scores of some metrics, by metric id."""
        keys = {self._key(row, metric.id): metric.id for metric in metrics}
        marks = ",".join("?" * len(keys))
        with contextlib.suppress(sqlite3.Error):
            query = f"SELECT metric, score FROM baseline WHERE input = ? AND metric IN ({marks})"
            found = self._db.execute(query, [input_digest, *keys]).fetchall()
            return {keys[key]: _unpack(packed) for key, packed in found}
        return {}

    def add(self, input_digest: str, scores: Mapping[str, Score], row: str = MIXTURE) -> None:
        """Remember scores by metric id; a failure is not remembered, it may pass."""
        lasting = {name: score for name, score in scores.items() if score.status is not Status.FAILED}
        rows = [(input_digest, self._key(row, name), _pack(score)) for name, score in lasting.items()]
        # Committed at once: runs beside this one write to the same table.
        with contextlib.suppress(sqlite3.Error), self._db:
            self._db.execute("INSERT OR IGNORE INTO label VALUES (?)", [row])
            self._db.executemany("INSERT OR REPLACE INTO baseline VALUES (?, ?, ?)", rows)

    def rows(self) -> list[str]:
        """The rows that anything is known of: the mixture and the bounds that were run here."""
        with contextlib.suppress(sqlite3.Error):
            return [label for (label,) in self._db.execute("SELECT name FROM label ORDER BY name")]
        return []

    def close(self) -> None:
        self._db.close()

    def _key(self, row: str, metric_id: str) -> str:
        if (row, metric_id) not in self._keys:
            metric = resolve(metric_id)
            packages = ",".join(f"{name}={version}" for name, version in sorted(package_versions(metric).items()))
            instrument = self._instruments.get(str(metric.parameters.get("instrument")), "")
            self._keys[row, metric_id] = f"{row}|{metric.id}|{metric.version}|{packages}|{instrument}"
        return self._keys[row, metric_id]

    @staticmethod
    def _connect(name: str) -> sqlite3.Connection:
        db = sqlite3.connect(name, timeout=2)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=OFF")
        db.execute(
            "CREATE TABLE IF NOT EXISTS baseline "
            "(input TEXT, metric TEXT, score TEXT, PRIMARY KEY (input, metric)) WITHOUT ROWID"
        )
        db.execute("CREATE TABLE IF NOT EXISTS label (name TEXT PRIMARY KEY)")
        return db


def package_versions(metric: Metric) -> dict[str, str]:
    """The installed versions of the packages that compute a metric."""
    versions = {}
    for package in metric.packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _pack(score: Score) -> str:
    return json.dumps([score.value, score.status.value, score.reason, score.counts])


def _unpack(packed: str) -> Score:
    value, status, reason, counts = json.loads(packed)
    return Score(value, Status(status), reason, counts)
