"""Things that are struck: bells, clocks, floors, keys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tspbench.tasks.lass_demo.sounds.canvas import ROOM, Canvas, Float, Modes, add

BELL = (
    # Ratio to the prime, amplitude, decay in seconds: the partials of a minor-third bell.
    (0.5, 0.6, 3.5),
    (1.0, 0.7, 2.2),
    (1.2, 0.8, 1.6),
    (1.5, 0.35, 1.1),
    (2.0, 1.0, 1.2),
    (2.5, 0.35, 0.6),
    (2.67, 0.3, 0.5),
    (3.0, 0.45, 0.5),
    (4.0, 0.4, 0.35),
    (5.3, 0.25, 0.2),
    (6.7, 0.2, 0.12),
)
# Hz, amplitude, decay in seconds.
FLOOR = ((95.0, 0.5, 0.045), (190.0, 0.8, 0.035), (420.0, 1.0, 0.022), (880.0, 0.8, 0.012), (1900.0, 0.6, 0.005))
# Hz, and the level in dB there.
GRAVEL = ((200, 900, 2200, 5000, 14000), (-25, -8, 0, -3, -16))


def church_bell(canvas: Canvas, kind: str) -> Float:
    """A tolling bell: inharmonic partials, the lower ones doubled so that they beat."""
    prime, gap_s = {"great": (262.0, 1.5), "small": (523.0, 1.0)}[kind]
    prime = canvas.near(prime, 0.02)
    modes = [(3100.0, 0.3, 0.004)]
    for ratio, gain, decay in BELL:
        hz, gain = prime * ratio * canvas.near(1.0, 0.004), gain * canvas.rng.uniform(0.7, 1.3)
        modes.append((hz, gain, decay * canvas.near(1.0, 0.2)))
        if ratio in (0.5, 1.2, 2.0):
            modes.append((hz + canvas.rng.uniform(0.8, 2.5), 0.4 * gain, decay))
    times = canvas.beats(canvas.near(gap_s, 0.15), 0.03)
    return canvas.struck(times, canvas.rng.uniform(0.75, 1.0, len(times)), modes)


def clock_ticking(canvas: Canvas, kind: str) -> Float:
    """Tick and tock: an escapement's three quick knocks through the resonances of a case."""
    gap, modes = {
        "wall": (0.5, ((480.0, 0.5, 0.018), (1250.0, 0.7, 0.010), (2600.0, 0.9, 0.006), (5200.0, 0.5, 0.003))),
        "alarm": (0.25, ((1500.0, 0.4, 0.006), (3400.0, 0.9, 0.012), (4700.0, 0.7, 0.016), (7900.0, 0.5, 0.008))),
    }[kind]
    times = canvas.beats(canvas.near(gap, 0.06), 0.004)
    shift = canvas.near(1.0, 0.03)
    sides = [
        [(hz * shift * tilt * canvas.near(1.0, 0.02), gain, decay) for hz, gain, decay in modes] for tilt in (1.0, 0.92)
    ]
    out = 0.004 * canvas.noise(*ROOM)
    for index, time in enumerate(times):
        knocks = np.concatenate([[0.0, 0.006, 0.014], canvas.rng.uniform(0.0, 0.02, 2)])
        gains = np.array([1.0, 0.45, 0.6, 0.15, 0.15]) * canvas.rng.uniform(0.85, 1.15, 5)
        add(out, int(time * canvas.rate), canvas.struck(knocks, gains, sides[index % 2], 0.12))
    return out


def footsteps(canvas: Canvas, kind: str) -> Float:
    """Knocks of heel and toe on a wooden floor, or bursts of grains on gravel."""
    times = canvas.beats(canvas.near(0.52, 0.1), 0.05)
    out = 0.004 * canvas.noise(*ROOM)
    shift = canvas.near(1.0, 0.06)
    modes = [(hz * shift, gain, decay) for hz, gain, decay in FLOOR]
    for time in times:
        step = _crunch(canvas) if kind == "gravel" else _heel_and_toe(canvas, modes)
        add(out, int(time * canvas.rate), canvas.rng.uniform(0.7, 1.0) * step)
    return out


def _heel_and_toe(canvas: Canvas, modes: Modes) -> Float:
    times = np.concatenate([[0.0, canvas.rng.uniform(0.09, 0.13)], canvas.rng.uniform(0.0, 0.02, 4)])
    gains = np.concatenate([[1.0, 0.4], canvas.rng.uniform(0.05, 0.2, 4)])
    return canvas.struck(times, gains, modes, 0.45)


def _crunch(canvas: Canvas) -> Float:
    """0.26 s of noise, broken into grains of 5 ms: heel, then sole."""
    step = replace(canvas, length=int(0.26 * canvas.rate))
    grains = canvas.rng.exponential(1.0, 64)
    loud = np.interp(np.arange(step.length) / (0.005 * canvas.rate), np.arange(64), grains)
    place = np.linspace(0, 1, step.length)
    weight = np.minimum(place / 0.04, 1) * np.exp(-place * 4) + 0.7 * np.exp(-(((place - 0.45) / 0.12) ** 2))
    return step.noise(*GRAVEL) * loud * weight * np.minimum((1 - place) / 0.1, 1)


def keyboard_typing(canvas: Canvas, kind: str) -> Float:
    """Keys at a typist's uneven pace: a click and the knock of the case, and a softer one on release."""
    modes = {
        "mechanical": ((330.0, 0.5, 0.012), (2300.0, 0.8, 0.004), (4300.0, 1.0, 0.005), (6800.0, 0.7, 0.003)),
        "laptop": ((210.0, 1.0, 0.012), (700.0, 0.8, 0.007), (1500.0, 0.8, 0.004), (3100.0, 0.4, 0.002)),
    }[kind]
    times = canvas.beats(canvas.near(0.155, 0.1), 0.5)
    times = times[(canvas.rng.random(len(times)) > 0.12) | (np.arange(len(times)) == 0)]
    out = 0.004 * canvas.noise(*ROOM)
    for time in times:
        shift, loud = canvas.near(1.0, 0.06), canvas.rng.uniform(0.5, 1.0)
        moved = [(hz * shift, gain * canvas.near(1.0, 0.3), decay) for hz, gain, decay in modes]
        knocks = np.array([0.0, 0.003, canvas.rng.uniform(0.07, 0.11)])
        add(out, int(time * canvas.rate), canvas.struck(knocks, loud * np.array([1.0, 0.5, 0.35]), moved, 0.2))
    return out
