"""Scoring 200 real utterance pairs with VERSA's own scorer and with ``tspbench score``, values beside speed.

Not collected by pytest. Wants a checkout of github.com/wavlab-speech/versa, an interpreter that has what
VERSA's signal_metric, pesq and stoi import (torch, mir_eval, fast_bss_eval, ci_sdr, pesq, pystoi, kaldiio,
pyyaml, tqdm), and recordings of speech (../shared/data/librispeech, or --speech DIR):

    python tests/benchmarks/versa_comparison.py --versa ../versa --python ../versa-env/bin/python

Times are processor seconds of all processes (user and system), which other work on the machine disturbs
little, beside wall seconds; the two sides take turns, and each keeps its best round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
LIMIT_DB = 100.0
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "librispeech"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SAME = {"sdr": "sdr", "si_sdr": "si_snr", "pesq_wb": "pesq", "stoi": "stoi"}
"""Ours by VERSA's name for it. Its ``si_snr`` removes no mean, so it is our ``si_sdr``."""
VERSA_METRICS = ("signal_metric", "pesq", "stoi")
Times = dict[str, float]


# -- the pairs -------------------------------------------------------------------------------


def noisy(speech: np.ndarray, rng: np.random.Generator, snr_db: float) -> np.ndarray:
    return at_snr(speech, rng.standard_normal(speech.size), snr_db)


def at_snr(speech: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    return speech + other * np.std(speech) / (np.std(other) + 1e-12) * 10 ** (-snr_db / 20)


def reverberant(speech: np.ndarray, rng: np.random.Generator, t60_s: float) -> np.ndarray:
    from scipy.signal import fftconvolve

    time_s = np.arange(round(t60_s * RATE)) / RATE
    room = 0.05 * rng.standard_normal(time_s.size) * 10 ** (-3 * time_s / t60_s)
    room[0] = 1.0
    return fftconvolve(speech, room)[: speech.size]


def clipped(speech: np.ndarray, share_of_peak: float) -> np.ndarray:
    limit = share_of_peak * np.abs(speech).max()
    return np.clip(speech, -limit, limit)


def low_passed(speech: np.ndarray, hz: float) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    return sosfilt(butter(6, hz, fs=RATE, output="sos"), speech)


def companded(speech: np.ndarray, bits: int) -> np.ndarray:
    """Logarithmic companding to a few bits, as in telephone codecs."""
    peak = np.abs(speech).max()
    curve = np.sign(speech) * np.log1p(255 * np.abs(speech) / peak) / np.log(256)
    coarse = np.round(curve * 2 ** (bits - 1)) / 2 ** (bits - 1)
    return np.sign(coarse) * np.expm1(np.abs(coarse) * np.log(256)) / 255 * peak


DEGRADATIONS: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "noise at 20 dB": lambda s, other, rng: noisy(s, rng, 20),
    "noise at 10 dB": lambda s, other, rng: noisy(s, rng, 10),
    "noise at 0 dB": lambda s, other, rng: noisy(s, rng, 0),
    "reverberation of 0.5 s": lambda s, other, rng: reverberant(s, rng, 0.5),
    "clipping at a quarter of the peak": lambda s, other, rng: clipped(s, 0.25),
    "nothing above 2 kHz": lambda s, other, rng: low_passed(s, 2000),
    "companding to 4 bits": lambda s, other, rng: companded(s, 4),
    "another talker at 10 dB": lambda s, other, rng: at_snr(s, other, 10),
    "another talker at 0 dB": lambda s, other, rng: at_snr(s, other, 0),
    "a tenth of the level, noise at 30 dB": lambda s, other, rng: 0.1 * noisy(s, rng, 30),
    "low-passed, noisy, reverberant": lambda s, other, rng: noisy(reverberant(low_passed(s, 3500), rng, 0.3), rng, 15),
}


