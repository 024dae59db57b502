"""Sounds that are made to be noticed: sirens, telephones, horns."""

from __future__ import annotations

import numpy as np

from tspbench.tasks.lass_demo.sounds.canvas import Canvas, Float, formant

HORN = (1.0, 0.8, 0.7, 0.5, 0.35, 0.3, 0.2, 0.15, 0.1)
GONGS = ((1450.0, 0.6, 0.25), (2360.0, 1.0, 0.22), (3520.0, 0.7, 0.15), (5180.0, 0.5, 0.1), (7300.0, 0.3, 0.06))
CHIMES = (311.0, 370.0, 415.0, 494.0, 622.0)


def siren(canvas: Canvas, kind: str) -> Float:
    """A horn whose pitch sweeps slowly (wail), quickly (yelp) or steps between two notes."""
    time = np.arange(canvas.length) / canvas.rate
    period = canvas.near({"wail": 2.6, "yelp": 0.34, "two-tone": 1.0}[kind], 0.12)
    turn = time / period + canvas.rng.random()
    turn -= np.floor(turn)
    if kind == "two-tone":
        step = np.clip(np.minimum(turn / 0.02, (0.5 - turn) / 0.02), 0, 1)
        hz = canvas.near(435.0, 0.02) * (1 + 0.333 * step)
    else:
        rise = np.where(turn < 0.4, turn / 0.4, (1 - turn) / 0.6)
        hz = canvas.near(600.0, 0.04) * 2.2 ** (rise * rise * (3 - 2 * rise))
    dry = canvas.tone(hz, HORN)
    wet = formant(dry, 1300.0, 900.0, canvas.rate) + 0.3 * dry
    echo = int(canvas.rng.uniform(0.07, 0.13) * canvas.rate)
    wet[echo:] += 0.3 * wet[:-echo]
    return wet * canvas.curve(0.75, 1.1, 1.5)


def telephone(canvas: Canvas, kind: str) -> Float:
    """A clapper between two gongs, or the warble of an electronic ringer, on and off."""
    time = np.arange(canvas.length) / canvas.rate
    on, off = canvas.near(1.0, 0.12), canvas.near(0.45, 0.15)
    turn = (time + canvas.rng.uniform(0.0, 0.3 * on)) % (on + off)
    if kind == "electronic":
        gate = np.clip(np.minimum(turn, on - turn) / 0.006, 0, 1)
        trill = np.sin(2 * np.pi * canvas.near(14.0, 0.1) * time) > 0
        pitch = canvas.near(1050.0, 0.02) * np.where(trill, 1.0, 1.25)
        return gate * canvas.tone(pitch, [1.0, 0.1, 0.45, 0.08, 0.25, 0.05, 0.12])
    strokes = canvas.beats(0.5 / canvas.near(21.0, 0.08), 0.03, first_s=0.03)
    strokes = strokes[(turn[(strokes * canvas.rate).astype(np.intp)]) < on]
    shift = canvas.near(1.0, 0.02)
    gongs = [
        canvas.struck(
            mine,
            canvas.rng.uniform(0.7, 1.0, len(mine)),
            [(hz * shift * tilt, gain, decay) for hz, gain, decay in GONGS],
        )
        for mine, tilt in ((strokes[::2], 1.0), (strokes[1::2], 1.07))
    ]
    return gongs[0] + gongs[1]


def train_horn(canvas: Canvas, kind: str) -> Float:
    """Air horns blown together: a chord of rich tones that sags a little at each end."""
    notes = CHIMES if kind == "five-chime" else (CHIMES[0], CHIMES[2], CHIMES[4])
    blast = _blasts(canvas)
    bend = 0.96 + 0.04 * blast
    harmonics = [1 / (1 + 0.12 * (order - 3) ** 2) for order in range(1, 13)]
    shift = canvas.near(1.0, 0.02)
    out = canvas.silence()
    for hz in notes:
        out += canvas.rng.uniform(0.7, 1.1) * canvas.tone(hz * shift * canvas.near(1.0, 0.003) * bend, harmonics)
    air = canvas.noise([100, 500, 2000, 6000, 14000], [-20, -6, 0, -6, -25])
    out = blast * (out + 0.25 * air)
    echo = int(canvas.rng.uniform(0.12, 0.22) * canvas.rate)
    out[echo:] += 0.25 * out[:-echo]
    return out


def _blasts(canvas: Canvas) -> Float:
    """Envelope of long and short blasts with short rests."""
    marks, levels = [0.0], [1.0]
    time = canvas.rng.uniform(0.7, 1.4)
    while time < canvas.seconds:
        rest = canvas.rng.uniform(0.25, 0.45)
        marks += [time, time + 0.08, time + rest, time + rest + 0.1]
        levels += [1.0, 0.0, 0.0, 1.0]
        time += rest + canvas.rng.uniform(0.5, 1.7)
    return np.interp(np.arange(canvas.length) / canvas.rate, marks, levels)
