"""Makes golden.json with LibriMix's own script: see the README beside this file.

python tests/tasks/librimix_generation/make.py CREATE_LIBRIMIX_FROM_METADATA.py
"""

from __future__ import annotations

import csv
import hashlib
import json
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HERE = Path(__file__).parent
REAL = HERE.parents[2].parent / "shared" / "data" / "librispeech"
RATE = 16_000
COLUMNS = ["mixture_ID", "source_1_path", "source_1_gain", "source_2_path", "source_2_gain", "noise_path", "noise_gain"]
CELLS = [(rate, mode) for rate in ("8k", "16k") for mode in ("min", "max")]
SIGNALS = ("s1", "s2", "noise", "mix_clean", "mix_both", "mix_single")
STRIDE = 199


def synthetic(folder: Path) -> Path:
    """Four voices and three noises of white noise below ``folder``; returns their CSV."""
    rng = np.random.RandomState(20)  # its streams never change
    lengths = {"11-1-0001": 20_011, "11-2-0002": 15_000, "22-1-0001": 24_433, "22-1-0002": 18_777}
    for name, length in lengths.items():
        speaker, chapter, _ = name.split("-")
        path = folder / "librispeech" / "test-clean" / speaker / chapter / f"{name}.flac"
        write(path, rng.randint(-9000, 9000, length))
    noises = write_noises(folder / "wham" / "tt", rng)
    voice = {name: next((folder / "librispeech").rglob(f"{name}.flac")) for name in lengths}
    pairs = [("11-1-0001", "22-1-0001"), ("22-1-0002", "11-2-0002"), ("11-2-0002", "22-1-0001")]
    return write_csv(folder, pairs, voice, noises, rng)


def real(folder: Path) -> Path:
    """Twelve pairs of the utterances in ../shared/data, with noises of white noise; returns their CSV."""
    rng = np.random.RandomState(21)
    noises = write_noises(folder / "wham" / "tt", rng)
    (folder / "librispeech").symlink_to(REAL)
    speakers = sorted(path.name for path in REAL.iterdir() if path.is_dir())
    voice = {path.stem: folder / "librispeech" / path.relative_to(REAL) for path in sorted(REAL.rglob("*.flac"))}
    pairs = []
    for k in range(12):
        pair = speakers[k % 6], speakers[(k + 1 + k // 6) % 6]
        pairs.append([str(rng.choice([name for name in voice if name.startswith(f"{s}-")])) for s in pair])
    return write_csv(folder, pairs, voice, noises, rng)


def write(path: Path, samples: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.int16), RATE, subtype="PCM_16")


def write_noises(folder: Path, rng: np.random.RandomState) -> list[Path]:
    """Two channels each: shorter than two cross-fades, shorter than the voices, longer than them."""
    paths = [folder / f"n{length}.wav" for length in (9_000, 17_000, 400_000)]
    for path in paths:
        write(path, rng.randint(-6000, 6000, (int(path.stem[1:]), 2)))
    return paths


def write_csv(
    folder: Path, pairs: list[Any], voice: dict[str, Path], noises: list[Path], rng: np.random.RandomState
) -> Path:
    """Gains over the range that LibriMix's have, 0.14 to 3.2, so that some signals go beyond full scale."""
    path = folder / "libri2mix_test-clean.csv"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number, pair in enumerate(pairs):
            noise = noises[number % len(noises)]
            gains = [float(gain) for gain in rng.uniform(0.14, 3.2, 3)]
            sources = [voice[name].relative_to(folder / "librispeech").as_posix() for name in pair]
            table.writerow(
                ["_".join(pair), sources[0], gains[0], sources[1], gains[1],
                 noise.relative_to(folder / "wham").as_posix(), gains[2]]
            )  # fmt: skip
    return path


def summary(samples: Any) -> dict[str, Any]:
    """Of 16-bit samples: how many, their sha256 (little-endian), and every 199th."""
    integers = np.asarray(samples, dtype="<i2")
    return {
        "length": len(integers),
        "sha256": hashlib.sha256(integers.tobytes()).hexdigest(),
        "samples": integers[::STRIDE].tolist(),
    }


def generate(script: Path, folder: Path, csv_path: Path) -> dict[str, Any]:
    """What the script makes of a CSV, by cell, mixture and signal."""
    metadata = folder / "metadata"
    metadata.mkdir()
    (metadata / csv_path.name).write_bytes(csv_path.read_bytes())
    arguments = {
        "--librispeech_dir": folder / "librispeech", "--wham_dir": folder / "wham",
        "--metadata_dir": metadata, "--librimix_outdir": folder / "out", "--n_src": 2,
    }  # fmt: skip
    sys.argv = [str(script), *(str(word) for pair in arguments.items() for word in pair)]
    runpy.run_path(str(script), run_name="__main__")
    found: dict[str, Any] = {}
    for rate, mode in CELLS:
        base = folder / "out" / "Libri2Mix" / f"wav{rate}" / mode / "test"
        found[f"{rate}-{mode}"] = {
            path.stem: {
                name: summary(soundfile.read(base / name / path.name, dtype="int16")[0]) for name in SIGNALS
            }
            for path in sorted((base / "s1").iterdir())
        }  # fmt: skip
    return found


def main() -> None:
    golden: dict[str, Any] = {}
    script = Path(sys.argv[1]).resolve()
    for make in (synthetic, real):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            golden[make.__name__] = generate(script, folder, make(folder))
    for cell in golden["real"].values():  # digests are enough: the recordings are not ours to spread
        for signals in cell.values():
            for signal in signals.values():
                signal.pop("samples")
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
