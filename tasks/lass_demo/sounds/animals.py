"""Animals: bird, dog, crickets."""

from __future__ import annotations

import numpy as np

from tspbench.tasks.lass_demo.sounds.canvas import ROOM, Canvas, Float, add, formant, harmonic, swell, total

PHRASES = {
    # Syllables of a motif: seconds, first and last pitch in Hz, depth (Hz) and rate (Hz) of vibrato.
    "warbler": (
        (0.09, 3200, 4600, 0, 0),
        (0.14, 4800, 3400, 250, 38),
        (0.07, 2900, 3900, 0, 0),
        (0.16, 4100, 4100, 500, 26),
    ),
    "finch": ((0.05, 5600, 3400, 0, 0), (0.05, 5600, 3400, 0, 0), (0.05, 5200, 3100, 0, 0), (0.2, 3600, 2600, 300, 32)),
}
# Hz, bandwidth in Hz, gain.
THROAT = ((620.0, 180.0, 1.0), (1250.0, 260.0, 0.8), (2600.0, 450.0, 0.4), (4200.0, 800.0, 0.15))


def bird_song(canvas: Canvas, kind: str) -> Float:
    """Phrases of whistled syllables that sweep in pitch; a bird repeats its motif with small changes."""
    motif = PHRASES[kind]
    shift = canvas.near(1.0, 0.06)
    out = 0.003 * canvas.noise([100, 1000, 4000, 14000], [-10, 0, -6, -20])
    time = canvas.rng.uniform(0.03, 0.15)
    while time < canvas.seconds - 0.1:
        for index in range(canvas.rng.integers(6, 10)):
            seconds, first, last, depth, rate = motif[(index + canvas.rng.integers(0, 2)) % len(motif)]
            note = _whistle(canvas, canvas.near(seconds, 0.15), first * shift, last * shift, depth, rate)
            add(out, int(time * canvas.rate), note * canvas.rng.uniform(0.5, 1.0))
            time += len(note) / canvas.rate + canvas.rng.uniform(0.02, 0.05)
        time += canvas.rng.uniform(0.15, 0.4)
    return out


def _whistle(canvas: Canvas, seconds: float, first: float, last: float, depth: float, rate: float) -> Float:
    place = np.linspace(0, 1, int(seconds * canvas.rate))
    hz = first * (last / first) ** place + depth * np.sin(2 * np.pi * rate * seconds * place)
    note = harmonic(np.cumsum(hz * canvas.near(1.0, 0.02)) / canvas.rate, [1.0, 0.06])
    return note * swell(len(note), 0.2, 0.35)


def dog_bark(canvas: Canvas, kind: str) -> Float:
    """Barks in ones to threes: a rough voice that rises and falls, through the formants of a snout."""
    pitch, seconds, tract = {"large": (230.0, 0.2, 0.85), "small": (520.0, 0.12, 1.35)}[kind]
    pitch, tract = canvas.near(pitch, 0.08), canvas.near(tract, 0.04)
    out = 0.003 * canvas.noise(*ROOM)
    time = canvas.rng.uniform(0.03, 0.15)
    while time < canvas.seconds - 0.1:
        for _ in range(canvas.rng.integers(1, 4)):
            bark = _bark(canvas, canvas.near(pitch, 0.06), canvas.near(seconds, 0.15), tract)
            add(out, int(time * canvas.rate), bark * canvas.rng.uniform(0.7, 1.0))
            time += len(bark) / canvas.rate + canvas.rng.uniform(0.07, 0.16)
        time += canvas.rng.uniform(0.15, 0.4)
    return out


def _bark(canvas: Canvas, pitch: float, seconds: float, tract: float) -> Float:
    place = np.linspace(0, 1, int(seconds * canvas.rate))
    rough = np.interp(place, np.linspace(0, 1, 24), canvas.rng.uniform(-0.06, 0.06, 24))
    hz = pitch * (0.75 + 0.6 * np.sin(np.pi * np.minimum(place / 0.75, 1.2)) + rough)
    voice = harmonic(np.cumsum(hz) / canvas.rate, [1 / order for order in range(1, 17)])
    voice = voice + 0.5 * canvas.rng.standard_normal(len(voice))
    shaped = total(gain * formant(voice, hz * tract, width, canvas.rate) for hz, width, gain in THROAT)
    return shaped * swell(len(voice), 0.12, 0.6)


def crickets(canvas: Canvas, kind: str) -> Float:
    """Wings as files: bursts of pulses at one high pitch, from one cricket or from many."""
    singers = {"single": 1, "chorus": 3}[kind]
    time = np.arange(canvas.length) / canvas.rate
    out = 0.01 * canvas.noise([100, 1000, 5000, 14000], [-10, -6, 0, -10])
    for singer in range(singers):
        chirps = canvas.near(2.6, 0.15)
        pulses = canvas.near(34.0, 0.08)
        turn = time * chirps + canvas.rng.random()
        turn -= np.floor(turn)
        inside = turn * (pulses / chirps)
        part = inside - np.floor(inside)
        gate = np.where(inside < 4, (4 * part * (1 - part)) ** 2, 0.0)
        tone = canvas.tone(canvas.near(4500.0, 0.03) * (1 - 0.01 * turn), [1.0, 0.12, 0.05])
        out += tone * gate * (1.0 if singer == 0 else canvas.rng.uniform(0.25, 0.7))
    return out
