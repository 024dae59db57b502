"""Captions to learn words from: for a class of sound, and for a kind of it where that is known."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from tspbench.tasks.lass_demo.captions import ANY, CAPTIONS

TEMPLATES = (
    "{}",
    "the sound of {}",
    "sound of {}",
    "a recording of {}",
    "{} can be heard",
    "{} in the background",
    "{} in the distance",
    "{} nearby",
    "loud {}",
    "i hear {}",
    "this is a sound of {}",
)


@cache
def _phrases() -> dict[str, Any]:
    with Path(__file__).with_name("captions.toml").open("rb") as file:
        return tomllib.load(file)


def classes() -> tuple[str, ...]:
    """Every class of sound that the encoder learns words for."""
    return tuple(_phrases())


def class_of(label: str) -> str | None:
    """The class that ESC-10 gives this label, such as ``dog bark``; None where there is none."""
    return next((name for name, about in _phrases().items() if label in (about["label"], name)), None)


@cache
def captions_for(name: str, kind: str | None = None) -> tuple[tuple[str, ...], ...]:
    """Groups of captions that fit a class and, where it is given, a kind; groups are to be drawn from evenly.

    Bare names, names in templates, whole sentences, lass-demo's captions and,
    of those, the ones of the kind.
    """
    about = _phrases()[name]
    groups = [
        tuple(about["names"]),
        tuple(template.format(noun) for template in TEMPLATES for noun in about["names"]),
        tuple(about["says"]),
    ]
    if name in CAPTIONS:
        groups.append(CAPTIONS[name][ANY])
        if kind is not None:
            groups.append(CAPTIONS[name][kind])
    return tuple(groups)
