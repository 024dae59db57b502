"""Prints the tables of same-name.md: ``python docs/same_name.py``. Needs torchmetrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.signal import lfilter
from torchmetrics.functional import audio as torchmetrics

from tspbench.metrics import known_metrics, resolve
from tspbench.metrics.evaluate import score
from tspbench.metrics.signals import Signals
from tspbench.types import Audio

RATE = 16_000
THEIRS: dict[str, Callable[..., torch.Tensor]] = {
    "snr": torchmetrics.signal_noise_ratio,
    "si_sdr": torchmetrics.scale_invariant_signal_distortion_ratio,
    "si_snr": torchmetrics.scale_invariant_signal_noise_ratio,
    "sdr": torchmetrics.signal_distortion_ratio,
}


def signals() -> tuple[Audio, dict[str, Audio]]:
    """A target of 2 s (low-pass noise, RMS 0.1) and estimates of it, all float32."""
    rng = np.random.default_rng(0)
    target, other = (
        noise * 0.1 / noise.std()
        for noise in (lfilter([1], [1, pole], rng.standard_normal(2 * RATE)) for pole in (-0.9, 0.7))
    )
    good = target + 0.1 * other
    late = np.concatenate([np.zeros(RATE // 1000), good])[: len(good)]
    estimates = {
        "good estimate": good,
        "the same × 0.5": 0.5 * good,
        "the same, 1 ms late": late,
        "the same + 0.1 DC": good + 0.1,
        "silence": np.zeros_like(good),
        "the mixture": target + other,
    }
    return target.astype(np.float32), {name: samples.astype(np.float32) for name, samples in estimates.items()}


def numbers() -> list[str]:
    """Rows are estimates, cells are 'here / torchmetrics' in dB."""
    target, estimates = signals()
    lines = ["| estimate | " + " | ".join(f"`{name}`" for name in THEIRS) + " |", "|---" * (len(THEIRS) + 1) + "|"]
    for label, estimate in estimates.items():
        cells = (f"{_here(name, estimate, target)} / {_there(name, estimate, target)}" for name in THEIRS)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def labels() -> list[str]:
    """Which id here is meant by which label there."""
    lines = ["| id here | printed there as |", "|---|---|"]
    for name in THEIRS:
        by_label: dict[str, list[str]] = {}
        for source, label in known_metrics()[name].also_called.items():
            by_label.setdefault(label, []).append(source)
        said = (f"**{label}**: {'; '.join(sources)}" for label, sources in sorted(by_label.items()))
        lines.append(f"| `{name}` | {'. '.join(said)} |")
    return lines


def _here(name: str, estimate: Audio, target: Audio) -> str:
    found = score(Signals(RATE, mixture=target, target=target, estimate=estimate), resolve(name))
    return found.status.value if found.value is None else _shown(found.value)


def _there(name: str, estimate: Audio, target: Audio) -> str:
    return _shown(THEIRS[name](torch.from_numpy(estimate), torch.from_numpy(target)).item())


def _shown(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00") if math.isfinite(value) else f"{value:+}".replace("+nan", "nan")


if __name__ == "__main__":
    print("\n".join([*numbers(), "", *labels()]))
