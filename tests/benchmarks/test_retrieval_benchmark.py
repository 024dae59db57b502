"""Looking up a thousand sounds in a cache of a million captions: time beside plain loops, and memory.

Run with: nox -s benchmarks
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.bench
SIZE = 512
LEAST = 2.0
"""Times as fast as one matrix-vector product per query, at least."""
MOST_MIB = 200
"""Beside the interpreter: 64 MiB of products, 32 of rows, twice while a block is exchanged."""

WATCHED = """
import json, sys, threading, time
import numpy as np
from tspbench.systems.unpaired.retrieval import nearest

def own():  # anonymous memory: pages of the mapped file can be taken back at any time
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

vectors = np.load(sys.argv[1], mmap_mode="r")
queries = np.load(sys.argv[2])
nearest(queries[:8], vectors[:1000])  # whatever is allocated once
peak = start = own()
done = threading.Event()

def watch():
    global peak
    while not done.wait(0.005):
        peak = max(peak, own())

watcher = threading.Thread(target=watch)
watcher.start()
began, cpu = time.perf_counter(), time.process_time()
found, _ = nearest(queries, vectors)
seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
done.set()
watcher.join()
print(json.dumps({"mib": (peak - start) / 1024, "seconds": seconds, "cpu": cpu, "found": found.tolist()}))
"""


def units(rng: np.random.Generator, count: int) -> Any:
    vectors = rng.standard_normal((count, SIZE), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time, which other work on the machine disturbs little, and the result."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def test_blocks_beside_one_product_per_query_and_beside_the_whole_product() -> None:
    from tspbench.systems.unpaired.retrieval import nearest

    rng = np.random.default_rng(0)
    vectors, queries = units(rng, 100_000), units(rng, 200)
    nearest(queries[:2], vectors[:2])
    blocked, (found, _) = seconds(lambda: nearest(queries, vectors))
    looped, one_by_one = seconds(lambda: [int(np.argmax(vectors @ query)) for query in queries])
    whole, at_once = seconds(lambda: (queries @ vectors.T).argmax(axis=1))
    assert found.tolist() == one_by_one == at_once.tolist()
    print(f"\n200 in 100,000: {blocked:.2f} s; a product per query {looped:.2f} s, one whole product {whole:.2f} s")
    print(f"{looped / blocked:.1f} and {whole / blocked:.1f} times as long")
    assert looped > LEAST * blocked


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_thousand_in_a_million_in_bounded_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 1_000_000
    mapped = np.lib.format.open_memmap(tmp_path / "vectors.npy", mode="w+", dtype=np.float32, shape=(count, SIZE))
    for start in range(0, count, 50_000):
        mapped[start : start + 50_000] = units(rng, 50_000)
    truth = rng.integers(count, size=1000)
    queries = mapped[truth] + 0.5 * units(rng, 1000)  # nearer to its own row than to any other
    mapped.flush()
    np.save(tmp_path / "queries.npy", queries)
    command = [sys.executable, "-c", WATCHED, str(tmp_path / "vectors.npy"), str(tmp_path / "queries.npy")]
    seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    whole = 4 * count * 1000 / 2**20
    times = f"{seen['seconds']:.1f} s, {seen['cpu']:.1f} s of processor time"
    print(f"\n1,000 in 1,000,000: {times}, {seen['mib']:.0f} MiB; the whole product: {whole:.0f} MiB")
    assert seen["found"] == truth.tolist()
    assert seen["mib"] < MOST_MIB
