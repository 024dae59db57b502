"""Noise that nature makes: rain, wind, waves."""

from __future__ import annotations

import numpy as np

from tspbench.tasks.lass_demo.sounds.canvas import Canvas, Float, ring, rms

DROPS = ((900.0, 0.35), (1700.0, 0.6), (2900.0, 0.9), (4600.0, 1.0), (7200.0, 0.8))


def rain(canvas: Canvas, kind: str) -> Float:
    """A hiss of far drops, and near ones that arrive as a Poisson process and ring briefly."""
    per_second, near = {"light": (45.0, 1.2), "heavy": (500.0, 0.6)}[kind]
    tilt = canvas.rng.uniform(-2, 2)
    hiss = canvas.noise([100, 700, 3000, 7000, 15000], [-30, -14, -4, tilt, -10])
    drops = canvas.silence()
    for hz, gain in DROPS:
        count = canvas.rng.poisson(canvas.near(per_second / 5, 0.3) * canvas.seconds)
        times = canvas.rng.uniform(0, canvas.seconds, count)
        pulses = canvas.impulses(times, canvas.rng.lognormal(0.0, 0.5, count))
        drops += gain * ring(pulses, canvas.near(hz, 0.08), 0.0025, canvas.rate)
    drops *= near / rms(drops)
    return (hiss + drops) * canvas.curve(0.8, 1.2, 1.5)


def wind(canvas: Canvas, kind: str) -> Float:
    """Gusts that move a low roar and, when it howls, one or two narrow bands of whistling air."""
    gust = canvas.curve(0.25, 1.0, 1.6)
    roar = canvas.noise([50, 180, 600, 2000, 7000], [-9, 0, -7, -20, -45])
    rustle = canvas.noise([200, 800, 2500, 6000, 15000], [-30, -8, -3, -8, -25])
    out = roar * (0.3 + 0.7 * gust) + (0.35 if kind == "breeze" else 0.08) * rustle * gust**2
    if kind == "howling":
        for hz, gain in ((420.0, 1.0), (760.0, 0.5)):
            pitch = canvas.near(hz, 0.06) * (0.75 + 0.5 * gust)
            breath = canvas.curve(-1.0, 1.0, 45)
            out += gain * gust**1.5 * (0.7 + breath) * canvas.tone(pitch, [1.0, 0.08])
    return out


def sea_waves(canvas: Canvas, kind: str) -> Float:
    """Each wave swells low, breaks bright and draws back with a hiss."""
    period, surf = {"calm": (3.2, 0.7), "rough": (2.3, 1.1)}[kind]
    time = np.arange(canvas.length) / canvas.rate
    turn = time / canvas.near(period, 0.12) + canvas.rng.random()
    turn -= np.floor(turn)
    body = 0.25 + np.exp(-(((turn - 0.45) / 0.18) ** 2))
    crash = np.where(turn < 0.45, np.exp(-(((turn - 0.45) / 0.07) ** 2)), np.exp(-(turn - 0.45) / 0.16))
    crash *= canvas.curve(0.75, 1.15, 8)
    low = canvas.noise([40, 120, 500, 1500, 8000], [-10, 0, -4, -18, -50])
    high = canvas.noise([100, 500, 1800, 4500, 15000], [-30, -9, -1, -4, -20])
    return body * low + surf * (0.12 + crash) * high
