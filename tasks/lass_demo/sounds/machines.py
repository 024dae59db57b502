"""Engines: car, helicopter."""

from __future__ import annotations

import numpy as np

from tspbench.tasks.lass_demo.sounds.canvas import Canvas, Float, formant, rms, total

# Hz, bandwidth in Hz, gain.
EXHAUST = ((75.0, 40.0, 1.0), (150.0, 60.0, 1.0), (310.0, 120.0, 0.8), (640.0, 250.0, 0.5), (1400.0, 600.0, 0.3))
THUMP = ((55.0, 30.0, 1.0), (110.0, 40.0, 1.0), (220.0, 60.0, 0.8), (420.0, 110.0, 0.5))


def car_engine(canvas: Canvas, kind: str) -> Float:
    """Four cylinders that fire a little unevenly, through an exhaust; the speed drifts or is revved."""
    if kind == "idling":
        rpm = canvas.near(850.0, 0.06) * canvas.curve(0.97, 1.03, 2)
    else:
        rpm = canvas.near(1500.0, 0.06) * canvas.curve(0.7, 2.6, 1.2)
    strokes = np.cumsum(rpm / 30) / canvas.rate
    count = int(strokes[-1])
    firings = np.arange(1, count) + canvas.rng.normal(0, 0.03, count - 1)
    times = np.interp(firings, strokes, np.arange(canvas.length) / canvas.rate)
    cylinders = canvas.rng.uniform(0.75, 1.0, 4)
    pulses = canvas.impulses(times, np.resize(cylinders, len(times)) * canvas.rng.uniform(0.85, 1.0, len(times)))
    puffs = formant(pulses, 0.0, 60.0, canvas.rate)
    hiss = canvas.noise([100, 500, 1500, 4000, 12000], [-15, -3, 0, -8, -25])
    raw = pulses / pulses.max() + 0.02 * hiss * puffs / puffs.max()
    out = total(gain * formant(raw, hz, width, canvas.rate) for hz, width, gain in EXHAUST)
    out /= rms(out)
    out += 0.12 * hiss * (0.3 + puffs / puffs.max())
    return out


def helicopter(canvas: Canvas, kind: str) -> Float:
    """Blades that slap the air at a steady rate, the wash between them and the whine of a turbine."""
    blades = canvas.near({"light": 17.0, "heavy": 11.0}[kind], 0.05)
    times = np.arange(0.3 / blades, canvas.seconds - 0.02, 1 / blades)
    pulses = canvas.impulses(times, canvas.rng.uniform(0.85, 1.0, len(times)))
    thump = total(gain * formant(pulses, hz, width, canvas.rate) for hz, width, gain in THUMP)
    thump /= rms(thump)
    chop = formant(pulses, 0.0, 20.0, canvas.rate)
    wash = canvas.noise([60, 250, 900, 2500, 10000], [-8, 0, -3, -10, -30])
    whine = canvas.tone(canvas.near(2150.0, 0.02) * canvas.curve(0.995, 1.005, 2), [1.0, 0.3, 0.15])
    thump += 0.9 * wash * (0.1 + chop / chop.max()) + 0.08 * whine
    return thump * canvas.curve(0.7, 1.1, 0.8)
