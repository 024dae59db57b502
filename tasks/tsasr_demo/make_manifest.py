"""Writes the committed trial list: python -m tspbench.tasks.tsasr_demo.make_manifest [--out FILE]."""

from __future__ import annotations

import argparse
from pathlib import Path

from tspbench.corpus import read_corpus
from tspbench.draw import Rules, draw
from tspbench.manifest import Header, write
from tspbench.tasks.demo_voices import ALIKE, UTTERANCES
from tspbench.types import TaskKind, Trial

RULES = Rules(trials=60, snr=(9.0, 18.0), seed=219, length="max", apart=ALIKE)
"""Why these ratios: see description in task.toml. The seed is the first that gives an even list (every voice six times
target and six times interferer) without a mixture of tse-demo. Nothing was run on the lists to choose it."""

HEADER = Header(
    kind=TaskKind.TSASR,
    sample_rate=16_000,
    name="tsasr-demo",
    data_root="../demo_voices",
    cluster="speaker",
    synthetic=True,
    note="Synthetic speech, see the README of demo_voices.",
)


def trials() -> list[Trial]:
    """The trials in order, the same on every call."""
    return draw(read_corpus(UTTERANCES, TaskKind.TSASR), RULES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "manifest.jsonl")
    write(parser.parse_args().out, HEADER, trials())


if __name__ == "__main__":
    main()
