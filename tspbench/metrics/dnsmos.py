"""DNSMOS (P.835 SIG, BAK, OVRL and P.808): predicted opinion scores, no target needed.

The networks are the ONNX files of the DNS Challenge as the ``speechmos`` wheel
carries them. The package itself is never imported: only its files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from tspbench.errors import UsageError
from tspbench.metrics.declaration import Metric, Need, Score
from tspbench.metrics.dnsmos_networks import HOP, P808, P835, SAMPLE_RATE, WINDOW, raw_scores
from tspbench.metrics.guards import SILENT_ESTIMATE
from tspbench.metrics.level import Policy, leveled
from tspbench.metrics.signals import Signals
from tspbench.types import Audio

WINDOW_S = 9.01

# DNS Challenge, dnsmos_local.py: second-degree maps from the P.835 network's outputs to opinion scores.
_POLYNOMIALS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """Predicted mean opinion scores of one clip, nominally 1 to 5."""

    sig: float
    bak: float
    ovrl: float
    p808: float


def dnsmos(samples: Audio) -> Opinion:
    """DNSMOS of one clip as the DNS Challenge computes it (Reddy et al., 2021 and 2022).

    A clip shorter than 9.01 s is doubled until it is long enough; windows of
    9.01 s every second; each score is the mean over the windows.

    Parameters
    ----------
    samples
        Shape (T,) at 16 kHz. The level matters and is taken as it is; samples
        beyond ±1 are not clipped.

    Raises
    ------
    ValueError
        Empty or not one-dimensional.
    UsageError
        The network files are missing or are other files than those known.
    """
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"DNSMOS needs samples of shape (T,), T >= 1, got {samples.shape}.")
    raw, p808 = raw_scores(*windows(samples))
    mean = {
        name: float(np.polyval(polynomial, raw[:, column]).mean())
        for column, (name, polynomial) in enumerate(_POLYNOMIALS.items())
    }
    return Opinion(**mean, p808=float(p808.mean()))


def windows(samples: Audio) -> tuple[Audio, list[int]]:
    """A clip, doubled until it is long enough, and where the windows begin that are scored.

    Bounds come from the published code's own arithmetic in seconds, whose
    rounding leaves window 7 to 23 (and 119 to 122) a sample short, and so unscored.
    """
    doublings = max(0, int(np.ceil(np.log2(WINDOW / samples.size))))
    long = np.tile(samples, 2**doublings).astype(np.float32, copy=False)
    count = int(long.size // SAMPLE_RATE - WINDOW_S) + 1
    return long, [i * HOP for i in range(count) if int((i + WINDOW_S) * SAMPLE_RATE) - i * HOP == WINDOW]


def _score(signals: Signals, part: str, level: Policy) -> Score:
    def judge() -> Opinion | None:
        samples = leveled(signals, SAMPLE_RATE, level)
        return None if samples is None else dnsmos(samples)

    opinion = signals.memo(("dnsmos of the estimate", level), judge)
    return Score.undefined(SILENT_ESTIMATE) if opinion is None else Score(getattr(opinion, part))


def _parametrise(part: str, parameters: Mapping[str, str]) -> Metric:
    level = parameters.get("level")
    if set(parameters) != {"level"} or level not in ("matched", "raw"):
        written = ",".join(f"{key}={value}" for key, value in parameters.items())
        raise UsageError(f"dnsmos_{part} takes [level=matched] or [level=raw], got [{written}].")
    return _declare(part, "raw" if level == "raw" else "matched")


_SUMMARIES = {
    "sig": "Predicted quality of the speech (P.835 SIG)",
    "bak": "Predicted unobtrusiveness of the background (P.835 BAK)",
    "ovrl": "Predicted overall quality (P.835 OVRL)",
    "p808": "Predicted overall quality (P.808)",
}


def _declare(part: str, level: Policy = "matched") -> Metric:
    name, sha256 = P808 if part == "p808" else P835
    return Metric(
        id=f"dnsmos_{part}" if level == "matched" else f"dnsmos_{part}[level={level}]",
        version=1,
        summary=f"{_SUMMARIES[part]}, nominally 1 to 5",
        formula="mean over windows of 9.01 s, hop 1 s, of the network's score, mapped by the published polynomial"
        if part != "p808"
        else "mean over windows of 9.01 s, hop 1 s, of the network's score",
        compute=partial(_score, part=part, level=level),
        needs=frozenset({Need.ESTIMATE}),
        unit="MOS",
        higher_is_better=True,
        bounds=(None, None),
        penalty=1.0,
        gain_penalty=-4.0,
        silence="undefined (the networks give digital silence 1.84 OVRL, more than some noisy speech)",
        implementation="onnxruntime on the networks in speechmos, cut where windows share; front end by tspbench",
        citation="Reddy, Gopal, Cutler: DNSMOS P.835, ICASSP 2022"
        if part != "p808"
        else "Reddy, Gopal, Cutler: DNSMOS, ICASSP 2021",
        parameters={
            "network": name,
            "sha256": sha256,
            "personalised": False,
            "window_s": WINDOW_S,
            "hop_s": 1,
            "short_clips": "doubled until 9.01 s long",
            "level": level,
            "clipping": "none, a peak above 1 stays",
        },
        improves=True,
        level=level,
        sample_rates=(SAMPLE_RATE,),
        also_called={"DNS Challenge": part.upper(), "speechmos": f"{part}_mos"} if level == "raw" else {},
        packages=("numpy", "onnxruntime", "speechmos"),
        parametrise=partial(_parametrise, part),
    )


METRICS = [_declare(part) for part in _SUMMARIES]
