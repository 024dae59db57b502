"""Reading run folders back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tspbench.errors import CannotMeasure, UsageError
from tspbench.store import read_lines, read_record, read_summary

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run folder, sealed or not.

    >>> tspbench.load_run("runs/lass-demo/nmf-1a2b3c4d").scores  # doctest: +SKIP
    """

    path: Path
    record: dict[str, Any]

    @property
    def status(self) -> str:
        """``started``, ``sealed``, ``partial`` or ``failed``."""
        return str(self.record["status"])

    @property
    def summary(self) -> dict[str, Any]:
        """``summary.json``; rebuilt from the lines when it is not there."""
        from tspbench.summary import summarise

        return read_summary(self.path) or summarise(self.path)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per trial and metric: system, task, trial_id, metric, value, status, reason, baseline, counts."""
        import pandas as pd

        columns = ["trial_id", "metric", "value", "status", "reason", "baseline", "counts"]
        frame = pd.DataFrame(list(read_lines(self.path / "scores.jsonl")), columns=columns)
        frame.insert(0, "task", self.record["identity"]["task"]["name"])
        frame.insert(0, "system", self.record["identity"]["system"]["name"])
        return frame.astype({"value": "float64", "baseline": "float64"})

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per attempted trial; nested fields are flattened (``output.peak``, ``conditions.snr_db``)."""
        import pandas as pd

        return pd.json_normalize(list(read_lines(self.path / "trials.jsonl")), max_level=1)


def load_run(path: str | Path) -> Run:
    """Open a run folder of any schema version that tspbench ever wrote.

    Raises
    ------
    UsageError
        The folder holds no run, or a later tspbench wrote it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    return Run(folder, read_record(folder))


def refuse_part(run: Run) -> None:
    """Let no part of a run (``--shard``) be taken for a whole.

    Raises
    ------
    CannotMeasure
        It is a part.
    """
    shard = run.record["identity"]["task"].get("shard")
    if shard:
        raise CannotMeasure(
            f"{run.path} is part {shard['number']} of {shard['of']} of a run. "
            "Put the parts together first: tspbench merge PART… --out DIR"
        )
