"""Synthetic sounds by class and seed.

Each class is a recipe after the physics of the thing it is named for. None is a
recording, and none should pass for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tspbench.tasks.lass_demo.sounds import animals, machines, signals, struck, weather
from tspbench.tasks.lass_demo.sounds.canvas import Canvas, Float, rms
from tspbench.types import Audio

SECONDS = 5.0
SAMPLE_RATE = 32_000
PEAK = 0.9
LEVELS_DB = (-24.0, -18.0)
FADE_S = 0.01


@dataclass(frozen=True, slots=True)
class Sound:
    """A class of sound: its recipe, and the kinds of it that seeds take in turn."""

    recipe: Callable[[Canvas, str], Float]
    kinds: tuple[str, ...]


SOUNDS: dict[str, Sound] = {
    "bird_song": Sound(animals.bird_song, ("warbler", "finch")),
    "car_engine": Sound(machines.car_engine, ("idling", "revving")),
    "church_bell": Sound(struck.church_bell, ("great", "small")),
    "clock_ticking": Sound(struck.clock_ticking, ("wall", "alarm")),
    "crickets": Sound(animals.crickets, ("single", "chorus")),
    "dog_bark": Sound(animals.dog_bark, ("large", "small")),
    "footsteps": Sound(struck.footsteps, ("wood", "gravel")),
    "helicopter": Sound(machines.helicopter, ("light", "heavy")),
    "keyboard_typing": Sound(struck.keyboard_typing, ("mechanical", "laptop")),
    "rain": Sound(weather.rain, ("light", "heavy")),
    "sea_waves": Sound(weather.sea_waves, ("calm", "rough")),
    "siren": Sound(signals.siren, ("wail", "yelp", "two-tone")),
    "telephone": Sound(signals.telephone, ("bell", "electronic")),
    "train_horn": Sound(signals.train_horn, ("five-chime", "three-chime")),
    "wind": Sound(weather.wind, ("breeze", "howling")),
}


def kind_of(name: str, seed: int) -> str:
    """Which kind of its class a seed gives, such as ``heavy`` rain."""
    kinds = SOUNDS[name].kinds
    return kinds[seed % len(kinds)]


def synthesise(name: str, seed: int, seconds: float = SECONDS, sample_rate: int = SAMPLE_RATE) -> Audio:
    """One sound of a class: float32 (T,), no DC, faded at both ends, peak at most 0.9.

    The same arguments give the same samples in any process; another numpy or
    processor may change the last bits.

    Raises
    ------
    KeyError
        No such class (see :data:`SOUNDS`).
    ValueError
        The rate is below 32 kHz (recipes reach up to 16 kHz), the sound is
        shorter than a second or the seed is negative.
    """
    if sample_rate < SAMPLE_RATE or seconds < 1 or seed < 0:
        raise ValueError(
            f"Needs a rate >= {SAMPLE_RATE}, seconds >= 1 and a seed >= 0: {sample_rate}, {seconds}, {seed}."
        )
    number = int.from_bytes(hashlib.sha256(f"{name}/{seed}".encode()).digest()[:16], "little")
    canvas = Canvas(np.random.Generator(np.random.PCG64(number)), sample_rate, round(seconds * sample_rate))
    return _finished(canvas, SOUNDS[name].recipe(canvas, kind_of(name, seed)))


def _finished(canvas: Canvas, sound: Float) -> Audio:
    fade = int(FADE_S * canvas.rate)
    window = np.ones(canvas.length)
    window[:fade] = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)
    window[-fade:] = window[:fade][::-1]
    sound = (sound - np.sum(sound * window) / np.sum(window)) * window
    level = 10 ** (canvas.rng.uniform(*LEVELS_DB) / 20)
    gain = min(level / rms(sound), PEAK / np.abs(sound).max())
    out: Audio = (gain * sound).astype(np.float32)
    return out
