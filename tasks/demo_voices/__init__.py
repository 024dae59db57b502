"""Synthetic speech that the demo tasks share. See README.md."""

from pathlib import Path

UTTERANCES = Path(__file__).parent / "utterances.csv"

ALIKE = frozenset(
    frozenset(pair)
    for pair in (
        ("adam", "fiona"),
        ("bruce", "gavin"),
        ("david", "helen"),
        ("clara", "ivan"),
        ("clara", "jacob"),
        ("ivan", "jacob"),
    )
)
"""Voices made from one speaker's recordings. No trial has both: a system that confuses them may not be wrong."""
