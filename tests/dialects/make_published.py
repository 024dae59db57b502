"""Run the published scoring code on the pairs and write what it says to published_*.json. See README.md.

    python make_published.py CHECKOUTS DNSMOS_FILES

CHECKOUTS holds one folder per repository (audiosep, asteroid, wesep, laura, whisper);
DNSMOS_FILES the network files sig_bak_ovr.onnx and model_v8.onnx.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import logging
import math
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import texts
from pairs import RECORDINGS, Pair, recorded, synthetic

HERE = Path(__file__).parent
Values = dict[str, Any]


def functions(path: Path, names: Iterable[str], **globals_: Any) -> dict[str, Any]:
    """Some functions of a file, without importing what the file imports."""
    wanted = set(names)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    space: dict[str, Any] = {"np": np, **globals_}
    exec(compile(tree, str(path), "exec"), space)
    return space


def attempt(compute: Callable[[], Values]) -> Values:
    try:
        return compute()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}


def clapsep(pair: Pair) -> Values:
    import torch
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_distortion_ratio

    length = 10 * pair.rate
    mixture, target, estimate = (
        torch.from_numpy(np.pad(signal[:length], (0, max(0, length - len(signal)))))[None]
        for signal in (pair.mixture, pair.target, pair.estimate)
    )
    si_sdr = scale_invariant_signal_distortion_ratio
    found = {"SI-SDRi": float(si_sdr(estimate, target) - si_sdr(mixture, target))}
    with contextlib.suppress(RuntimeError):
        sdr = signal_distortion_ratio
        found["SDRi"] = float(sdr(estimate, target) - sdr(mixture, target))
    return found


def audiosep(checkouts: Path) -> Callable[[Pair], Values]:
    code = functions(checkouts / "audiosep" / "utils.py", ["calculate_sdr", "calculate_sisdr"])

    def score(pair: Pair) -> Values:
        ratio = code["calculate_sdr"]
        gain = ratio(ref=pair.target, est=pair.estimate) - ratio(ref=pair.target, est=pair.mixture)
        return {"SDRi": float(gain), "SI-SDR": float(code["calculate_sisdr"](ref=pair.target, est=pair.estimate))}

    return score


def speakerbeam(checkouts: Path) -> Callable[[Pair], Values]:
    import traceback
    import typing

    from pb_bss_eval import InputMetrics, OutputMetrics

    root = checkouts / "asteroid" / "asteroid"
    average = functions(root / "utils" / "generic_utils.py", ["average_arrays_in_dic"])["average_arrays_in_dic"]
    code = functions(
        root / "metrics.py",
        ["get_metrics"],
        InputMetrics=InputMetrics,
        OutputMetrics=OutputMetrics,
        average_arrays_in_dic=average,
        warnings=warnings,
        traceback=traceback,
        List=typing.List,  # noqa: UP006
        ALL_METRICS=[],
    )

    def score(pair: Pair) -> Values:
        signals = (pair.mixture, pair.target[None], pair.estimate[None])
        names = ["si_sdr", "sdr", "stoi"]
        found = code["get_metrics"](*signals, sample_rate=pair.rate, metrics_list=names)
        return {name: found[name] for name in names} | {
            f"{name}_imp": found[name] - found[f"input_{name}"] for name in names
        }

    def cautious(pair: Pair) -> Values:
        whole = attempt(lambda: score(pair))
        if "error" in whole:  # what stops is mir_eval: the rest has values
            signals = (pair.mixture, pair.target[None], pair.estimate[None])
            found = code["get_metrics"](*signals, sample_rate=pair.rate, metrics_list=["si_sdr"])
            whole |= {"si_sdr": found["si_sdr"], "si_sdr_imp": found["si_sdr"] - found["input_si_sdr"]}
        return whole

    return cautious


def wesep(checkouts: Path, networks: Path) -> Callable[[Pair], Values]:
    import torch

    sys.path.insert(0, str(checkouts / "wesep"))
    for absent in ("requests", "torchaudio", "kaldiio", "fire"):
        sys.modules.setdefault(absent, types.ModuleType(absent))
    code = functions(checkouts / "wesep" / "wesep" / "utils" / "score.py", ["cal_SISNR", "cal_SISNRi"])
    package = types.ModuleType("wesep")
    package.__path__ = [str(checkouts / "wesep" / "wesep")]
    sys.modules["wesep"] = package
    from wesep.bin.score import scoring

    def scored_files(pair: Pair, output: Any, folder: Path) -> Values:
        soundfile.write(folder / "reference.wav", pair.target, pair.rate, subtype="FLOAT")
        soundfile.write(folder / "output.wav", output, pair.rate)
        for name in ("reference", "output"):
            (folder / f"{name}.scp").write_text(f"key {folder / name}.wav\n")
        dnsmos = {"mode": "local", "primary_model": str(networks / "sig_bak_ovr.onnx"),
                  "p808_model": str(networks / "model_v8.onnx"), "use_gpu": False, "convert_to_torch": False,
                  "gpu_device": 1}  # fmt: skip
        scoring(str(folder / "scores"), "float32", "ERROR", str(folder / "reference.scp"),
                [str(folder / "reference.scp")], [str(folder / "output.scp")], 0,
                pair.rate == 16_000, dnsmos, True)  # fmt: skip
        labels = ["SDR", "SI_SNR", "STOI", "ESTOI", "PESQ_WB", "PESQ_NB", "OVRL", "SIG", "BAK", "P808_MOS"]
        paths = {label: folder / "scores" / f"{label}_spk1" for label in labels}
        return {label: float(path.read_text().split()[1]) for label, path in paths.items() if path.exists()}

    def score(pair: Pair) -> Values:
        output = torch.from_numpy(pair.estimate)[None]
        if torch.min(output.max(dim=1).values) > 0:
            output = output / abs(output).max(dim=1, keepdim=True)[0] * 0.9
        first = output.numpy()[0]
        ratio, gained = code["cal_SISNRi"](first, pair.target, pair.mixture)
        found = {"SI-SNR": float(ratio), "SI-SNRi": float(gained), "accuracy": 100.0 * bool(gained > 1)}
        with tempfile.TemporaryDirectory() as folder:
            return found | attempt(lambda: scored_files(pair, first, Path(folder)))

    return score


def tselm(checkouts: Path, networks: Path) -> Callable[[Pair], Values]:
    sys.path.insert(0, str(checkouts / "laura" / "src" / "eval"))
    import dnsmos

    home = Path(tempfile.mkdtemp())
    (home / "DNSMOS").symlink_to(networks)
    judge = dnsmos.ComputeScore(str(home), personalized=False)

    def score(pair: Pair) -> Values:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            soundfile.write(file.name, pair.estimate, pair.rate, subtype="FLOAT")
            found = judge(file.name, 16_000)
        return {label: float(found[label]) for label in ("SIG", "BAK", "OVRL")}

    return score


def words(checkouts: Path, source: Callable[[], Iterator[tuple[str, str]]]) -> Values:
    """TS-Whisper's WER through the normaliser, and LauraTSE's on raw strings with every tenth output missing."""
    import jiwer

    package = types.ModuleType("whisper")
    package.__path__ = [str(checkouts / "whisper" / "whisper")]
    sys.modules["whisper"] = package
    from whisper.normalizers import EnglishTextNormalizer

    normal = EnglishTextNormalizer()
    rates = [jiwer.wer(normal(reference), normal(said)) for reference, said in source()]
    raw = [jiwer.wer(reference, said) for reference, said in source()]
    there = [rate for i, rate in enumerate(raw) if i % 10]
    return {
        "ts-whisper": {"rates": rates, "mean": sum(rates) / len(rates)},
        "tselm": {"rates": raw, "mean": sum(there) / len(raw)},
    }


def finite(values: Values) -> Values:
    """JSON has no infinities: they are written as words."""
    return {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("networks", type=Path)
    parser.add_argument("--sets", nargs="*", default=["synthetic", "recorded"])
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    code: dict[str, tuple[Callable[[Pair], Values], tuple[int, ...]]] = {
        "clapsep": (clapsep, (32_000,)),
        "audiosep": (audiosep(asked.checkouts), (32_000,)),
        "speakerbeam": (speakerbeam(asked.checkouts), (8_000, 16_000)),
        "wesep": (wesep(asked.checkouts, asked.networks), (16_000, 8_000)),
        "tselm": (tselm(asked.checkouts, asked.networks), (16_000,)),
    }
    sets = {"synthetic": (synthetic, texts.written)}
    if RECORDINGS.is_dir():
        sets["recorded"] = (recorded, texts.published)
    for name, (pairs, sentences) in sets.items():
        if name not in asked.sets:
            continue
        found: Values = {"words": words(asked.checkouts, sentences)}
        for dialect, (score, rates) in code.items():
            for rate in rates:
                rows = {pair.name: finite(score(pair)) for pair in pairs(rate)}
                found[f"{dialect}@{rate}"] = rows
                print(name, dialect, rate, flush=True)
        (HERE / f"published_{name}.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
