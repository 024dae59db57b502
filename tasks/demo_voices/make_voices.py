"""Make the synthetic speech of the demo tasks: `audio/` and `utterances.csv`.

Reads `sentences.csv` (speaker, transcript) beside this file, speaks each
sentence with flite or festival, reshapes the voice with sox and writes 16 kHz
mono 16-bit FLAC. Nothing is random: a rerun with the same program versions
gives the same files.

    python tasks/demo_voices/make_voices.py [--out DIR]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

HERE = Path(__file__).resolve().parent
PROGRAMS = ("flite", "text2wave", "sox")
FIELDS = ("file", "speaker", "sex", "transcript", "duration_s", "sha256")

RATE = 16_000
TARGET_RMS_DBFS = -26.0
MAX_PEAK = 0.9
EDGE_S = 0.1
FADE_S = 0.005
FRAME_S = 0.01
SILENCE_BELOW_LOUDEST_DB = 40.0


@dataclass(frozen=True)
class Voice:
    """How one speaker is made.

    `settings` are flite float features ("name=value") or festival Scheme
    expressions. `tract` scales formants and pitch together, as a shorter
    (above 1) or longer (below 1) vocal tract would, at unchanged tempo.
    """

    name: str
    sex: str
    engine: str
    base: str
    settings: tuple[str, ...] = ()
    tract: float = 1.0


VOICES = (
    Voice("adam", "male", "flite", "awb"),
    Voice("bruce", "male", "flite", "rms"),
    Voice("clara", "female", "flite", "slt"),
    Voice("david", "male", "flite", "kal16", ("duration_stretch=1.1",)),
    Voice("edgar", "male", "festival", "voice_ked_diphone", ("(Parameter.set 'Duration_Stretch 1.1)",)),
    Voice("fiona", "female", "flite", "awb", ("int_f0_target_mean=185",), 1.17),
    Voice("gavin", "male", "flite", "rms", (), 1.18),
    Voice("helen", "female", "flite", "kal16", ("int_f0_target_mean=150", "duration_stretch=1.1"), 1.18),
    Voice("ivan", "male", "flite", "slt", ("int_f0_target_mean=130",), 0.85),
    Voice("jacob", "male", "festival", "voice_cmu_us_slt_arctic_hts", (), 0.82),
)


def synthesise(voice: Voice, text: str, wav: Path) -> None:
    """Speak `text` with the untransformed base voice."""
    if voice.engine == "flite":
        settings = [word for setting in voice.settings for word in ("--setf", setting)]
        command = ["flite", "-voice", voice.base, *settings, "-t", text, "-o", str(wav)]
        subprocess.run(command, check=True)
    else:
        scheme = f"(begin ({voice.base}) {' '.join(voice.settings)})"
        command = ["text2wave", "-eval", scheme, "-o", str(wav)]
        subprocess.run(command, input=text, text=True, check=True)


def reshape(voice: Voice, source: Path, target: Path) -> None:
    """Resample to RATE and apply the vocal-tract change."""
    # Headroom first: resampling and overlap-add may overshoot the source's peak.
    effects = ["gain", "-6"]
    if voice.tract != 1.0:
        effects += ["speed", f"{voice.tract}"]
    effects += ["rate", "-v", f"{RATE}"]
    if voice.tract != 1.0:
        effects += ["tempo", "-s", f"{1 / voice.tract:.6f}"]
    # -D: sox's dither would be the only random step.
    subprocess.run(["sox", "-D", str(source), "-b", "16", str(target), *effects], check=True)


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut the silence at both ends down to EDGE_S and fade the cuts."""
    frame = int(FRAME_S * RATE)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level_db > level_db.max() - SILENCE_BELOW_LOUDEST_DB)
    edge = int(EDGE_S * RATE)
    start = max(0, loud[0] * frame - edge)
    stop = min(len(samples), (loud[-1] + 1) * frame + edge)
    trimmed = samples[start:stop].copy()
    ramp = np.linspace(0.0, 1.0, int(FADE_S * RATE))
    trimmed[: len(ramp)] *= ramp
    trimmed[-len(ramp) :] *= ramp[::-1]
    return trimmed


def set_level(samples: np.ndarray) -> np.ndarray:
    """Scale to TARGET_RMS_DBFS; refuse a peak of MAX_PEAK or more."""
    rms = np.sqrt(np.mean(samples**2))
    levelled = samples * (10 ** (TARGET_RMS_DBFS / 20) / rms)
    peak = np.abs(levelled).max()
    if peak >= MAX_PEAK:
        raise ValueError(f"peak {peak:.2f} at {TARGET_RMS_DBFS} dBFS RMS")
    return levelled


def make_utterance(voice: Voice, transcript: str, flac: Path) -> float:
    """Write one utterance and return its duration in seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        spoken, reshaped = Path(scratch, "spoken.wav"), Path(scratch, "reshaped.wav")
        synthesise(voice, f"{transcript}.", spoken)
        reshape(voice, spoken, reshaped)
        samples, _ = sf.read(reshaped)
    samples = set_level(trim(samples))
    flac.parent.mkdir(parents=True, exist_ok=True)
    sf.write(flac, samples, RATE, subtype="PCM_16", format="FLAC", compression_level=1.0)
    return len(samples) / RATE


def make_all(out: Path) -> list[dict[str, str]]:
    """Make every utterance of `sentences.csv` under `out`."""
    voices = {voice.name: voice for voice in VOICES}
    count: Counter[str] = Counter()
    rows = []
    with open(HERE / "sentences.csv", newline="", encoding="utf-8") as sentences:
        for sentence in csv.DictReader(sentences):
            speaker, transcript = sentence["speaker"], sentence["transcript"]
            count[speaker] += 1
            file = f"audio/{speaker}/{speaker}-{count[speaker]:02d}.flac"
            duration = make_utterance(voices[speaker], transcript, out / file)
            digest = hashlib.sha256((out / file).read_bytes()).hexdigest()
            values = (file, speaker, voices[speaker].sex, transcript, f"{duration:.3f}", digest)
            rows.append(dict(zip(FIELDS, values, strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this script's)")
    out: Path = parser.parse_args().out
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}")
    # A shorter sentence list must not leave an earlier run's files behind.
    shutil.rmtree(out / "audio", ignore_errors=True)
    rows = make_all(out)
    with open(out / "utterances.csv", "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} utterances written to {out}")


if __name__ == "__main__":
    main()
