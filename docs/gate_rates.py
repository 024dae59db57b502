"""How often the gate is right: false alarms, misses and undecided runs on simulated test sets.

Prints the table of docs/quality-gate.md: python docs/gate_rates.py [REPEATS]

The rule is "si_sdr > baseline - 0.2". Trials come in clusters of 1 to 7; the
paired differences of a cluster share a normal part of 0.4 dB, and each trial
adds one of 0.8 dB.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from tspbench.gate import gate
from tspbench.sealed import Sealed

MARGIN = 0.2
CLUSTERS = (10, 30, 100, 300)
CHANGES = (0.0, -0.2, -0.4)
RECORD = {"id": "si_sdr", "version": 1, "penalty": -50.0, "aggregate": "mean"}
FACTS = {"unit": "dB", "higher_is_better": True}


def result(values: np.ndarray, clusters: np.ndarray) -> Sealed:
    """A sealed result that holds these values, shape (n,)."""
    return Sealed(
        schema=1, label="simulated", role="system", identity={"system": {}, "task": {}, "protocol": {}},
        metrics=(RECORD,), trial_ids=tuple(f"t{i:05d}" for i in range(len(values))),
        clusters=tuple(map(str, clusters)), conditions=({},) * len(values), values={"si_sdr": tuple(values.tolist())},
        statuses={"si_sdr": ("ok",) * len(values)}, errors={}, totals={}, side_information=(), synthetic=True,
        aligned=True, code={}, environment={}, hardware={}, created="", counts={},
        summary={"metrics": {"si_sdr": FACTS}},
    )  # fmt: skip


def outcome(count: int, change: float, rng: np.random.Generator) -> str:
    """Of one gate over ``count`` clusters where the system has changed by ``change`` dB."""
    clusters = np.repeat(np.arange(count), rng.integers(1, 8, count))
    before = rng.normal(10, 4, len(clusters))
    shared, own = rng.normal(0, 0.4, count)[clusters], rng.normal(0, 0.8, len(clusters))
    rule = f"si_sdr > baseline - {MARGIN}"
    return gate(result(before + change + shared + own, clusters), result(before, clusters), [rule]).outcome


def rates(repeats: int, clusters: Sequence[int] = CLUSTERS) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Clusters, change in dB, and the share of gates that passed, regressed and were undecided."""
    rng = np.random.default_rng(0)
    for count in clusters:
        for change in CHANGES:
            found = Counter(outcome(count, change, rng) for _ in range(repeats))
            yield count, change, {name: found[name] / repeats for name in ("passed", "regressed", "undecided")}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for count, change, shares in rates(repeats):
        cells = " | ".join(f"{100 * share:.1f}" for share in shares.values())
        print(f"| {count} | {change:+.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