def write_pairs(folder: Path, speech: Path, count: int) -> float:
    """``reference/ID.wav``, ``estimate/ID.wav``, lists and configuration of VERSA, our manifest; seconds in all."""
    sources = [path for path in sorted(speech.rglob("*.flac")) if soundfile.info(str(path)).duration >= 1]
    if not sources:
        sys.exit(f"{speech} holds no flac file of a second or more. Give --speech DIR.")
    rng = np.random.default_rng(0)
    degrade = list(DEGRADATIONS.values())
    for name in ("reference", "estimate"):
        (folder / name).mkdir(parents=True)
    total, names = 0, [f"pair{i:04d}" for i in range(count)]
    for i, name in enumerate(names):
        clean = mono(sources[i % len(sources)])
        other = np.resize(mono(sources[(i + len(sources) // 2) % len(sources)]), clean.size)
        bad = degrade[(i + i // len(sources)) % len(degrade)](clean.astype(float), other.astype(float), rng)
        for side, samples in (("reference", clean), ("estimate", bad)):
            soundfile.write(folder / side / f"{name}.wav", samples.astype(np.float32), RATE, subtype="FLOAT")
        total += clean.size
    write_lists(folder, names)
    write_lists(folder, names[:1], "one-")
    (folder / "versa.yaml").write_text("".join(f"- name: {name}\n" for name in VERSA_METRICS))
    return total / RATE


def mono(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE:
        sys.exit(f"{path} is at {rate} Hz, and only {RATE} Hz is the same to both sides without resampling.")
    return samples[:, 0]


def write_lists(folder: Path, names: list[str], prefix: str = "") -> None:
    for side in ("reference", "estimate"):
        lines = [f"{name} {folder / side / name}.wav\n" for name in names]
        (folder / f"{prefix}{side}.scp").write_text("".join(lines))
    header: dict[str, Any] = {"tspbench_manifest": 1, "kind": "lass", "sample_rate": RATE, "name": "pairs"}
    shared = {"query": {"text": "speech"}, "mix": {"clip": "none"}}
    targets = [{"path": f"reference/{name}.wav", "role": "target"} for name in names]
    rows = [{"trial_id": name, "sources": [target], **shared} for name, target in zip(names, targets, strict=True)]
    (folder / f"{prefix}manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [header, *rows]))


# -- the whole process -----------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float


def cost(command: list[str], cwd: Path, variables: Mapping[str, str]) -> Cost:
    """What a command and all its processes take; it must succeed."""
    environment = {key: value for key, value in os.environ.items() if key not in ONE_THREAD} | dict(variables)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{log.read().decode(errors='replace')[-3000:]}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime)


@dataclass(frozen=True)
class Sides:
    folder: Path
    versa: Path
    python: str

    def theirs(self, prefix: str = "", variables: Mapping[str, str] | None = None) -> Cost:
        lists = ["--pred", f"{prefix}estimate.scp", "--gt", f"{prefix}reference.scp", "--io", "soundfile"]
        config = ["--score_config", "versa.yaml", "--output_file", f"{prefix}versa.jsonl"]
        command = [self.python, "-m", "versa.bin.scorer", *lists, *config]
        return cost(command, self.folder, {"PYTHONPATH": str(self.versa), **(variables or {})})

    def ours(self, workers: int, prefix: str = "") -> Cost:
        command = [sys.executable, "-m", "tspbench", "score", "--estimates", "estimate", "--task",
                   f"{prefix}manifest.jsonl", "--metrics", ",".join(SAME), "--workers", str(workers),
                   "--out", f"{prefix}ours", "--fresh"]  # fmt: skip
        return cost(command, self.folder, {})

    def values(self) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
        """(ours, VERSA's) by trial and by our name of the metric."""
        mine: dict[str, dict[str, float]] = {}
        for line in (self.folder / "ours" / "scores.jsonl").read_text().splitlines():
            row = json.loads(line)
            mine.setdefault(row["trial_id"], {})[row["metric"]] = row["value"]
        rows = map(json.loads, (self.folder / "versa.jsonl").read_text().splitlines())
        yours = {row["key"]: {name: row[theirs] for name, theirs in SAME.items()} for row in rows}
        return mine, yours


# -- one metric at a time, in a process of each side --------------------------------------------


def timed(folder: Path, jobs: Mapping[str, Callable[[np.ndarray, np.ndarray], object]], dtype: str) -> None:
    """Print processor seconds of each job over all pairs, as JSON."""
    paths = sorted((folder / "estimate").glob("*.wav"))
    pairs = [
        (soundfile.read(path, dtype=dtype)[0], soundfile.read(folder / "reference" / path.name, dtype=dtype)[0])
        for path in paths
    ]
    found: Times = {}
    for name, job in jobs.items():
        job(*pairs[0])
        start = time.process_time()
        for estimate, target in pairs:
            job(estimate, target)
        found[name] = time.process_time() - start
    print(json.dumps(found))


def time_ours(folder: Path) -> None:
    from tspbench.metrics import resolve_all
    from tspbench.metrics.evaluate import score
    from tspbench.metrics.signals import Signals

    def job(metric: Any) -> Callable[[np.ndarray, np.ndarray], object]:
        return lambda e, s: score(Signals(sample_rate=RATE, mixture=s, target=s, estimate=e), metric)

    timed(folder, {metric.id: job(metric) for metric in resolve_all(tuple(SAME))}, "float32")


def time_theirs(folder: Path) -> None:
    from versa.sequence_metrics import signal_metric as module  # type: ignore[import-not-found]
    from versa.utterance_metrics.pesq_score import PesqMetric  # type: ignore[import-not-found]
    from versa.utterance_metrics.stoi import StoiMetric  # type: ignore[import-not-found]

    known = {"sample_rate": RATE}
    pesq, stoi = PesqMetric({}), StoiMetric({})
    jobs: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
        "sdr": lambda e, s: module.bss_eval_sources(s[np.newaxis], e[np.newaxis], compute_permutation=False),
        "si_sdr": lambda e, s: module.calculate_si_snr(e[np.newaxis], s[np.newaxis]),
        "ci_sdr": lambda e, s: module.calculate_ci_sdr(e[np.newaxis], s[np.newaxis]),
        "pesq_wb": lambda e, s: pesq.compute(e, s, known),
        "stoi": lambda e, s: stoi.compute(e, s, known),
    }
    timed(folder, jobs, "float64")


def by_metric(sides: Sides, side: str) -> Times:
    """Each side in the environment in which it scores, but for VERSA's threads."""
    from tspbench.runner.process import KEEP_MEMORY

    python = sides.python if side == "versa" else sys.executable
    own = {"PYTHONPATH": str(sides.versa)} if side == "versa" else KEEP_MEMORY
    command = [python, str(Path(__file__).resolve()), "--time", side, "--folder", str(sides.folder)]
    found = subprocess.run(command, env={**os.environ, **ONE_THREAD, **own}, cwd=sides.folder,
                           check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    times: Times = json.loads(found.stdout.splitlines()[-1])
    return times


# -- the tables ----------------------------------------------------------------------------------


def compare(sides: Sides, count: int, seconds: float, rounds: int, workers: int) -> None:
    print(f"{count} pairs, {seconds:.0f} s of speech; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    ways: dict[str, Callable[[], Cost]] = {
        "VERSA": sides.theirs,
        f"tspbench, {workers} workers": lambda: sides.ours(workers),
        "VERSA, one thread": lambda: sides.theirs(variables=ONE_THREAD),
        "tspbench, 1 worker": lambda: sides.ours(1),
    }
    whole = in_turns(ways, rounds)
    start = in_turns({"VERSA": lambda: sides.theirs("one-"), "tspbench": lambda: sides.ours(workers, "one-")}, rounds)
    print(f"\ndifferences in value\n{differences(*sides.values())}")
    mine, yours = (smallest([by_metric(sides, side) for _ in range(rounds)]) for side in ("ours", "versa"))
    print(f"\none metric, one thread, processor ms a pair\n{per_metric(mine, yours, count)}")
    print("\nwhole process                  wall s    processor s   wall ratio   processor ratio")
    peer = whole["VERSA"]
    for name, it in whole.items():
        ratios = f"{peer.wall_s / it.wall_s:10.2f} {peer.cpu_s / it.cpu_s:14.2f}"
        print(f"{name:26s} {it.wall_s:10.2f} {it.cpu_s:12.2f} {ratios}")
    for name, it in start.items():
        print(f"{name + ', one pair':26s} {it.wall_s:10.2f} {it.cpu_s:12.2f}")
    print(f"load {os.getloadavg()[0]:.1f}")


def in_turns(ways: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The best of some rounds of each way, A B A B."""
    seen: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seen[name].append(way())
    return {name: Cost(min(c.wall_s for c in all_), min(c.cpu_s for c in all_)) for name, all_ in seen.items()}


def smallest(rounds: list[Times]) -> Times:
    return {name: min(times[name] for times in rounds) for name in rounds[0]}


def differences(mine: dict[str, dict[str, float]], yours: dict[str, dict[str, float]]) -> str:
    """Beyond 100 dB, where our ratios end, VERSA's are rounding errors: such pairs are left out, and counted."""
    assert mine.keys() == yours.keys(), "the two sides scored other pairs"
    lines = []
    for name, theirs in SAME.items():
        off = np.array([abs(mine[key][name] - yours[key][name]) for key in mine if mine[key][name] < LIMIT_DB])
        spread = f"largest {off.max():.1e}, 95 in 100 below {np.quantile(off, 0.95):.1e}, median {np.median(off):.1e}"
        lines.append(f"{name:8s} (VERSA: {theirs:6s}) {spread}, of {off.size} pairs")
    return "\n".join(lines)


def per_metric(mine: Times, yours: Times, count: int) -> str:
    rows = [(name, yours[name], mine[name]) for name in SAME]
    signal = sum(yours[name] for name in ("sdr", "si_sdr", "ci_sdr"))
    rows.append(("signal_metric beside sdr and si_sdr", signal, mine["sdr"] + mine["si_sdr"]))
    rows.append(("all", signal + yours["pesq_wb"] + yours["stoi"], sum(mine.values())))
    lines = [f"{n:36s} {1e3 * a / count:8.2f} {1e3 * b / count:8.2f} {a / b:7.2f} times" for n, a, b in rows]
    return "\n".join([f"{'':36s}    VERSA     ours", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versa", type=Path, help="checkout of VERSA")
    parser.add_argument("--python", default=sys.executable, help="interpreter with VERSA's dependencies")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--speech", type=Path, default=SHARED, help="folder of flac files at 16 kHz")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--time", choices=("ours", "versa"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        (time_ours if given.time == "ours" else time_theirs)(given.folder)
        return
    if given.versa is None or not (given.versa / "versa" / "bin" / "scorer.py").is_file():
        sys.exit("Give --versa PATH, a checkout of github.com/wavlab-speech/versa.")
    with tempfile.TemporaryDirectory(prefix="versa-comparison-") as folder:
        sides = Sides(Path(folder), given.versa.resolve(), given.python)
        seconds = write_pairs(sides.folder, given.speech, given.pairs)
        compare(sides, given.pairs, seconds, given.rounds, given.workers)


if __name__ == "__main__":
    main()
