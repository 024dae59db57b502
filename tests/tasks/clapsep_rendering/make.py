"""Values of CLAPSep's own test loader on clips that a rule makes. See README.md.

python make.py CHECKOUT          writes values.json beside this file
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import soundfile

HERE = Path(__file__).parent
SAMPLES = np.arange(1237, 320_000, 4801)
"""Which of a signal's 320,000 samples are kept."""


def clip(seed: int, seconds: float, rate: int, gain: float, channels: int = 1) -> np.ndarray:
    """Tones and white noise, shape (T, channels): sines in float64, noise by splitmix64 of sample and seed."""
    count = round(seconds * rate)
    time = np.arange(count) / rate
    signals = []
    for channel in range(channels):
        key = 10 * seed + channel
        tones = sum(np.sin(2 * np.pi * 97 * (key + 2) ** 0.5 * n * time + key * n) for n in range(1, 6)) / 5
        signals.append(gain * (0.7 * tones + 0.3 * _noise(key, count)))
    return np.stack(signals, axis=1).astype(np.float32)


def _noise(key: int, count: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        state = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(key << 32)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))).astype(np.float64) / 2**63 - 1


CASES = {
    "same length": (clip(1, 10, 32000, 0.2), 32000, clip(2, 10, 32000, 0.05), 32000),
    "short target, long noise": (clip(3, 4.2, 32000, 0.2), 32000, clip(4, 12.3, 32000, 0.4), 32000),
    "above full scale": (clip(5, 10, 32000, 0.9), 32000, clip(6, 9, 32000, 0.6), 32000),
    "44.1 and 48 kHz": (clip(7, 5.003, 44100, 0.3), 44100, clip(8, 10.7, 48000, 0.3), 48000),
    "two channels": (clip(9, 10, 44100, 0.5, 2), 44100, clip(10, 3, 32000, 0.1, 2), 32000),
}


def write_clips(folder: Path) -> list[tuple[str, str, str]]:
    """Write every case as float WAV; (case, target's file, noise's file) each."""
    rows = []
    for number, (name, (target, target_rate, noise, noise_rate)) in enumerate(CASES.items()):
        soundfile.write(folder / f"t{number}.wav", target, target_rate, subtype="FLOAT")
        soundfile.write(folder / f"n{number}.wav", noise, noise_rate, subtype="FLOAT")
        rows.append((name, f"t{number}.wav", f"n{number}.wav"))
    return rows


def published(checkout: Path, folder: Path, pairs: list[tuple[str, str]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(mixture, target) of each pair of files from ``AudioCapsTest`` in CLAPSep's evaluation script."""
    for absent in ("laion_clap", "pytorch_lightning", "model", "model.CLAPSep", "model.CLAPSep_decoder", "helpers"):
        sys.modules.setdefault(absent, types.ModuleType(absent))
    sys.modules["model.CLAPSep"].LightningModule = sys.modules["model.CLAPSep_decoder"].HTSAT_Decoder = None
    sys.modules["helpers"].utils = None
    sys.path.insert(0, str(checkout))
    script = importlib.import_module("evaluation.eval_audiocaps")
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch, "metadata", "evaluation", "audiocaps_eval.csv")
        listed.parent.mkdir(parents=True)
        with listed.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["source_file", "positive_caption", "noise_file", "negative_caption"])
            writer.writerows([target, "a", noise, "b"] for target, noise in pairs)
        Path(scratch, "evaluation").mkdir()
        os.chdir(Path(scratch, "evaluation"))
        loader = script.AudioCapsTest(str(folder))
        rendered = [loader[index] for index in range(len(pairs))]
        os.chdir(HERE)
    return [(row[0].numpy(), row[4].numpy()) for row in rendered]


def kept(signal: np.ndarray) -> dict[str, object]:
    """What values.json holds of a signal: its energy and every 4,801st sample."""
    energy = float(np.square(signal, dtype=np.float64).sum())
    return {"energy": energy, "samples": [float(f"{value:.9g}") for value in signal[SAMPLES]]}


def main(checkout: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        rows = write_clips(Path(scratch))
        found = published(checkout, Path(scratch), [(target, noise) for _, target, noise in rows])
    values = {
        name: {"mixture": kept(mixture), "target": kept(target)}
        for (name, _, _), (mixture, target) in zip(rows, found, strict=True)
    }
    (HERE / "values.json").write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
